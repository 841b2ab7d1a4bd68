"""`RayEngine`: checks on a Ray cluster, with Ray Data and a pool of actors."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from faceproof.detector.bundle import SPEC_FILE, Bundle
from faceproof.detector.detector import locate
from faceproof.errors import FaceproofError, UsageError
from faceproof.scanning.items import Item
from faceproof.scanning.lister import Lister
from faceproof.scanning.local_engine import LocalEngine
from faceproof.scanning.worker import CheckOptions
from faceproof.tables import require

if TYPE_CHECKING:
    import pyarrow as pa

_ITEMS, _ROWS, _COUNTS = "items", "rows", "counts"
#: The files of a bundle by name.
_FILES = dict[str, bytes]


class RayEngine:
    """Checks the chunks of a `Lister` in actors, one for each core of the cluster.

    The list is made in a task on the machine of this process. Each actor has a process for its
    checks, as `LocalEngine` has, so that a picture that ends it costs only its own row. Ray starts
    the actors of a lost machine elsewhere, and gives their chunks to others.
    """

    def __init__(self, options: CheckOptions, *, workers: int | None, address: str | None) -> None:
        """Take the cluster's address; None: one is started on this machine."""
        self._options, self._workers, self._address = options, workers, address
        self._started_here = False

    def __enter__(self) -> Self:
        """Connect to the cluster, or start one.

        Raises:
            MissingExtraError: Ray is not installed.
            UsageError: no cluster answers at the address.
            FaceproofError: none could be started here.
        """
        require("ray", extra="ray")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no reports to its makers
        import ray

        if ray.is_initialized():
            return self
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is None:
            options |= {"num_cpus": self._workers, "include_dashboard": False}
        try:
            ray.init(address=self._address, **options)
        except Exception as error:  # a start that takes too long has no class of its own
            first = str(error).partition("\n")[0]
            if self._address is None:
                raise FaceproofError(
                    f"Ray did not start: {first} Ray waits 30 s for it: try again when the "
                    "machine is less busy, or use --engine local"
                ) from error
            raise UsageError(f"no Ray cluster at {self._address!r}: {first}") from error
        self._started_here = True
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect, and end a cluster that was started here."""
        import ray

        if self._started_here:
            ray.shutdown()

    def run(self, lister: Lister) -> Generator[pa.Table, None, None]:
        """Yield the rows of the chunks as they are finished; the lister's counts come last.

        Raises:
            FaceproofError: the cluster failed; the results so far are kept.
        """
        import ray

        try:
            for row in _iterate(lister, self._make_dataset):
                if row[_ROWS]:
                    yield _from_bytes(row[_ROWS])
                else:
                    lister.listed, lister.repeated, lister.skipped = row[_COUNTS]
        except ray.exceptions.RayError as error:
            first = str(error).partition("\n")[0]
            raise FaceproofError(
                f"the Ray cluster failed: {first}; the results so far are kept, resume with "
                "the same command and --resume"
            ) from error

    def _make_dataset(self, lister: Lister) -> Any:
        """Return the Ray dataset of the results, which is computed as it is read."""
        import ray
        import ray.data

        found = ray.cluster_resources()
        cores = int(found.get("CPU", 1))
        workers = min(self._workers or cores, cores)
        here = ray.get_runtime_context().get_node_id()
        listed = ray.data.read_datasource(
            _make_source(lister),
            override_num_blocks=1,
            num_cpus=0,
            label_selector={"ray.io/node-id": here},
        )
        return listed.map_batches(
            _CheckActor,
            fn_constructor_args=(
                self._options,
                _bundle_files(self._options.detector),
                Path.cwd(),
            ),
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=1,
            num_gpus=_gpu_share(self._options.device, found.get("GPU", 0.0), workers),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
        )


def _gpu_share(device: str, gpus: float, workers: int) -> float | None:
    """Return the share of the cluster's GPUs for each actor; Ray hides them from one without.

    >>> _gpu_share("cuda", 1, 4), _gpu_share("cuda", 8, 4), _gpu_share("cpu", 1, 4)
    (0.25, 1.0, None)
    """
    return None if device == "cpu" or not gpus else min(gpus / workers, 1.0)


class _CheckActor:
    """An actor of the pool: one process that checks chunks."""

    def __init__(self, options: CheckOptions, files: _FILES | None, folder: Path) -> None:
        _enter(folder)
        self._folder = tempfile.TemporaryDirectory(prefix="faceproof-detector-")
        if files is not None:
            for name, data in files.items():
                (Path(self._folder.name) / name).write_bytes(data)
            options = options.model_copy(update={"detector": self._folder.name})
        self._engine = LocalEngine(options, workers=1)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the rows of each chunk of a batch."""
        import pyarrow as pa

        done = [
            _to_bytes(self._check(row[_ITEMS])) if row[_ITEMS] else b"" for row in batch.to_pylist()
        ]
        return pa.table({_ROWS: pa.array(done, pa.binary()), _COUNTS: batch[_COUNTS]})

    def _check(self, items: bytes) -> pa.Table:
        import pyarrow as pa

        chunk = [_read_item(row) for row in _from_bytes(items).to_pylist()]
        return pa.concat_tables(self._engine.run([chunk]))


