"""Evaluation of detectors: a predictions table, then metrics and intervals computed from it."""
