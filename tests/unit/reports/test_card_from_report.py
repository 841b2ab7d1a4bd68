"""The card with the results of a report, and its place in the bundle."""

from __future__ import annotations

import sys

import pytest

from faceproof.cli import main
from faceproof.detector import Bundle
from faceproof.errors import UsageError
from faceproof.reports.card import card, limit_sentences
from faceproof.reports.card_from_report import make_card, replace_card
from faceproof.reports.make_report import audit_report
from support.evaluations import POINT, audited, evaluated, predictions


@pytest.fixture
def report(tiny_bundle, tmp_path):
    """Write the report of two audits of the tiny detector, as if it was the audited one."""

    def write(sha256: str | None = None):
        bundle = Bundle.read(tiny_bundle)
        answers = predictions()
        audits = (audited("robustness"), audited("fairness"))
        made = audit_report(audits, bundle.spec, POINT, (evaluated(answers), answers))
        known = made.detector.model_copy(update={"sha256": sha256 or bundle.sha256})
        made.model_copy(update={"detector": known}).write(tmp_path / "report.json")
        return tmp_path / "report.json"

    return write


def test_the_card_has_the_answers_tables_and_cautions_of_the_report(report, tiny_bundle):
    bundle = Bundle.read(tiny_bundle)
    _, text = make_card(bundle, report())
    for words in (
        *("## Audit", "12.5 % flip in fairness.", "### Fairness: Does it", "12.5 % [10.0, 15.0]"),
        *("**Caution:** A sample of 60.", "**Caution:** Only fairness.", "**Not tested on:**"),
        f"`{bundle.sha256}`",
    ):
        assert words in text
    assert text.index("## Audit") < text.index("## Limits") < text.index("## Reproduce")
    _, plain = make_card(bundle)
    assert "Not measured: error rates by group of people." in plain
    assert "Not measured: error rates by group of people." not in text
    assert "Not measured: adversarial pictures." in text
    assert plain == card(bundle.spec)


def test_a_new_card_keeps_the_networks_and_takes_the_same_report_again(report, tiny_bundle):
    before = Bundle.read(tiny_bundle)
    path = report()
    spec, text = make_card(before, path)
    after = replace_card(before, spec, text)
    after.verify()
    assert after.sha256 != before.sha256
    assert after.spec.members == before.spec.members
    assert after.spec.audited.audits == ("robustness", "fairness")
    assert not any("group of people" in line for line in limit_sentences(after.spec))
    assert make_card(after, path) == (after.spec, text)
    assert make_card(after)[0].audited is None


def test_the_command_of_the_old_card_is_kept(report, tiny_bundle):
    trained = card(Bundle.read(tiny_bundle).spec, command="faceproof train own.toml --set a=1")
    old = Bundle.read(tiny_bundle)
    bundle = replace_card(old, old.spec, trained)
    assert "faceproof train own.toml --set a=1" in make_card(bundle, report(bundle.sha256))[1]


def test_a_report_of_another_detector_is_refused(report, tiny_bundle, tmp_path):
    bundle = Bundle.read(tiny_bundle)
    with pytest.raises(UsageError, match="is of the detector eeeeeeeeeeee, not of bright"):
        make_card(bundle, report("e" * 64))
    (tmp_path / "other.json").write_text("{}")
    for name in ("other.json", "none.json"):
        with pytest.raises(UsageError, match="cannot be read as a report"):
            make_card(bundle, tmp_path / name)


def test_the_command_prints_the_card_or_writes_it(report, tiny_bundle, monkeypatch, capfd):
    def run(*words: object) -> str:
        command = ["faceproof", "detectors", "card", str(tiny_bundle), *map(str, words)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        return capfd.readouterr().out

    path = report()
    old = (tiny_bundle / "CARD.md").read_bytes()
    printed = run("--report", path)
    assert "## Audit" in printed
    assert (tiny_bundle / "CARD.md").read_bytes() == old
    assert Bundle.read(tiny_bundle).sha256 not in run("--report", path, "--write")
    assert (tiny_bundle / "CARD.md").read_text(encoding="utf-8") == printed
    Bundle.read(tiny_bundle).verify()