def _iterate(lister: Lister, make_dataset: Callable[[Lister], Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a dataset, made and read under the settings of a scan."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    settings = {
        "enable_progress_bars": False,
        "target_max_block_size": 1,  # a row, which is a chunk, is a block and so a task
    }
    before = {name: getattr(context, name) for name in settings}
    try:
        for name, value in settings.items():
            setattr(context, name, value)
        yield from make_dataset(lister).iter_rows()
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def _bundle_files(detector: str) -> _FILES | None:
    """Return the files of a detector for machines that do not have its folder; None: all do."""
    folder = locate(detector)
    if Path(detector) != folder:
        return None  # the embedded one, which is installed with faceproof
    bundle = Bundle.read(folder)
    files = {file.name: bundle.read_file(file) for file in bundle.spec.files}
    return files | {SPEC_FILE: (folder / SPEC_FILE).read_bytes()}


def _make_source(lister: Lister) -> Any:
    """Return the data source of Ray Data with one row for each chunk, and one with the counts."""
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    class _ListerSource(Datasource):  # type: ignore[misc]
        """The chunks of a lister, listed as they are needed by one task."""

        def estimate_inmemory_data_size(self) -> None:
            """Return that it is not known."""

        def get_read_tasks(self, *_: object, **__: object) -> list[Any]:
            """Return the one task."""
            unknown = BlockMetadata(
                num_rows=None, size_bytes=None, exec_stats=None, input_files=None
            )
            return [ReadTask(partial(_list_chunks, lister, Path.cwd()), unknown)]

    return _ListerSource()


def _enter(folder: Path) -> None:
    """Take the working folder of the command, of which relative paths are, where it exists."""
    with contextlib.suppress(OSError):
        os.chdir(folder)


def _list_chunks(lister: Lister, folder: Path) -> Iterator[pa.Table]:
    """Yield a table of one row for each chunk, and last one with the counts."""
    _enter(folder)
    for chunk in lister:
        yield _chunk_row(_to_bytes(_items_table(chunk)), None)
    yield _chunk_row(b"", [lister.listed, lister.repeated, lister.skipped])


def _chunk_row(items: bytes, counts: list[int] | None) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            _ITEMS: pa.array([items], pa.binary()),
            _COUNTS: pa.array([counts], pa.list_(pa.int64())),
        }
    )


def _items_table(items: Iterable[Item]) -> pa.Table:
    """Return items as rows; paths are bytes, since file names need not be Unicode."""
    import pyarrow as pa

    rows = [
        {
            "source": item.source,
            "path": os.fsencode(item.path),
            "offset": item.offset,
            "size": item.size,
            "modified_ns": item.modified_ns,
            "data": item.data,
            "error": item.error,
            "identity": item.identity,
        }
        for item in items
    ]
    types = {
        "source": pa.string(),
        "path": pa.binary(),
        **dict.fromkeys(("offset", "size", "modified_ns"), pa.int64()),
        "data": pa.large_binary(),
        "error": pa.list_(pa.string()),
        "identity": pa.string(),
    }
    return pa.Table.from_pylist(rows, schema=pa.schema(list(types.items())))


def _read_item(row: dict[str, Any]) -> Item:
    error = row["error"] and (row["error"][0], row["error"][1])
    return Item(**row | {"path": os.fsdecode(row["path"]), "error": error})


def _to_bytes(table: pa.Table) -> bytes:
    """Return a table in Arrow's IPC format."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _from_bytes(data: bytes) -> pa.Table:
    import pyarrow as pa

    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()
