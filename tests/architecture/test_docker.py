"""What the Dockerfile and compose.yaml promise, read from both and held against the project."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import typer.main

from faceproof.cli import app

yaml = pytest.importorskip("yaml")
pytest.importorskip("fastapi")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
#: The lines of the Dockerfile, those that go on joined, comments left out.
LINES = [
    line
    for line in re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.M)).splitlines()
    if line
]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICE = COMPOSE["services"]["faceproof"]
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

A_SECRET = re.compile(
    r"(password|secret|token|key)\s*[:=]\s*['\"]?[a-z0-9]{6,}['\"]?$", re.IGNORECASE | re.MULTILINE
)


def arguments_of(word: str) -> list[str]:
    """Return what stands after an instruction, once for each time."""
    return [line.partition(" ")[2] for line in LINES if line.startswith(f"{word} ")]


def environment() -> dict[str, str]:
    return dict(re.findall(r"([A-Z_]+)=(\S+)", arguments_of("ENV")[-1]))


def test_it_runs_as_a_user_that_is_not_root_in_numbers():
    """Only a number can be known to be none of root's before the image is looked into."""
    (user,) = arguments_of("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert SERVICE["user"] == user
    assert LINES.index(f"USER {user}") > max(
        number for number, line in enumerate(LINES) if line.startswith(("RUN", "COPY"))
    )


def test_the_extras_are_ours_and_none_brings_the_training_stack():
    (extras,) = re.findall(r'"\.\[([a-z,]+)\]"', TEXT)
    assert extras.split(",") == ["serve", "postgres"]
    known = PROJECT["optional-dependencies"]
    brought = {name for extra in extras.split(",") for name in known[extra]}
    assert not [name for name in brought if re.match(r"(torch|faceproof\[(train|data|all))", name)]


def test_what_is_copied_is_there_and_let_through():
    for line in arguments_of("COPY"):
        if line.startswith("--from=build"):
            continue
        for name in line.split()[:-1]:
            assert (ROOT / name).exists()
            assert f"!{name}" in IGNORED


def test_the_build_has_all_that_the_wheel_is_made_of():
    copied = {name for line in arguments_of("COPY") for name in line.split()[:-1]}
    assert {"pyproject.toml", "README.md", "LICENSE", "LICENSE-WEIGHTS.md", "src"} <= copied


@pytest.mark.parametrize(
    "name", ["data", "runs", "weights-init", "build", ".venv", ".git", "secrets", ".env", "uv.lock"]
)
def test_nothing_else_goes_to_the_builder(name):
    assert IGNORED[1] == "*"
    assert not any(fnmatch(name, line[1:]) for line in IGNORED if line.startswith("!"))


def test_both_stages_and_the_database_are_of_a_named_release():
    (python,) = [line for line in arguments_of("ARG") if line.startswith("PYTHON=")]
    assert arguments_of("FROM") == ["python:${PYTHON} AS build", "python:${PYTHON}"]
    images = [f"python:{python.partition('=')[2]}"]
    images += [service["image"] for service in COMPOSE["services"].values()]
    for image in images:
        tag = image.partition(":")[2]
        assert re.match(r"\d+\.?\d*", tag), image
        assert "latest" not in tag
    wanted = re.search(r"3\.(\d+)", PROJECT["requires-python"])
    assert int(re.search(r"3\.(\d+)", python)[1]) >= int(wanted[1])


def test_the_version_is_that_of_the_project():
    assert f"VERSION={PROJECT['version']}" in arguments_of("ARG")
    assert 'org.opencontainers.image.version="${VERSION}"' in arguments_of("LABEL")[0]
    assert f'org.opencontainers.image.licenses="{PROJECT["license"]}"' in arguments_of("LABEL")[0]
    assert SERVICE["image"] == f"faceproof:{PROJECT['version']}"


def test_the_command_is_one_of_ours_and_the_port_is_one_port():
    (entry,), (words,) = arguments_of("ENTRYPOINT"), arguments_of("CMD")
    assert yaml.safe_load(entry) == ["faceproof"]
    verb, *options = yaml.safe_load(words)
    given = dict(zip(options[::2], options[1::2], strict=True))
    serve = typer.main.get_command(app).commands[verb]
    assert set(given) <= {name for parameter in serve.params for name in parameter.opts}
    assert given["--host"] == "0.0.0.0"
    (port,) = arguments_of("EXPOSE")
    assert given["--port"] == port
    assert SERVICE["ports"] == [f"127.0.0.1:{port}:{port}"]
    (health,) = arguments_of("HEALTHCHECK")
    assert f"('127.0.0.1', {port}" in health
    assert "'/healthz'" in health


def test_every_setting_is_one_that_the_service_knows():
    from faceproof.frontends.api.settings import PREFIX, variable_names

    named = [name for name in (*environment(), *SERVICE["environment"]) if name.startswith(PREFIX)]
    assert len(named) > 3
    assert set(named) <= set(variable_names())


def test_strangers_need_a_key_and_have_a_rate():
    actual = SERVICE["environment"]
    (secret,) = SERVICE["secrets"]
    assert actual["FACEPROOF_SERVE_GUARD__KEYS_FILE"] == f"/run/secrets/{secret}"
    assert float(actual["FACEPROOF_SERVE_GUARD__REQUESTS_PER_MINUTE"]) > 0
    assert "OPEN_TO_ALL" not in TEXT + str(COMPOSE)


def test_only_feedback_is_written_and_it_has_a_volume():
    (volume,) = arguments_of("VOLUME")
    assert f"mkdir {volume} " in TEXT
    assert environment()["HOME"] == "/tmp"
    assert environment()["ORT_DISABLE_TELEMETRY"] == "1"
    assert SERVICE["read_only"] is True
    assert [place.partition(":")[2] for place in SERVICE["volumes"]] == [volume]
    assert [place.partition(":")[0] for place in SERVICE["tmpfs"]] == ["/tmp"]


def test_feedback_is_off_until_it_is_asked_for():
    assert "FACEPROOF_SERVE_FEEDBACK__DATABASE" not in environment()
    set_to = SERVICE["environment"]["FACEPROOF_SERVE_FEEDBACK__DATABASE"]
    assert set_to == "${FEEDBACK_DATABASE:-off}"


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])
def test_every_container_is_held_short(service):
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["mem_limit"]
    assert service["pids_limit"] <= 256
    assert not {"privileged", "network_mode", "pid", "devices"} & set(service)


def test_the_database_is_reached_by_the_service_alone():
    database = COMPOSE["services"]["postgres"]
    assert database["profiles"] == ["postgres"]
    assert "ports" not in database
    assert database["networks"] == ["database"]
    assert COMPOSE["networks"]["database"]["internal"] is True
    assert "database" in SERVICE["networks"]


def test_it_is_given_time_to_finish_what_it_took():
    from faceproof.frontends.api.settings import ServiceSettings

    grace = int(SERVICE["stop_grace_period"].removesuffix("s"))
    assert grace > ServiceSettings.model_fields["shutdown_seconds"].default
    assert arguments_of("STOPSIGNAL") == ["SIGTERM"]


def test_there_is_no_secret_in_either():
    assert all(set(one) == {"file"} for one in COMPOSE["secrets"].values())
    for text in (TEXT, (ROOT / "compose.yaml").read_text(encoding="utf-8")):
        assert not re.search(
            r"(?i)(password|secret|token|key)\s*[:=]\s*['\"]?[a-z0-9]{6,}['\"]?$", text, re.M
        )
    assert COMPOSE["services"]["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"].startswith(
        "/run/secrets/"
    )
