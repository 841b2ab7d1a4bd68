"""The file of API keys: hashes alone, written whole or not at all, for its owner's eyes.

A secret is 256 random bits, so one round of SHA-256 keeps it: nobody can try 2**256 secrets. The
slow hashes for passwords (argon2, bcrypt) make up for words that people choose, and would only give
strangers a way to keep the service busy. The hash is over the whole key, whose id is in no other:
equal hashes cannot be looked for across keys, as with a salt.

Source: NIST SP 800-63B (2017), section 5.1.2.2: secrets of 112 bits of entropy or more are kept
as an approved one-way hash, weaker ones salted and stretched.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError, model_validator

from faceproof.errors import UsageError
from faceproof.records import Document, Record
from faceproof.runs import locked

KEY = re.compile(r"fp_(?P<id>[0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
LARGEST_FILE = 4 * 1024 * 1024

#: What others may not: read, write or run the file; its group may not write it.
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP


def _plain(name: str) -> str:
    """Return a name that can stand in a table and in a log."""
    if not name.isprintable() or name != name.strip():
        raise ValueError("a name has printable characters, and no space at its ends")
    return name


class Key(Record):
    """One API key: all that is kept of it, in UTC; ``expires`` is the first moment it is over."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    name: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_plain)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    retired: AwareDatetime | None = None

    def state(self, now: datetime) -> Literal["valid", "expired", "retired"]:
        """Return whether the key opens the service."""
        if self.retired is not None and self.retired <= now:
            return "retired"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


class Keys(Document):
    """All keys of a service."""

    schema_: Literal["faceproof.keys/1"] = Field(default="faceproof.keys/1", alias="schema")
    keys: tuple[Key, ...] = ()

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        if len({key.id for key in self.keys}) != len(self.keys):
            raise ValueError("two keys have one id")
        return self

    def replacing(self, changed: Key) -> Keys:
        """Return the keys with one put in the place of the one with its id."""
        return Keys(keys=tuple(changed if key.id == changed.id else key for key in self.keys))


def digest(key: str) -> str:
    """Return the hash of a whole key, as it is kept: 64 hexadecimal digits."""
    return hashlib.sha256(key.encode("ascii", errors="replace")).hexdigest()


def new_key(name: str, *, now: datetime, expires: datetime | None) -> tuple[str, Key]:
    """Return a new key as its owner needs it, and what is kept of it.

    Raises:
        UsageError: the name cannot stand in a table.
    """
    identity = secrets.token_hex(6)
    text = f"fp_{identity}_{secrets.token_urlsafe(32)}"
    try:
        kept = Key(id=identity, name=name, sha256=digest(text), created=now, expires=expires)
    except ValidationError as error:
        raise UsageError(f"--name: {error.errors()[0]['msg']}") from None
    return text, kept


def read_keys(path: Path) -> Keys:
    """Return the keys of a file that nobody else may read or change.

    A link is followed, as secrets are often mounted by links; what it leads to is looked at.

    Raises:
        UsageError: no such file, open to others, or not a whole file of keys.
    """
    try:
        content = _read_guarded(path)
        return Keys.model_validate_json(content)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UsageError(f"keys file {path}: {why}: `faceproof keys new` makes one") from None
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "its beginning"
        raise UsageError(f"keys file {path} is damaged at {where}: put back a copy") from None


def change_keys(path: Path, change: Callable[[Keys], Keys]) -> None:
    """Write what ``change`` makes of the keys of a file, or of none where there is no file yet.

    Two programs that change a file do so one after the other. The file is replaced whole.

    Raises:
        UsageError: the file cannot be trusted, or there is no folder for it.
    """
    target = path.resolve()
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is no folder: make it, or name another --file")
    with locked(target.with_name(f".{target.name}.lock"), wait=True):
        _write(target, change(read_keys(target) if target.exists() else Keys()))


def now_utc() -> datetime:
    """Return the time in whole seconds, UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def _read_guarded(path: Path) -> bytes:
    """Return the bytes of a file, looked at through the descriptor that is then read."""
    # Not to wait for ever where the name leads to a pipe.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:  # noqa: PTH123
        _refuse_unsafe(path, os.fstat(file.fileno()))
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise UsageError(f"keys file {path} has more than {LARGEST_FILE} bytes")
    return content


def _refuse_unsafe(path: Path, found: os.stat_result) -> None:
    """Refuse what is no file, is open to others, or belongs to somebody else."""
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"keys file {path} is no regular file")
    if os.name == "nt":
        return
    if found.st_mode & _TOO_OPEN:
        mode = stat.S_IMODE(found.st_mode)
        raise UsageError(f"keys file {path} is open to others (mode {mode:o}): chmod 600 {path}")
    if found.st_uid not in {0, os.geteuid()}:
        raise UsageError(f"keys file {path} belongs to another user: chown it")


def _write(path: Path, keys: Keys) -> None:
    """Put a new file, which others could never read, in the place of the old one."""
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write((keys.model_dump_json(indent=2) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
