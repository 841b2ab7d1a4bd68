"""Bundle: the folder of a detector; this module reads, verifies and writes it.

The folder is untrusted input. Paths must stay inside it, sizes are bounded, and only files named in
``detector.json`` are opened. Their bytes are used only if their SHA-256 matches.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic import ValidationError

from faceproof.detector.spec import SCHEMA, DetectorSpec, File
from faceproof.errors import BundleError, BundleHashError, BundleNotFoundError, BundleSchemaError
from faceproof.installation import this_installation
from faceproof.records import Record
from faceproof.tables import require

if TYPE_CHECKING:
    import torch
    from torch import nn


_MAX_LOSS = 1e-3


def save_weights(network: nn.Module, path: Path) -> Path:
    """Write a network's weights as safetensors and return the path; see `round_to_stored`."""
    path.write_bytes(weights_bytes(network))
    return path


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a file's weights into the network, in the network's own precision.

    Raises:
        BundleError: the file is not safetensors, or its tensors are not the network's.
    """
    put_weights(network, path.read_bytes(), name=path.name)


def weights_bytes(network: nn.Module) -> bytes:
    """Return the bytes that `save_weights` writes; equal weights give equal bytes."""
    require("torch", "safetensors")
    from safetensors.torch import save

    return save(round_to_stored(network.state_dict()))


def put_weights(network: nn.Module, data: bytes, *, name: str = "weights") -> None:
    """Load the weights in safetensors bytes into the network, in the network's own precision.

    Raises:
        BundleError: the bytes are not safetensors, or their tensors are not the network's.
    """
    require("torch", "safetensors")
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        network.load_state_dict(load(data))
    except SafetensorError as error:
        raise BundleError(f"{name} is not a safetensors file: {error}") from error
    except RuntimeError as error:
        raise BundleError(f"{name} contains the weights of another network: {error}") from error


def round_to_stored(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors as they are stored: on the CPU, contiguous, fp16 where `fits_half`."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.items())}
    return {name: t.half() if fits_half(t) else t.clone() for name, t in ready.items()}


def fits_half(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is stored as fp16.

    Kernels and matrices are, unless rounding changes an element by more than `_MAX_LOSS` of the
    largest. Biases, scales and the statistics of batch normalisation keep their precision: they are
    few, and a running variance may be outside the range of fp16.
    """
    if not tensor.is_floating_point() or tensor.ndim < 2 or not tensor.numel():
        return False
    exact = tensor.double()
    loss = (tensor.half().double() - exact).abs().max()
    return bool(loss <= _MAX_LOSS * exact.abs().max())


SPEC_FILE = "detector.json"
MAX_BYTES = {".json": 8 << 20, ".md": 8 << 20, ".onnx": 2 << 30, ".safetensors": 2 << 30}


@dataclass(frozen=True)
class Bundle:
    """A detector's folder, its parsed detector.json, and the SHA-256 of that file.

    Reading one needs no runtime: it is for looking at a detector.

    >>> from faceproof import Detector
    >>> bundle = Bundle.read(Detector.load("default").bundle.folder)
    >>> bundle.spec.positive_class, len(bundle.sha256)
    ('fake', 64)
    """

    folder: Path
    spec: DetectorSpec
    sha256: str

    def __repr__(self) -> str:
        return f"<Bundle {self.spec.name} {self.spec.version} in {self.folder}, {self.sha256[:12]}>"

    @classmethod
    def read(cls, folder: str | Path) -> Bundle:
        """Return the bundle in ``folder``; its other files are read and verified when used.

        Raises:
            BundleNotFoundError: no such folder, or no detector.json in it.
            BundleSchemaError: detector.json violates the schema.
        """
        path = Path(folder)
        data = _read_inside(path, SPEC_FILE)
        return cls(path, parse_spec(data), sha256_of(data))

    def read_file(self, file: File) -> bytes:
        """Return a named file's bytes, verified.

        Raises:
            BundleNotFoundError: the file is missing.
            BundleHashError: the hash is not the one in detector.json.
        """
        data = _read_inside(self.folder, file.name)
        found = sha256_of(data)
        if found != file.sha256:
            raise BundleHashError(
                f"{self.folder / file.name} is not the file that {SPEC_FILE} names: expected "
                f"SHA-256 {file.sha256}, found {found}; download the whole bundle again"
            )
        return data

    def verify(self) -> None:
        """Verify every named file; raise for the first that is missing or has another hash."""
        for file in self.spec.files:
            self.read_file(file)


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of bytes in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _upgrade_remedy() -> str:
    return f"if a newer faceproof wrote this bundle: {this_installation().upgrade()}"


def parse_spec(data: bytes) -> DetectorSpec:
    """Return the Record that the bytes of a detector.json hold.

    Raises:
        BundleSchemaError: naming each unknown, missing or invalid field, and the fix.
    """
    found = _schema_of(data)
    if found != SCHEMA:
        raise BundleSchemaError(
            f"{SPEC_FILE} has schema {found!r:.60}, this faceproof reads {SCHEMA!r}; "
            f"{_upgrade_remedy()}"
        )
    try:
        spec = DetectorSpec.model_validate_json(data, strict=True)
    except ValidationError as error:
        problems = "; ".join(
            _format_problem(detail["loc"], detail["msg"]) for detail in error.errors()[:5]
        )
        raise BundleSchemaError(
            f"{SPEC_FILE} is invalid: {problems}; {_upgrade_remedy()}"
        ) from error
    if missing := [*_omitted_fields(spec)]:
        raise BundleSchemaError(f"{SPEC_FILE} lacks {', '.join(missing)}; write all fields")
    return spec


