"""The shortcut probe: features of a file, other than the face, that predict the label."""
