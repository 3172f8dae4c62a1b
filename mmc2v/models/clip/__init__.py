"""CLIP's architectures and weights, and how a model starts from them."""
