"""Training: from a recipe to a bundle.

The modules here are the way that a training takes: `recipe` (what is wanted), `train` (the whole
way), `preflight` (what is refused before hours of work), `stream` and `augment` (what the network
is shown), `fit`, `loop` and `step` (learning), `losses`, `optimizers`, `attacks` and `validation`
(what learning rests on), `calibration`, `promises` and `operating_points` (thresholds),
`attack_report` and `finish` (the bundle); `combine` and `members` make several detectors one.
The folders are

- `forging`: fakes made from photographs;
- `run`: a training as a process that is followed, stopped and resumed;
- `updating`: a new generator added to a detector.
"""
