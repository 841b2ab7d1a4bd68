"""Fakes made of real faces, for training: one table of kinds, and what each kind needs.

`table` has the kinds. `paste` and `autoencoder` make two of them, and `tiny_autoencoder` is the
network behind the second.
"""
