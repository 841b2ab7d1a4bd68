"""With heat maps on request the service gives what a Checker with heat maps gives."""

import pytest

from faceproof import Checker, Detector
from support.service import SAMPLES, client_of

PICTURE = SAMPLES / "real-couple.jpg"


@pytest.fixture(scope="module")
def detector():
    return Detector.load("default")


@pytest.fixture(scope="module")
def client(detector):
    with client_of(detector.bundle.folder) as given:
        yield given


@pytest.mark.parametrize("heatmaps", [False, True])
def test_a_result_is_that_of_the_checker(client, detector, heatmaps):
    checker = Checker(detector, heatmaps=heatmaps)
    expected = checker.check(PICTURE.read_bytes(), name=PICTURE.name).model_dump(mode="json")
    answer = client.post(
        f"/v1/check?heatmaps={str(heatmaps).lower()}",
        files={"file": (PICTURE.name, PICTURE.read_bytes())},
    )
    assert answer.status_code == 200
    assert answer.json() | {"elapsed_ms": 0} == expected | {"elapsed_ms": 0}
    assert len(answer.json()["faces"]) == 2
    assert all((face["heatmap"] is not None) == heatmaps for face in answer.json()["faces"])


def test_the_detector_says_that_it_has_them(client):
    assert client.get("/v1/detectors").json()["detectors"][0]["heatmaps"] is True


def test_card_and_description_are_the_files_of_the_bundle(client, detector):
    card = client.get(f"/v1/detectors/{detector.spec.name}/card")
    assert card.headers["content-type"].startswith("text/markdown")
    assert card.content == (detector.bundle.folder / "CARD.md").read_bytes()
    whole = client.get(f"/v1/detectors/{detector.spec.name}")
    assert whole.content == (detector.bundle.folder / "detector.json").read_bytes()
