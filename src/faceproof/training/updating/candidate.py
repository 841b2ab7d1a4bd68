"""The candidate of an update: calibrated like any training's, judged beside the old detector."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceproof.data.manifest import Manifest
from faceproof.detector import CardFile, DetectorSpec, write_bundle
from faceproof.detector.bundle import Bundle, hash_of
from faceproof.errors import BundleError
from faceproof.evaluation.findings import composition
from faceproof.evaluation.gate import Gate
from faceproof.networks.network import Network
from faceproof.reports.card import card
from faceproof.runs import RunFolder
from faceproof.training.answers import answers
from faceproof.training.finish import Files, calibrated, draft
from faceproof.training.recipe import Recipe

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """Where both detectors answer: the same rows of the same prepared pictures."""

    manifest: Manifest
    root: Path
    run: RunFolder
    progress: Progress

    def answers(
        self, bundle: Bundle, split: str, conditions: tuple[str, ...], *, who: str
    ) -> pa.Table:
        """Return a detector's predictions of a split: those in the run folder, or new ones."""
        path = self.run.path / f"predictions-{split}-{who}.parquet"
        self.progress(f"{split} as {', '.join(conditions)}: the {who} detector")
        return answers(
            bundle,
            self.manifest,
            split,
            conditions,
            path,
            root=self.root,
            progress=self.progress,
        )


@dataclass(frozen=True)
class Candidate:
    """The updated detector before it is judged, its spec and the bytes of its files."""

    bundle: Bundle
    spec: DetectorSpec
    files: Files


def candidate(recipe: Recipe, old: Bundle, network: Network, bench: Bench) -> Candidate:
    """Return the calibrated candidate, written to the run folder.

    Raises:
        ExportError: torch and ONNX answer differently.
        TrainingError, UsageError: the calibration split cannot support what the recipe promises.
    """
    bench.progress("export: torch against onnxruntime")
    spec, files = draft(recipe, bench.manifest, network, bench.run)
    spec = with_ancestors(spec, old.spec)
    bundle = write_bundle(bench.run.path / "draft", spec, files)
    found = bench.answers(bundle, "calibration", recipe.calibration.conditions, who="new")
    spec = calibrated(spec, found, recipe.calibration, bench.manifest, progress=bench.progress)
    return Candidate(write_bundle(bench.run.path / "calibrated", spec, files), spec, files)


def with_ancestors(spec: DetectorSpec, old: DetectorSpec) -> DetectorSpec:
    """Return the spec with what the old detector had seen and started from."""
    seen = tuple(sorted({*spec.generators_seen, *old.generators_seen}))
    started = (*spec.started_from, *old.started_from)
    return DetectorSpec.model_validate(
        {**dict(spec), "generators_seen": seen, "started_from": started}
    )


def write_refused(made: Candidate, gate: Gate, manifest: Manifest, folder: Path) -> Bundle:
    """Write a refused candidate, which says so itself; it has no figures of the test split."""
    lost = ", ".join(change.slice for change in gate.of("lost")) or "nobody can tell"
    note = f"REFUSED by the gate of its update ({lost}): kept for inspection, not for use."
    spec = {
        **dict(made.spec),
        "notes": (note, *made.spec.notes),
        "results": (*composition(manifest), *made.spec.results),
    }
    text = card(DetectorSpec.model_validate(spec), command="faceproof update").encode()
    named = CardFile(name="CARD.md", sha256=hash_of(text))
    final = DetectorSpec.model_validate({**spec, "card": named})
    return write_bundle(folder, final, {**made.files, "CARD.md": text})


def discard(folder: Path) -> None:
    """Remove the bundle of an earlier decision; anything else stays."""
    try:
        Bundle.read(folder)
    except BundleError:
        return
    shutil.rmtree(folder)
