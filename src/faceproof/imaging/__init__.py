"""Image processing: decoding, faces, quality, preprocessing and degradations."""
