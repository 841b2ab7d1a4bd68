"""Parquet shards: one row a sample, its picture's file in a column that `datasets` knows.

The column ``image`` is a struct of ``bytes`` and ``path``, and the schema says so in the way that
Hugging Face's `datasets` writes it: it opens as a picture there, and as bytes anywhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from faceproof.data.preparing.shards.sample import Sample, SampleFacts
from faceproof.errors import DataError
from faceproof.pipeline import in_batches

#: A row group is closed at so many bytes of pictures: what a writer or a reader holds at once.
_GROUP_BYTES = 32 * 1000**2

_TEXT = ("label", "generator", "source", "split", "group", "sha256")
_POINTS = 10


def write_parquet(samples: Iterable[Sample], file: BinaryIO) -> None:
    """Write the samples; equal samples give equal bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = _schema(pa)
    groups = in_batches(samples, lambda sample: len(sample.data), weight=_GROUP_BYTES)
    # Pictures are compressed already; a dictionary or the least and largest of them is a burden.
    with parquet.ParquetWriter(
        file,
        schema,
        compression="none",
        use_dictionary=list(_TEXT),
        write_statistics=list(_TEXT),
    ) as writer:
        for group in groups:
            rows = [_row(sample) for sample in group]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def row_bytes(picture: int, facts: int) -> int:
    """Return about how many bytes a sample takes up in a Parquet file."""
    return picture + facts


def read_parquet(path: Path) -> Iterator[Sample]:
    """Yield the samples of a Parquet file, one row group after another.

    Raises:
        DataError: it is no whole Parquet file, or holds something else.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                yield from map(_sample, file.read_row_group(number).to_pylist())
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(
            f"{path} is no whole shard of this kind ({error}): copy it again"
        ) from error


def _schema(pa: Any) -> Any:
    """Return the columns, described to `datasets` as well."""
    columns = {
        "key": pa.string(),
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        **dict.fromkeys(_TEXT, pa.string()),
        "is_fake": pa.int64(),
        "weight": pa.float64(),
        "landmarks": pa.list_(pa.float32(), _POINTS),
        "attributes": pa.string(),
    }
    plain = {
        name: {"dtype": str(kind).replace("double", "float64"), "_type": "Value"}
        for name, kind in columns.items()
    }
    points = {"dtype": "float32", "_type": "Value"}
    listed = {"feature": points, "length": _POINTS, "_type": "Sequence"}
    features = plain | {"image": {"_type": "Image"}, "landmarks": listed}
    said = json.dumps({"info": {"features": features}})
    return pa.schema(list(columns.items()), metadata={"huggingface": said})


def _row(sample: Sample) -> dict[str, object]:
    """Return a sample as a row; attributes are JSON, for every set has others."""
    facts = sample.facts.model_dump()
    points = [number for point in sample.facts.landmarks for number in point]
    return facts | {
        "key": sample.key,
        "image": {"bytes": sample.data, "path": f"{sample.key}.{sample.suffix}"},
        "landmarks": points,
        "attributes": json.dumps(sample.facts.attributes, ensure_ascii=False),
    }


def _sample(row: dict[str, Any]) -> Sample:
    """Return the sample of a row."""
    key, image, points = row.pop("key"), row.pop("image"), row.pop("landmarks")
    pairs = tuple(zip(points[::2], points[1::2], strict=True))
    attributes = json.loads(row.pop("attributes"))
    facts = SampleFacts(**row, landmarks=pairs, attributes=attributes)
    return Sample(key, PurePosixPath(image["path"]).suffix[1:], image["bytes"], facts)
