"""Continual update: a detector learns a new generator, and a gate sees what it forgot."""
