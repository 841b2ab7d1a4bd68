"""What the network is shown: which picture comes next, and all that happens to it."""
