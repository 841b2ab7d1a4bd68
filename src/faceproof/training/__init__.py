"""Training: from a recipe to a bundle.

The modules follow the steps of a training: `recipe` (settings), `train` (the whole process),
`preflight` (early checks), `stream` and `augment` (input pictures), `fit`, `loop` and
`step` (optimisation), `losses`, `optimizers`, `attacks` and `validation` (its parts),
`calibration`, `promises` and `operating_points` (thresholds), `attack_report` and `finish` (the
bundle). `combine` and `members` merge several detectors into one.
The folders are

- `forging`: fakes made from photographs;
- `run`: journal, checkpoints, stopping and resuming of a training process;
- `updating`: updates of a detector for a new generator.
"""
