"""``check --stability``: the answers on 24 copies of each picture, saved again, in its result."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

import typer

from faceproof.cli.case import read_source_file
from faceproof.errors import FaceproofError

if TYPE_CHECKING:
    from faceproof.checker import Checker, Source
    from faceproof.results import CheckResult

_OTHERWISE = "not saved again"


class StabilityCheck:
    """Adds the answers on copies to results, in order.

    A result has no pixels: its source is read a second time, and must be the file that was judged.
    """

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._sources: deque[Source] = deque()

    def record_sources(self, sources: Iterable[Source]) -> Iterator[Source]:
        """Yield the sources on their way to the checker, whose results `add` gets."""
        for source in sources:
            self._sources.append(source)
            yield source

    def add(self, result: CheckResult) -> CheckResult:
        """Return the next result with its copies; a picture without a face has none."""
        source = self._sources.popleft()
        if not result.faces or result.image is None:
            return result
        data = read_source_file(source, self._checker, otherwise=_OTHERWISE)
        if data is None:
            return result
        if sha256(data).hexdigest() != result.image.sha256:
            typer.echo(f"{result.source}: changed since it was judged: {_OTHERWISE}", err=True)
            return result
        from faceproof.audits import check_resaved

        try:
            copies = check_resaved(self._checker, data)
        except FaceproofError as error:
            typer.echo(f"{result.source}: {error}: {_OTHERWISE}", err=True)
            return result
        return result.model_copy(update={"resaved": copies})