def write_bundle(folder: Path, spec: DetectorSpec, files: Mapping[str, bytes]) -> Bundle:
    """Write a whole bundle at once and return it, read back and verified.

    ``files`` are the bytes of every file that ``spec`` names; the hashes in ``spec`` are
    replaced by theirs. An existing bundle in ``folder`` is replaced only after all files are
    written.

    Raises:
        BundleError: a named file is not given, a given one is not named, or ``folder`` contains
        something other than a bundle.
    """
    named = {file.name for file in spec.files}
    if named != set(files):
        raise BundleError(f"files given: {sorted(files)}; files named: {sorted(named)}")
    refuse_foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as place:
        fresh = Path(place) / "fresh"
        fresh.mkdir()
        _write_files(fresh, {**files, SPEC_FILE: _add_hashes(spec, files).to_json()})
        Bundle.read(fresh).verify()
        _put_in_place(fresh, folder, aside=Path(place) / "old")
    return Bundle.read(folder)


def _add_hashes(spec: DetectorSpec, files: Mapping[str, bytes]) -> DetectorSpec:
    """Return ``spec`` with each named file's SHA-256 taken from its bytes."""

    def add_hash(file: Any) -> Any:
        return file and file.model_copy(update={"sha256": sha256_of(files[file.name])})

    members = tuple(
        member.model_copy(
            update={"weights": add_hash(member.weights), "onnx": add_hash(member.onnx)}
        )
        for member in spec.members
    )
    return spec.model_copy(update={"members": members, "card": add_hash(spec.card)})


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _put_in_place(fresh: Path, folder: Path, *, aside: Path) -> None:
    """Rename ``fresh`` to ``folder``; the old folder is moved away, and restored on failure."""
    if folder.exists():
        folder.rename(aside)
    try:
        fresh.rename(folder)
    except OSError:
        if aside.exists():
            aside.rename(folder)
        raise


def refuse_foreign(folder: Path) -> None:
    """Raise unless ``folder`` contains only a bundle and the files that it names.

    Raises:
        BundleError: ``folder`` is a file, or contains something else.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BundleError(f"{folder} is a file: use a new or empty folder")
    if foreign := {path.name for path in folder.iterdir()} - _bundle_file_names(folder):
        raise BundleError(
            f"{folder} contains {', '.join(sorted(foreign)[:3])}, not part of a bundle: "
            "use a new or empty folder"
        )


def _bundle_file_names(folder: Path) -> set[str]:
    with contextlib.suppress(BundleError):
        return {SPEC_FILE} | {file.name for file in Bundle.read(folder).spec.files}
    return set()


def _read_inside(folder: Path, name: str) -> bytes:
    """Return the bytes of a regular file of bounded size inside the folder."""
    path = folder / name
    try:
        if path.resolve(strict=True).parent != folder.resolve(strict=True):
            raise BundleError(f"{path} points outside the bundle; replace the link by the file")
        if not stat.S_ISREG(path.stat().st_mode):  # checked first: opening a pipe would block
            raise BundleError(f"{path} is not a regular file")
        with path.open("rb") as stream:
            return _read_bounded(stream, path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleNotFoundError(_missing_file_message(folder, name)) from error
    except (OSError, RuntimeError, ValueError) as error:  # also a loop of links, a NUL in a name
        raise BundleError(f"{path} cannot be read: {error}") from error


def _read_bounded(stream: BinaryIO, path: Path) -> bytes:
    size, limit = os.fstat(stream.fileno()).st_size, MAX_BYTES[path.suffix]
    if size > limit:
        raise BundleError(f"{path} has {size} bytes, more than the limit of {limit}")
    return stream.read(size)


def _missing_file_message(folder: Path, name: str) -> str:
    if name == SPEC_FILE:
        return f"no detector in {str(folder)!r}: give a folder that contains {SPEC_FILE}"
    return f"{folder / name} is missing; download the whole bundle again"


def _schema_of(data: bytes) -> object:
    """Return the schema in a detector.json; None without one."""
    try:
        found = json.loads(data, object_pairs_hook=_reject_repeated_keys)
    except (ValueError, RecursionError) as error:
        raise BundleSchemaError(f"{SPEC_FILE} is invalid: {error}") from error
    return found.get("schema") if isinstance(found, dict) else None


def _reject_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the pairs of a JSON object; raise for equal names, which parsers treat differently."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"duplicate field, one of {sorted(set(names))}")
    return dict(pairs)


def _format_problem(place: tuple[int | str, ...], message: str) -> str:
    what = "unknown field" if message.startswith("Extra inputs") else message
    return f"{'.'.join(map(str, place)) or 'detector'}: {what}"


def _omitted_fields(spec: DetectorSpec) -> Iterator[str]:
    """Yield omitted fields whose default may differ in other versions of faceproof."""
    if "positive_class" not in spec.model_fields_set:
        yield "positive_class"
    yield from _fields_left_to_default(spec.preprocessing, "preprocessing")
    for place, member in enumerate(spec.members):
        yield from _fields_left_to_default(member, f"members.{place}")


def _fields_left_to_default(record: Record, place: str) -> Iterator[str]:
    """Yield the omitted fields, except those with the default None, which cannot change."""
    for name, field in type(record).model_fields.items():
        value = getattr(record, name)
        if name not in record.model_fields_set:
            if field.default is not None:
                yield f"{place}.{name}"
        elif isinstance(value, Record):
            yield from _fields_left_to_default(value, f"{place}.{name}")
