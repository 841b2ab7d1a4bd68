"""faceproof tells real photographs of faces from generated or manipulated ones."""
