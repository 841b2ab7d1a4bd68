"""A training as a process: its journal, signals, checkpoints, disk and other processes."""
