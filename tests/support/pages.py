"""A page of a report, read tag by tag."""

from __future__ import annotations

from collections.abc import Set
from html.parser import HTMLParser


class Reader(HTMLParser):
    """Reads a page and keeps what it is made of; a tag that is not closed in order is an error."""

    def __init__(self, void: Set[str]) -> None:
        """``void`` are the tags that need no end."""
        super().__init__()
        self.void = void
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.seen if tag in tags]


def read(page: str, void: Set[str]) -> Reader:
    """Return the page's tags and text; every tag must be closed."""
    reader = Reader(void)
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader
