"""Training: recipe, augmentation, the loop, calibration and the bundle that comes out."""
