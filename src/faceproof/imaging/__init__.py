"""Pixels in, numbers out: decoding, faces, quality, preprocessing, degradations and blending."""
