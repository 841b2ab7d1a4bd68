"""Reliability and cost of a detector's heat maps.

    uv run --extra train python benchmarks/heatmaps.py [DETECTOR] --data data/prepared \
        [--number 400] [--json FILE] [--into FOLDER]

Reliability: `faceproof.explain.study` on a seeded sample of the test split (its findings go to
``--json``; ``--into`` writes the detector there, with these findings in its card). Cost, in one
run and in turns, so that a busy machine slows all alike, in processor time a face: only the
logits, with maps, with maps and the deletion test of each, and a whole check of a picture of
256 px with a face, without and with maps. The median of the rounds counts.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from skimage import data

from faceproof import Checker, Detector
from faceproof.data.manifest_files import read_manifest
from faceproof.detector import write_bundle
from faceproof.evaluation.finding_names import is_of_heatmaps
from faceproof.explain import select_faces, study
from faceproof.imaging.decode import load
from faceproof.imaging.faces import YuNet
from faceproof.imaging.preprocessing import prepare
from faceproof.reports.card import card
from faceproof.reports.card_sections import heatmap_section

FACES = 8
FACE = (180, 30, 420, 270)  # left, top, right, bottom of the face in the astronaut's picture


def main() -> None:
    """Study, measure and print."""
    wish = arguments()
    detector = Detector.load(wish.detector)
    costs = cost(detector, rounds=wish.rounds)
    print_costs(detector, costs)
    if wish.data is None:
        return
    manifest = read_manifest(wish.data / "manifest.parquet")
    faces = select_faces(manifest, detector.preprocessing, root=wish.data, number=wish.number)
    print(f"\n{len(faces)} faces of the test split, {faces.without_face} pictures without a face\n")
    found = study(detector, faces, seeds=wish.seeds, progress=told)
    print(heatmap_section(found))
    if wish.json:
        told_all = {"cost_ms": costs, "findings": [one.model_dump() for one in found]}
        wish.json.write_text(json.dumps(told_all, indent=2) + "\n", encoding="utf-8")
    if wish.into:
        spec = detector.spec
        kept = [one for one in spec.results if not is_of_heatmaps(one.metric)]
        spec = spec.model_copy(update={"results": (*kept, *found)})
        files = {file.name: detector.bundle.read_file(file) for file in spec.files}
        if spec.card:
            files[spec.card.name] = card(spec, command=wish.made_by).encode()
        write_bundle(wish.into, spec, files)


def arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("detector", nargs="?", default="default", help="name or folder")
    parser.add_argument("--data", type=Path, help="prepared data set; without it only the cost")
    parser.add_argument("--number", type=int, default=400, help="pictures of the sample")
    parser.add_argument("--seeds", type=int, default=1, help="shuffles of the weights")
    parser.add_argument("--rounds", type=int, default=15, help="turns of the cost")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--into", type=Path, help="write the detector there with the findings")
    parser.add_argument(
        "--made-by", default="faceproof train examples/default.toml", help="the card's command"
    )
    return parser.parse_args()


def told(line: str) -> None:
    """Print progress."""
    print(f"  {line} ...", file=sys.stderr, flush=True)


def picture() -> bytes:
    """Return a JPEG of 256 px with one face."""
    stream = io.BytesIO()
    Image.fromarray(data.astronaut()).resize((256, 256), box=FACE).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def cost(detector: Detector, *, rounds: int) -> dict[str, list[float]]:
    """Return processor milliseconds a face of each kind of work, one number a round."""
    jpeg, spec = picture(), detector.preprocessing
    pixels = load(jpeg).pixels
    face = prepare(pixels, YuNet().find(pixels)[0].landmarks, spec)
    inputs = np.stack([np.roll(face, shift, axis=2) for shift in range(FACES)])
    plain = Checker(detector, addresses=None)
    mapped = Checker(detector, heatmaps=True, addresses=None)
    kinds: dict[str, tuple[Callable[[], object], int]] = {
        "logits": (lambda: detector.logits(inputs), FACES),
        "logits and maps": (lambda: detector.map_evidence(inputs), FACES),
        "logits, maps and their test": (lambda: detector.explain(inputs), FACES),
        "a check": (lambda: [plain.check(jpeg) for _ in range(FACES)], FACES),
        "a check with tested maps": (lambda: [mapped.check(jpeg) for _ in range(FACES)], FACES),
    }
    spent: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(rounds + 1):
        for name, (work, faces) in kinds.items():
            started = time.process_time()
            work()
            if number:  # the first answers take longer
                spent[name].append(1000 * (time.process_time() - started) / faces)
    return spent


def print_costs(detector: Detector, costs: dict[str, list[float]]) -> None:
    """Print the medians, and the added cost of maps as a share of a check in the same round."""
    print(f"{detector.spec.name} {detector.spec.version}, processor time, medians of rounds\n")
    print("| | ms a face | of a check |\n|---|---|---|")
    for name, spent in costs.items():
        shares = [one / check for one, check in zip(spent, costs["a check"], strict=True)]
        print(f"| {name} | {median(spent):.2f} | {median(shares):.3f} |")
    added = [
        (mapped - bare) / check
        for bare, mapped, check in zip(
            costs["logits"], costs["logits and maps"], costs["a check"], strict=True
        )
    ]
    low, high = np.quantile(added, [0.1, 0.9])
    print(f"\nmaps alone add {median(added):+.1%} of a check (middle 80 %: {low:+.1%} {high:+.1%})")


if __name__ == "__main__":
    main()
