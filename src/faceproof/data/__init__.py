"""Data sets: the manifest, public layouts, duplicates, splits and the faces found in them."""
