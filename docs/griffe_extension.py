"""What mkdocstrings reads besides docstrings: descriptions of fields, and examples as code.

mkdocs.yml names this file. It is read when the site is built, and by nothing else.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"(?:^[ ]*>>>.*\n?(?:^[ ]*(?!>>>)\S.*\n?)*)+", re.MULTILINE)


class FieldsAndExamples(griffe.Extension):
    """Gives a field its description as docstring, and puts examples into blocks of code."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Use ``Field(description=...)`` as the docstring of a field that lacks one."""
        if attr.docstring is None and isinstance(attr.value, griffe.ExprCall):
            for argument in attr.value.arguments:
                if isinstance(argument, griffe.ExprKeyword) and argument.name == "description":
                    text = ast.literal_eval(str(argument.value))
                    attr.docstring = griffe.Docstring(text, parent=attr)

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put the lines of an example, ``>>> f(x)`` and what it prints, into a block."""
        if obj.docstring is not None:
            obj.docstring.value = as_blocks(obj.docstring.value)


def as_blocks(text: str) -> str:
    r"""Return a docstring with its examples in blocks of code.

    >>> as_blocks("Return x.\n\n>>> f(1)\n1\n\nMore.")
    'Return x.\n\n```pycon\n>>> f(1)\n1\n```\n\nMore.'
    """
    return _EXAMPLE.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text).rstrip()
