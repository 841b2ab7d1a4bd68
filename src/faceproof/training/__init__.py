"""Training: from a recipe to a bundle.

The modules here are the way that a training takes: `recipe` and `recipe_file` (what is wanted),
`train` (the whole way), `readiness` (what is refused before hours of work), `fit`, `loop` and
`step` (learning), `schedule`, `state`, `statistics` and `validation` (what learning rests on),
`answers` and `finish` (the bundle). Beside them stand

- `feeding`: what the network is shown;
- `optimising`: losses, optimisers, mixing, attacks, a teacher;
- `promising`: calibration and thresholds;
- `running`: a training as a process that is followed, stopped and taken up again;
- `combining`: several detectors made one;
- `updating`: a new generator added to a detector.
"""
