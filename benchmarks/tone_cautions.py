"""How often the caution `not_continuous_tone` fires: on ordinary real faces, and on copies of them.

    python benchmarks/tone_cautions.py PREPARED --split validation

PREPARED is a folder of `faceproof data prepare`. The families are those of examples/default.toml.
Real faces are looked at as they are, as JPEG of quality 60 and 30, and at half size; copies as they
are and as grey JPEG of quality 75.
"""

from __future__ import annotations

import argparse
import tomllib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from faceproof.data.manifest_files import read_manifest
from faceproof.imaging.decode import load
from faceproof.imaging.faces import Face, YuNet
from faceproof.imaging.printing import COPIES, POSTERISED, Pixels
from faceproof.imaging.quality import assess
from faceproof.statistics import wilson

RECIPE = Path(__file__).parents[1] / "examples" / "default.toml"


def jpeg(pixels: Pixels, quality: int, *, grey: bool = False) -> Pixels:
    """Return the picture saved as a JPEG and read again."""
    saved = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", saved, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


def fires(pixels: Pixels, face: Face) -> bool:
    """Return whether the caution fires on one face."""
    return "not_continuous_tone" in assess(pixels, face).cautions


def halved(pixels: Pixels, face: Face) -> tuple[Pixels, Face]:
    """Return picture and face at half size."""
    small = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    x, y, width, height = (number / 2 for number in face.box)
    points = ((face.landmarks + 0.5) / 2 - 0.5).astype(np.float32)
    return np.asarray(small), Face((x, y, width, height), points, face.detection_score)


ORDINARY: dict[str, Callable[[Pixels, Face], bool]] = {
    "as it is": fires,
    "JPEG 60": lambda pixels, face: fires(jpeg(pixels, 60), face),
    "JPEG 30": lambda pixels, face: fires(jpeg(pixels, 30), face),
    "half size": lambda pixels, face: fires(*halved(pixels, face)),
}


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prepared", type=Path)
    parser.add_argument(
        "--split", default="validation", choices=["validation", "calibration", "test"]
    )
    parser.add_argument("--most", type=int, default=400, help="faces of each family")
    parser.add_argument("--copied", type=int, default=40, help="faces of each family to copy")
    asked = parser.parse_args()
    families = tomllib.loads(RECIPE.read_text(encoding="utf-8"))["calibration"]["families"]
    manifest = read_manifest(asked.prepared / "manifest.parquet", root=asked.prepared)
    finder = YuNet()
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for family, sources in families.items():
        rows = [
            row
            for row in sorted(manifest.rows, key=lambda row: row.sha256 or "")
            if row.split == asked.split and row.label == "real" and row.source in sources
        ]
        for number, row in enumerate(rows[: asked.most]):
            pixels = load(asked.prepared / row.path).pixels
            for face in finder.find(pixels)[:1]:
                for name, looks in ORDINARY.items():
                    found[family, name].append(looks(pixels, face))
                for name, copy in (COPIES | POSTERISED).items() if number < asked.copied else ():
                    copied = copy(pixels)
                    found["copies", name].append(fires(copied, face))
                    found["copies", f"{name}, grey JPEG"].append(
                        fires(jpeg(copied, 75, grey=True), face)
                    )
    print(f"{asked.split} faces; share with the caution, 95 % interval (Wilson)")
    for (family, name), hits in found.items():
        low, high = wilson(sum(hits), len(hits))
        print(
            f"{family:22} {name:28} {sum(hits):4} of {len(hits):4}"
            f"  {sum(hits) / len(hits):6.2%}  [{low:.2%}, {high:.2%}]"
        )


if __name__ == "__main__":
    main()
