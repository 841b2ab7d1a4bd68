"""Measuring detectors: predictions once, then metrics and intervals as pure functions of them."""
