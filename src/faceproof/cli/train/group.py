"""A verb that takes a file, and has verbs of its own beside it."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class RecipeOrVerb(TyperGroup):
    """A group whose first word is one of its verbs, or else the file that it takes itself.

    A file that is called like a verb is reached as ``./combine``.
    """

    allow_extra_args = False
    allow_interspersed_args = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Return the context of the verb that the first word names, or of the group itself."""
        if args and args[0] in self.commands:
            verb = self.commands[args[0]]
            return verb.make_context(f"{info_name} {args[0]}", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)
