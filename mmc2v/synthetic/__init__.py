"""Generated data sets of captioned videos."""
