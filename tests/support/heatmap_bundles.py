"""Bundles for tests that say where: the networks of tests/fixtures/make_bright_maps_onnx.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from faceproof.detector import DetectorSpec, Member, OnnxFile, write_bundle

FIXTURES = Path(__file__).parents[1] / "fixtures"


@dataclass(frozen=True)
class MappedBundle:
    """A detector whose members run the ONNX fixtures of these names.

    ``declared``: the bundle says that they have heat maps.
    """

    onnx: tuple[str, ...] = ("bright-4x4",)
    weights: tuple[float, ...] = ()
    declared: bool = True

    def written(self, folder: Path, spec: DetectorSpec, files: dict[str, bytes]) -> Path:
        """Write the bundle, after the tiny detector's spec and files, and return its folder."""
        content = {"CARD.md": files["CARD.md"]}
        for place, name in enumerate(self.onnx):
            content[f"m{place}.onnx"] = (FIXTURES / f"{name}.onnx").read_bytes()
            content[f"m{place}.safetensors"] = files["bright.safetensors"]
        members = tuple(self._member(spec.members[0], place) for place in range(len(self.onnx)))
        return write_bundle(folder, spec.model_copy(update={"members": members}), content).folder

    def _member(self, like: Member, place: int) -> Member:
        method = "grad-cam" if self.declared else None
        return like.model_copy(
            update={
                "name": f"m{place}",
                "weight": self.weights[place] if self.weights else 1.0,
                "weights": like.weights.model_copy(update={"name": f"m{place}.safetensors"}),
                "onnx": OnnxFile(name=f"m{place}.onnx", sha256="0" * 64, heatmap=method),
            }
        )
