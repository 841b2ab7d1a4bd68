"""The training process: journal, signals, checkpoints, full disks and other processes."""
