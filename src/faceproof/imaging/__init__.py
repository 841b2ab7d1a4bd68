"""Pixels in, numbers out: decoding, faces, quality, preprocessing and degradations."""
