"""Audits at a prompt: the question's answer in one line, not every table."""

from __future__ import annotations

from faceproof.evaluation.audit_result import AuditResult, AuditRun, AuditSettings, AuditTable
from faceproof.evaluation.compare import Compared, Comparison

SETTINGS = AuditSettings(
    faceproof="0.1.0",
    detector="bright",
    detector_version="1.0",
    detector_sha256="0" * 64,
    data="set.csv",
    data_sha256="0" * 64,
    split="test",
    rows=3,
    operating_point="balanced",
    faces="whole",
    seed=0,
)
TABLE = AuditTable(name="rates", caption="Rates.", columns=("condition", "share"), rows=(("x", 1),))


def result(name: str, **more: object) -> AuditResult:
    values = {"question": "Does it hold?", "answer": "It holds.\nFor now.", "settings": SETTINGS}
    return AuditResult(name=name, pictures=3, tables=(TABLE,) * 50, **(values | more))


def test_a_result_is_its_answer_on_one_line():
    assert repr(result("robustness")) == r"<AuditResult robustness: It holds.\nFor now.>"
    assert len(repr(result("robustness", answer="long " * 300))) < 200
    unmeasured = repr(result("generators", measured=False))
    assert unmeasured.startswith("<AuditResult generators: not measured; It holds.")


def test_a_run_names_its_audits_and_a_table_its_columns():
    run = AuditRun(
        settings=SETTINGS, results=(result("robustness"), result("generators", measured=False))
    )
    assert repr(run) == "<AuditRun bright 1.0: robustness, generators (not measured)>"
    assert repr(TABLE) == "<AuditTable rates: 1 row of condition, share>"


def test_a_comparison_names_what_it_compares():
    one = Compared(name="bright", kind="detector", judged=12, not_judged=0, findings=())
    compared = (one, one.model_copy(update={"name": "other", "kind": "scores"}))
    found = Comparison(
        data_sha256="0" * 64,
        seed=0,
        resamples=100,
        faces={"clean": 1200, "jpeg-60": 12},
        compared=compared,
        changes=(),
    )
    words = "bright, other; faces judged by all: 1,200 clean, 12 jpeg-60"
    assert repr(found) == f"<Comparison {words}>"
