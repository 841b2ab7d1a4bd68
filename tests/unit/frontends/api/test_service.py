"""Ready means that a picture whose truth is known was judged rightly."""

import pytest

from faceproof import Checker, Detector
from faceproof.errors import BundleError, UsageError
from faceproof.frontends.api.service import BUILT_IN, Readiness, find_fault
from faceproof.frontends.api.settings import read_settings
from faceproof.frontends.api.uploads import Upload
from support.service import SAMPLES, client_of, picture, run

HOPPER = SAMPLES / "real-hopper.jpg"


def test_a_service_that_judges_wrongly_runs_says_so_and_is_not_ready(tiny_bundle, caplog):
    """The tiny detector calls dark faces real, and the portrait is dark."""
    with client_of(tiny_bundle, ready_verdict="fake") as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["code"] == "not_ready"
        assert answer.json()["detail"] == f"{BUILT_IN}: expected verdict fake, got real"
        assert "not ready: built-in.jpg: expected verdict fake" in caplog.text
        assert client.get("/healthz").status_code == 200
        assert client.post("/v1/check", files={"file": ("a.png", picture())}).status_code == 200


@pytest.mark.parametrize("settings", [{}, {"ready_picture": HOPPER}])
def test_a_service_that_judges_rightly_is_ready_until_it_stops(tiny_bundle, settings):
    with client_of(tiny_bundle, **settings) as client:
        assert client.get("/readyz").json() == {"status": "ready"}
        client.app.state.service.readiness.stopping = True
        assert client.get("/readyz").status_code == 503
        assert "shutting down" in client.get("/readyz").text


def test_the_default_detector_is_right_about_the_built_in_picture():
    """By a wide margin: the portrait must not hang on the rounding of a processor."""
    detector = Detector.load("default")
    upload = Readiness(None, "real").upload
    result = Checker(detector).check(upload.data, name=upload.name)
    assert find_fault(result, "real") is None
    assert result.fake_probability < detector.operating_point().real_below / 2


def test_what_is_wrong_is_told(tiny_bundle):
    checker = Checker(Detector.load(tiny_bundle))
    assert "found 2" in find_fault(checker.check(SAMPLES / "real-couple.jpg"), "real")
    assert "found 0" in find_fault(checker.check(picture()), "real")
    assert "check failed" in find_fault(checker.check(b"text\n"), "real")


def test_an_error_of_the_detector_is_told():
    async def broken(_):
        raise BundleError("bright.onnx gives no logit per picture")

    readiness = Readiness(None, "real")
    assert readiness.reason_not_ready == "the readiness picture is not judged yet"
    run(lambda: readiness.judge_picture(broken))
    assert readiness.reason_not_ready == (
        f"{BUILT_IN}: check failed: bright.onnx gives no logit per picture"
    )


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("FACEPROOF_SERVE_MAX_FILES", "3")
    monkeypatch.setenv("FACEPROOF_SERVE_GUARD__BURST", "7")
    monkeypatch.setenv("FACEPROOF_SERVE_FEEDBACK__DATABASE", "off")
    settings = read_settings(max_faces=2)
    assert (settings.max_files, settings.max_faces, settings.guard.burst) == (3, 2, 7)
    assert settings.feedback.database == "off"
    assert (settings.limits.max_bytes, settings.fetch_policy.max_bytes) == (
        settings.max_file_bytes,
        settings.max_file_bytes,
    )
    assert read_settings(addresses=False).fetch_policy is None


def test_networks_of_the_operators_own_are_opened_and_closed(monkeypatch):
    monkeypatch.setenv("FACEPROOF_SERVE_REFUSED_NETWORKS", '["203.0.114.0/24"]')
    monkeypatch.setenv("FACEPROOF_SERVE_ALLOWED_NETWORKS", '["10.1.0.0/16"]')
    policy = read_settings().fetch_policy
    assert (policy.refuse, policy.allow_private) == (("203.0.114.0/24",), ("10.1.0.0/16",))
    monkeypatch.setenv("FACEPROOF_SERVE_ALLOWED_NETWORKS", '["home"]')
    with pytest.raises(UsageError, match="networks"):
        _ = read_settings().fetch_policy


def test_a_misspelt_variable_is_refused(monkeypatch):
    monkeypatch.setenv("FACEPROOF_SERVE_GUARD__KEY_FILE", "keys.json")
    with pytest.raises(UsageError, match="did you mean 'FACEPROOF_SERVE_GUARD__KEYS_FILE'"):
        read_settings()


def test_an_upload_says_nothing_of_its_bytes():
    assert "secret" not in repr(Upload("a.jpg", b"secret"))
