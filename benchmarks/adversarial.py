"""Adversarial training: clean and attacked accuracy, recall and false alarms side by side.

The "all of it" network of `ablations.py` trains for 60 more steps, three times from the
same weights: as before, with FGSM, and with PGD (2 of 255 grey levels, on half of each batch).
Each is then attacked with full knowledge of it, by one step and by ten at the same budget: more
than the training's three, so that masked gradients show.

    uv run --extra train python benchmarks/ablations.py --only "all of it"
    uv run --extra train python benchmarks/adversarial.py

A finished or interrupted run resumes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ablations import RECIPE, run, slug, view
from faceproof.data.manifest_files import read_manifest
from faceproof.detector import Bundle, Detector
from faceproof.detector.spec import Finding, OperatingPoint
from faceproof.evaluation.finding_names import attack_cautions
from faceproof.runs import RunFolder
from faceproof.training.attack_report import attack_findings, fgsm, pgd, select_attack_faces
from faceproof.training.fit import load_saved_network
from faceproof.training.recipe import read_recipe

ON = (
    "schedule.steps=60",
    "schedule.head_first_steps=0",
    "schedule.validate_steps=60",
    "optimizer.learning_rate=3e-4",
    "export.conditions=['clean']",
    "seed=7",
)
AGAINST = ("adversarial.share=0.5", "adversarial.budget=2")
TRAINED = {
    "as before": (),
    "with FGSM": (*AGAINST, "adversarial.attack=fgsm"),
    "with PGD": (*AGAINST, "adversarial.attack=pgd", "adversarial.steps=3", "adversarial.step=1"),
}
ATTACKS = (fgsm(2), pgd(2, 10))
HALF = "half"


def main() -> None:
    """Train the missing networks, attack all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--work", type=Path, default=Path("data/ablations"))
    parser.add_argument("--start", type=Path, default=Path("runs/ablations/all-of-it/bundle"))
    parser.add_argument("--output", type=Path, default=Path("runs/adversarial"))
    parser.add_argument("--faces", type=int, default=200, help="how many test faces are attacked")
    asked = parser.parse_args()
    prepared = view(asked.data, asked.work / "prepared")
    print("| trained | faces | accuracy | fakes called fake | reals called fake |")
    print("|---|---|---|---|---|")
    for name, overrides in TRAINED.items():
        start = f"network.starting_weights={asked.start}"
        run(name, prepared, asked.output, (*ON, start, *overrides))
        found = attacked(asked.output / slug(name) / "bundle", prepared, asked.faces)
        for line in lines(name, found):
            print(line)
        for caution in attack_cautions(found):
            print(f"\n{name}: {caution}")


def attacked(folder: Path, prepared: Path, count: int) -> list[Finding]:
    """Return the findings of white-box attacks on a bundle's network, at a threshold of 0.5."""
    spec, manifest = Bundle.read(folder).spec, read_manifest(prepared / "manifest.parquet")
    of = select_attack_faces(
        Detector.load(folder),
        manifest,
        split="test",
        purpose="final-report",
        root=prepared,
        count=count,
        workers=1,
    )
    network = load_saved_network(read_recipe(RECIPE), RunFolder(folder.parent))
    kept = spec.operating_point()
    half = OperatingPoint(
        name=HALF, real_below=0.5, fake_from=0.5, promise="none", chosen_on=kept.chosen_on
    )
    return attack_findings(
        network,
        of,
        ATTACKS,
        [half],
        calibration=spec.calibration,
        input_spec=spec.preprocessing.input,
        data_sha256=manifest.sha256,
    )


def lines(name: str, found: list[Finding]) -> list[str]:
    """Return the table's lines: one for each attack, in the order of the findings."""
    by_place = {(one.condition, one.metric.partition("@")[0]): one for one in found}
    actual = []
    for condition in dict.fromkeys(one.condition for one in found):
        cells = [by_place[condition, metric] for metric in ("accuracy", "recall", "bpcer")]
        shown = [f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for one in cells]
        actual.append(f"| {name} | {condition} | {' | '.join(shown)} |")
    return actual


if __name__ == "__main__":
    main()
