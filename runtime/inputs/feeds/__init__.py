"""Where files come from: a folder, or NASA Earthdata."""
