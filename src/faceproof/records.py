"""Record: the frozen base class of everything written to disk or sent over the network."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic.json_schema import JsonSchemaValue

from faceproof.outputs import write_text


def _drop_example(schema: dict[str, Any]) -> None:
    """Leave the example of a docstring out of a JSON schema, whose readers may not know Python."""
    if "description" in schema:
        schema["description"] = schema["description"].partition("\n\n>>> ")[0]


class Record(BaseModel):
    """A serialisable value: frozen, without unknown fields, NaN or infinity.

    A large one defines `_summarise`, which its repr shows instead of every field.

    >>> class Point(Record):
    ...     x: float
    >>> Point(x=1.0).model_dump_json()
    '{"x":1.0}'
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, json_schema_extra=_drop_example
    )

    def _summarise(self) -> str:
        """Return what matters of the record on one line, for its repr; "" shows every field."""
        return ""

    def __repr__(self) -> str:
        words = self._summarise()
        return f"<{type(self).__name__} {words}>" if words else super().__repr__()

    def __str__(self) -> str:
        return repr(self) if self._summarise() else super().__str__()

    def __rich_repr__(self) -> Iterator[Any]:
        """Yield the summary, or every field, for rich."""
        words = self._summarise()
        yield from [words] if words else self.__repr_args__()

    def write(self, path: Path) -> None:
        """Write indented JSON with a final newline, UTF-8; the whole file or nothing."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the record that `write` stored at ``path``; an editor may have added a mark."""
        return cls.model_validate_json(path.read_bytes().removeprefix(BOM_UTF8))


class VersionedRecord(Record):
    """A Record with fields of later versions, named in ``ADDED_FIELDS`` and omitted when empty.

    Files of earlier versions still parse, and serialise and hash to the same bytes.

    >>> class Point(VersionedRecord):
    ...     ADDED_FIELDS = frozenset({"name"})
    ...     x: float
    ...     name: str | None = None
    >>> Point(x=1.0).model_dump_json(), Point(x=1.0, name="a").model_dump_json()
    ('{"x":1.0}', '{"x":1.0,"name":"a"}')
    """

    ADDED_FIELDS: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _omit_empty(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = written(self)
        return {
            key: value
            for key, value in content.items()
            if key not in self.ADDED_FIELDS or value not in (None, [], ())
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of the fields; that of the serialiser is an object without any."""
        return handler(_without_serialiser(core_schema))


def _without_serialiser(schema: Any) -> Any:
    """Return a copy of a model's core schema, within its validators, without the serialiser."""
    if schema["type"].startswith("function-"):
        return {**schema, "schema": _without_serialiser(schema["schema"])}
    return {key: value for key, value in schema.items() if key != "serialization"}


class Document(Record):
    """A Record that is a whole file or answer, and names its format in ``schema``.

    A subclass declares it: ``schema_: Literal["faceproof.x/1"]``, with ``schema`` as its alias.

    >>> from typing import Literal
    >>> from pydantic import Field
    >>> class Answer(Document):
    ...     schema_: Literal["faceproof.answer/1"] = Field("faceproof.answer/1", alias="schema")
    >>> Answer().model_dump_json()
    '{"schema":"faceproof.answer/1"}'
    """

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )
