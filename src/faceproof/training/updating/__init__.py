"""Continual update: training on a new generator, with a gate against forgetting."""
