"""Names that belong together because something was made of both."""

from __future__ import annotations

from collections.abc import Iterable


class Identities:
    """Sets of names, joined pair by pair (union-find).

    >>> people = Identities()
    >>> people.join(["id3", "id1"])
    >>> people.join(["id2", "id3"])
    >>> people.group("id2"), people.group("id9")
    ('id1', 'id9')
    """

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def join(self, names: Iterable[str]) -> None:
        """Put all of these into one group."""
        first, *others = (self.group(name) for name in names)
        for other in others:
            low, high = sorted((self.group(first), self.group(other)))
            self._parent[high] = low

    def group(self, name: str) -> str:
        """Return the smallest name of the group; a name that was never joined is its own."""
        top = name
        while (above := self._parent.get(top, top)) != top:
            top = above
        while name != top:
            # Short ways for the next look-up.
            self._parent[name], name = top, self._parent[name]
        return top
