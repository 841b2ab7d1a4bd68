"""Reports: what was found, in words and tables that people read."""
