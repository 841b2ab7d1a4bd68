"""Inspection of data sets: balance, repeats, leaks, shortcuts and contact sheets."""
