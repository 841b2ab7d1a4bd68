"""Leave-one-out: a detector trained without a generator or a source, and tested on it."""
