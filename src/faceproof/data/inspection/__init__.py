"""What is wrong with a data set: balance, repeats, leaks, shortcuts, and pictures to look at."""
