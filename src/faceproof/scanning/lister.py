"""`Lister`: the pictures of a scan that have no result yet, in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from faceproof.errors import SourceError
from faceproof.pipeline import batch_by_weight, map_in_order
from faceproof.scanning.inputs import Inputs
from faceproof.scanning.items import Item, SeenIndex
from faceproof.scanning.result_files import read_identities
from faceproof.scanning.worker import read_item

#: Threads that read pictures for their hash.
_READERS = 4


@dataclass
class Lister:
    """What is left to do of a scan: each iteration lists again, and lists the same.

    ``known`` are the files of results at the start. ``listed`` counts the pictures that were
    yielded, ``repeated`` those that were judged before or listed twice, ``skipped`` other files.
    """

    names: tuple[str, ...]
    known: tuple[Path, ...] = ()
    column: str | None = None
    by_content: bool = False
    chunk: int = 16
    max_bytes: int = Inputs.max_bytes
    listed: int = field(default=0, init=False)
    repeated: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[list[Item]]:
        """Yield the items in chunks of one size, or of fewer items that carry bytes."""
        return batch_by_weight(self._new_items(), lambda item: item.weight, weight=self.chunk)

    def _new_items(self) -> Iterator[Item]:
        self.listed = self.repeated = self.skipped = 0
        with closing(SeenIndex(read_identities(self.known))) as seen:
            is_done = partial(_is_seen, seen)
            inputs = Inputs(self.names, self.column, max_bytes=self.max_bytes)
            if not self.by_content:
                inputs.is_done = is_done
            for item in self._identified(inputs):
                if seen.add(item.identity):
                    self.listed += 1
                    yield item
                else:
                    self.repeated += 1
                self.skipped = inputs.skipped
            self.skipped = inputs.skipped

    def _identified(self, inputs: Inputs) -> Iterator[Item]:
        """Yield the items with their identities."""
        if not self.by_content:
            yield from map(Item.identify, inputs)
            return
        identify = partial(identify_by_content, limit=self.max_bytes + 1)
        ahead = 2 * _READERS
        with closing(map_in_order(identify, inputs, workers=_READERS, ahead=ahead)) as items:
            yield from items


def _is_seen(seen: SeenIndex, item: Item) -> bool:
    return item.identity in seen


def identify_by_content(item: Item, *, limit: int) -> Item:
    """Return an item with its bytes, at most ``limit``, and their hash as its identity.

    What cannot be read, and URLs, which are fetched when they are checked, keep the identity of
    name, size and time. Of a file beyond the limit, the size and the first bytes are hashed.
    """
    if item.error is not None:
        return item.identify()
    try:
        data = read_item(item, limit)
    except (OSError, ValueError, SourceError):
        return item.identify()
    named = item.identify_by_content(data)
    return named if item.offset is None else replace(named, offset=item.offset)
