"""Python, the command line, the REST service and the page say the same of the same pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin
from starlette.testclient import TestClient
from typer.testing import CliRunner

from faceproof import Checker, Detector
from faceproof.cli import app as command_line
from faceproof.frontends.api.app import create_app
from faceproof.frontends.api.settings import ServiceSettings
from faceproof.frontends.webapp import settings
from support.webpage import Page, opened, sample

PICTURES = ("real-couple.jpg", "fake-swap-astronaut-on-hopper.jpg", "no-face-cat.jpg")
ByName = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Several faces, none, a file that says what made it, one that is cut, one that is empty."""
    place = tmp_path_factory.mktemp("pictures")
    for name in PICTURES:
        (place / name).write_bytes(sample(name))
    output = PngImagePlugin.PngInfo()
    output.add_text("parameters", "a face\nSteps: 20, Sampler: Euler a, Seed: 1")
    Image.open(place / PICTURES[1]).save(place / "says-who-made-it.png", pnginfo=output)
    (place / "cut.jpg").write_bytes(sample(PICTURES[0])[:3000])
    (place / "empty.jpg").touch()
    before = Path.cwd()
    os.chdir(place)  # so that a path is as short as an upload's name
    yield place
    os.chdir(before)


@pytest.fixture(scope="module")
def by_python(folder: Path) -> ByName:
    checker = Checker(Detector.load("default"), heatmaps=True)
    names = sorted(path.name for path in folder.iterdir())
    return by_name(json.loads(one.model_dump_json()) for one in checker.check_many(names))


def by_name(results: Any) -> ByName:
    """Return whole results by their source, without how long each took."""
    found = {one["source"]: one for one in results}
    assert all(one.pop("elapsed_ms") >= 0 for one in found.values())
    return found


def test_there_is_something_to_disagree_on(by_python):
    statuses = {name: one["status"] for name, one in by_python.items()}
    assert sorted(statuses.values()) == ["error", "error", "no_face", "ok", "ok", "ok"]
    assert len(by_python["real-couple.jpg"]["faces"]) > 1
    assert all(face["heatmap"] for face in by_python["real-couple.jpg"]["faces"])
    made = by_python["says-who-made-it.png"]["provenance"]["findings"]
    assert "made_by_ai" in {one["points_to"] for one in made}


def test_the_command_line(by_python, folder, tmp_path):
    asked = ["check", *by_python, "--format", "jsonl", "--heatmaps", str(tmp_path / "maps")]
    done = CliRunner().invoke(command_line, asked)
    assert done.exit_code == 1, done.output
    assert by_name(map(json.loads, done.stdout.splitlines())) == by_python


def test_the_service(by_python, folder):
    service = create_app(Checker(Detector.load("default")), ServiceSettings())
    files = [("file", (name, (folder / name).read_bytes())) for name in by_python]
    with TestClient(service, base_url="http://localhost") as client:
        batch = client.post("/v1/check/batch?heatmaps=true", files=files)
        alone = [client.post("/v1/check?heatmaps=true", files=[file]) for file in files]
    assert by_name(batch.json()["results"]) == by_python
    judged = [one.json() for one in alone if one.status_code == 200]
    refused = {(one.json()["code"], one.json()["detail"]) for one in alone if one.status_code > 200}
    errors = [one["error"] for one in by_python.values() if one["error"]]
    assert by_name(judged) == {k: v for k, v in by_python.items() if not v["error"]}
    assert refused == {(one["code"], one["message"]) for one in errors}


def test_the_page(by_python, folder, monkeypatch):
    monkeypatch.delenv(settings.DETECTOR, raising=False)
    page = opened().upload(*((name, (folder / name).read_bytes()) for name in by_python))
    assert kept(page) == {name: without_maps(one) for name, one in by_python.items()}
    for picture, *_ in list(page.at.session_state["results"]):
        page.at.button(key=f"show {picture}").click()
        page.run()
        for heat in page.at.toggle:
            if "evidence lies" in heat.label and not heat.value:
                heat.set_value(True)
                page.run()
    assert kept(page) == by_python


def kept(page: Page) -> ByName:
    """Return the results that a session of the page holds."""
    results = page.at.session_state["results"].values()
    return by_name(json.loads(one.model_dump_json()) for one in results)


def without_maps(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result as it is where no heat maps were asked for."""
    return result | {"faces": [face | {"heatmap": None} for face in result["faces"]]}
