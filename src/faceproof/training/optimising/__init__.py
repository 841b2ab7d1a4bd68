"""How weights learn: losses, mixing, attacks, optimisers, and a teacher to learn from."""
