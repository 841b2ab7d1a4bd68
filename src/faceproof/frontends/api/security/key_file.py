"""`Keys`: the API-key file, with hashes only, replaced atomically, readable by its owner.

A secret is 256 random bits, so one round of SHA-256 is enough: nobody can try 2**256 secrets.
Slow password hashes (argon2, bcrypt) compensate for weak passwords; here they would only help a
denial of service. The hash covers the whole key with its unique id, which acts as a salt.

Source: NIST SP 800-63B (2017), section 5.1.2.2: secrets of 112 bits of entropy or more are kept
as an approved one-way hash, weaker ones salted and stretched.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError, model_validator

from faceproof.errors import UsageError
from faceproof.outputs import atomic_write
from faceproof.records import Document, Record
from faceproof.runs import lock_folder

KEY = re.compile(r"fp_(?P<id>[0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
LARGEST_FILE = 4 * 1024 * 1024

#: Forbidden mode bits: any access for others, write access for the group.
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP


def _require_printable(name: str) -> str:
    """Return a name that is printable in a table and in a log."""
    if not name.isprintable() or name != name.strip():
        raise ValueError("name must be printable, without leading or trailing spaces")
    return name


class Key(Record):
    """Stored record of an API key, times in UTC; it is invalid from ``expires`` on."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    name: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_require_printable)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    retired: AwareDatetime | None = None

    def state(self, now: datetime) -> Literal["valid", "expired", "retired"]:
        """Return the state of the key at a time."""
        if self.retired is not None and self.retired <= now:
            return "retired"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


class Keys(Document):
    """All API keys of a service."""

    schema_: Literal["faceproof.keys/1"] = Field(default="faceproof.keys/1", alias="schema")
    keys: tuple[Key, ...] = ()

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        if len({key.id for key in self.keys}) != len(self.keys):
            raise ValueError("two keys have the same id")
        return self

    def replace(self, changed: Key) -> Keys:
        """Return the keys with the key of the same id replaced."""
        return Keys(keys=tuple(changed if key.id == changed.id else key for key in self.keys))


def hash_key(key: str) -> str:
    """Return the SHA-256 of a whole key: 64 hexadecimal digits."""
    return hashlib.sha256(key.encode("ascii", errors="replace")).hexdigest()


def create_key(name: str, *, now: datetime, expires: datetime | None) -> tuple[str, Key]:
    """Return a new key in plain text and its record for the file.

    Raises:
        UsageError: the name is not printable.
    """
    identity = secrets.token_hex(6)
    text = f"fp_{identity}_{secrets.token_urlsafe(32)}"
    try:
        kept = Key(id=identity, name=name, sha256=hash_key(text), created=now, expires=expires)
    except ValidationError as error:
        raise UsageError(f"--name: {error.errors()[0]['msg']}") from None
    return text, kept


def read_keys(path: Path) -> Keys:
    """Return the keys of a file, which must not be accessible to others.

    Symbolic links are followed, as secrets are often mounted by links; the target is checked.

    Raises:
        UsageError: the file is missing, accessible to others, or malformed.
    """
    try:
        content = _read_guarded(path)
        return Keys.model_validate_json(content)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UsageError(f"keys file {path}: {why}: create one with `faceproof keys new`") from None
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "its beginning"
        raise UsageError(f"keys file {path} is malformed at {where}: restore a backup") from None


def change_keys(path: Path, change: Callable[[Keys], Keys]) -> None:
    """Apply ``change`` to the keys of a file (or to no keys) and write the result.

    A lock serialises writers. The file is replaced atomically.

    Raises:
        UsageError: the file is not safe, or its folder does not exist.
    """
    target = path.resolve()
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is not a folder: create it, or use another --file")
    with lock_folder(target.parent, name=f".{target.name}.lock"):
        _write(target, change(read_keys(target) if target.exists() else Keys()))


def now_utc() -> datetime:
    """Return the time in whole seconds, UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def _read_guarded(path: Path) -> bytes:
    """Return the bytes of a file, checked through the same descriptor that is read."""
    # Do not block on a named pipe.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:  # noqa: PTH123
        _refuse_unsafe(path, os.fstat(file.fileno()))
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise UsageError(f"keys file {path} is larger than {LARGEST_FILE} bytes")
    return content


def _refuse_unsafe(path: Path, found: os.stat_result) -> None:
    """Reject anything but a regular file of this user that others cannot access."""
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"keys file {path} is not a regular file")
    if os.name == "nt":
        return
    if found.st_mode & _TOO_OPEN:
        mode = stat.S_IMODE(found.st_mode)
        raise UsageError(
            f"keys file {path} is accessible to others (mode {mode:o}): chmod 600 {path}"
        )
    if found.st_uid not in {0, os.geteuid()}:
        raise UsageError(f"keys file {path} belongs to another user: chown it")


def _write(path: Path, keys: Keys) -> None:
    """Replace the file with a new one that others could never read."""
    with atomic_write(path, private=True, locked=True) as file:
        file.write((keys.model_dump_json(indent=2) + "\n").encode())
