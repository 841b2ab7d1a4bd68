"""The Ray engine's messages, without a cluster."""

import pytest

pytest.importorskip("pyarrow")
ray = pytest.importorskip("ray")

from faceproof.errors import FaceproofError, UsageError  # noqa: E402
from faceproof.scanning.ray_engine import RayEngine  # noqa: E402
from faceproof.scanning.worker import CheckOptions  # noqa: E402

BY = {"name": "bright", "version": "1.0", "sha256": "0" * 64}
OPTIONS = CheckOptions(detector="default", operating_point="1-in-100", faces="all", by=BY)


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        (None, FaceproofError, "^Ray did not start: it timed out. Ray waits 30 s"),
        ("10.0.0.1:6379", UsageError, "^no Ray cluster at '10.0.0.1:6379': it timed out.$"),
    ],
)
def test_a_cluster_that_does_not_start_is_an_error_in_one_line(monkeypatch, address, kind, message):
    def fail(**_):
        raise Exception("it timed out.\nDetails")  # noqa: TRY002 (as Ray does)

    monkeypatch.setattr(ray, "init", fail)
    engine = RayEngine(OPTIONS, workers=1, address=address)
    with pytest.raises(kind, match=message), engine:
        pass
