"""faceproof keys: the API keys of a public service."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.errors import UnknownChoiceError, UsageError

if TYPE_CHECKING:
    from faceproof.frontends.api.security.key_file import Key, Keys

app = typer.Typer(help="Create, list, rotate and retire API keys.", no_args_is_help=True)

File = Annotated[
    Path,
    typer.Option(
        "--file", envvar="FACEPROOF_SERVE_GUARD__KEYS_FILE", help="Key file of the service."
    ),
]
Identity = Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as in `keys list`.")]
_Days = Annotated[
    int | None, typer.Option(min=1, max=36_500, help="Days until the key expires; default: never.")
]


@app.command()
def new(
    *,
    name: Annotated[str, typer.Option(help="Name of the key's owner.")],
    file: File,
    days: _Days = None,
) -> None:
    """Create a key and print it once; the file has only its hash."""
    _require()
    from faceproof.frontends.api.security.key_file import Keys, change_keys, create_key, now_utc

    now = now_utc()
    secret, key = create_key(name, now=now, expires=_expiry(now, days))
    change_keys(file, lambda keys: Keys(keys=(*keys.keys, key)))
    _show_once(secret, key)


@app.command("list")
def list_(*, file: File) -> None:
    """List the keys: id, state, creation, expiry, name. Secrets are never shown."""
    _require()
    from faceproof.frontends.api.security.key_file import now_utc, read_keys

    keys, now = read_keys(file).keys, now_utc()
    for key in keys:
        over = key.retired or key.expires
        until = f"{over:%Y-%m-%d %H:%M}" if over else "no end"
        typer.echo(
            f"{key.id}  {key.state(now):<7}  {key.created:%Y-%m-%d %H:%M}  {until:<16}  {key.name}"
        )
    if not keys:
        typer.echo("no keys: `faceproof keys new` makes one", err=True)


@app.command()
def rotate(
    identity: Identity,
    *,
    file: File,
    overlap_days: Annotated[
        int, typer.Option(min=0, max=3650, help="Days for which the old key stays valid.")
    ] = 7,
    days: _Days = None,
) -> None:
    """Replace a key: create a new one; the old one expires after the overlap."""
    _require()
    from faceproof.frontends.api.security.key_file import Keys, change_keys, create_key, now_utc

    now = now_utc()
    secrets: list[tuple[str, Key]] = []

    def change(keys: Keys) -> Keys:
        old = _find_valid_key(keys, identity, now)
        ends = now + timedelta(days=overlap_days)
        shortened = old.model_copy(update={"expires": min(old.expires or ends, ends)})
        secrets.append(create_key(old.name, now=now, expires=_expiry(now, days)))
        return Keys(keys=(*keys.replace(shortened).keys, secrets[0][1]))

    change_keys(file, change)
    _show_once(*secrets[0])
    typer.echo(f"the old key {identity} works for {overlap_days} more days at most", err=True)


@app.command()
def retire(identity: Identity, *, file: File) -> None:
    """Retire a key; a running service rejects it within a second."""
    _require()
    from faceproof.frontends.api.security.key_file import change_keys, now_utc

    def change(keys: Keys) -> Keys:
        key = _find_key(keys, identity)
        return keys.replace(key.model_copy(update={"retired": key.retired or now_utc()}))

    change_keys(file, change)
    typer.echo(f"retired {identity}", err=True)


def _require() -> None:
    """Refuse in words where the service is not installed."""
    from faceproof.tables import require

    require("fastapi", "prometheus_client", "pydantic_settings", "filelock", extra="serve")


def _show_once(secret: str, key: Key) -> None:
    """Write only the secret to standard output, and its details to standard error."""
    typer.echo(secret)
    ends = f"until {key.expires:%Y-%m-%d %H:%M} UTC" if key.expires else "until it is retired"
    typer.echo(f"key {key.id} for {key.name}, {ends}; it is not shown again", err=True)


def _expiry(now: datetime, days: int | None) -> datetime | None:
    return now + timedelta(days=days) if days is not None else None


def _find_key(keys: Keys, identity: str) -> Key:
    """Return the key of that id.

    Raises:
        UnknownChoiceError: there is none.
    """
    for key in keys.keys:
        if key.id == identity:
            return key
    raise UnknownChoiceError(f"no key has the id {identity!r}: see `faceproof keys list`")


def _find_valid_key(keys: Keys, identity: str, now: datetime) -> Key:
    """Return the key of that id, which must still open the service."""
    key = _find_key(keys, identity)
    if key.state(now) != "valid":
        raise UsageError(f"key {identity} is {key.state(now)}: make another with `keys new`")
    return key
