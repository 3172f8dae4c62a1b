"""From a config and a command line to a runner that is ready: what training and testing share."""
