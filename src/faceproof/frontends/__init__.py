"""The front ends beside the command line: each asks a Checker, and none knows another."""
