"""What all pages of a report share: templates in which everything is escaped, and their filters."""

from __future__ import annotations

from importlib import resources
from typing import Any


def environment(*, filters: dict[str, Any], names: dict[str, Any]) -> Any:
    """Return jinja2's environment over ``templates``: a misspelt name in one is an error.

    ``filters`` and ``names`` are what a page's template uses beside `marked` and ``count``.
    """
    import jinja2

    folder = resources.files("faceproof.reports") / "templates"
    found = {one.name: one.read_text(encoding="utf-8") for one in folder.iterdir() if one.is_file()}
    made = jinja2.Environment(
        loader=jinja2.DictLoader(found),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"count": "{:,.0f}".format, "marked": marked} | filters
    made.globals |= names
    return made


def marked(sentence: str) -> Any:
    """Return a sentence as HTML, what stands between backticks as code.

    >>> str(marked("use `a < b`"))
    'use <code>a &lt; b</code>'
    """
    from markupsafe import Markup, escape

    parts = [escape(part) for part in sentence.split("`")]
    code = Markup("<code>{}</code>")
    return Markup("").join(
        code.format(part) if place % 2 else part for place, part in enumerate(parts)
    )
