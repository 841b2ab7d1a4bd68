"""What gives a label away without a face being looked at, and how well: the shortcut probe."""
