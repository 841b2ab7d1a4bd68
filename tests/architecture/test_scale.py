"""The figures of the page on 100 million pictures are those of docs/scale.py and its parameters."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scale():
    spec = importlib.util.spec_from_file_location("scale", ROOT / "docs" / "scale.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["scale"]


@pytest.fixture
def given(scale):
    return {name: one.value for name, one in scale.read_parameters().items()}


def test_the_page_is_what_the_script_writes(scale):
    assert scale.PAGE.read_text(encoding="utf-8") == scale.write_page(), "run docs/scale.py"


def test_every_parameter_has_its_kind_and_source(scale):
    for name, one in scale.read_parameters().items():
        assert one.kind in {"measured", "code", "assumed"}, name
        assert one.value > 0 or name == "transfer_price", name
        assert len(one.source) > 10, name
        assert ("price" in name) <= (one.kind == "assumed"), "a price is never measured"


def test_no_price_or_speed_stands_outside_the_figures(scale):
    text = scale.PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(scale.START)
    prose = before + rest.partition(scale.END)[2]
    assert not re.search(r"\$\s*\d|\d\s*(/s|a second|GB|TB|Mbit|%)", prose)


def test_the_measured_rate_is_that_of_its_source(given):
    text = (ROOT / "docs/explanation/service-load.md").read_text(encoding="utf-8")
    (rate,) = re.findall(r"^\| no service \| ([0-9.]+) \|", text, re.MULTILINE)
    assert given["measured_rate"] == float(rate)
    assert "two CPU cores" in text
    assert given["measured_cores"] == 2


def test_the_constants_are_those_of_the_scan(given):
    scan = pytest.importorskip("faceproof.scanning.scan", exc_type=ImportError)
    assert (given["part_rows"], given["part_seconds"]) == (scan.PART_ROWS, scan.PART_SECONDS)


def test_the_plan_follows_from_round_numbers(scale, given):
    """1,000 pictures a second and machine: 3.6 million an hour, 36 million in 10 h on one."""
    round_numbers = {"measured_rate": 200, "measured_cores": 2, "scan_share": 1.0}
    more = {"machine_cores": 10, "pictures": 72_000_000, "hours": 10, "machine_failures": 0.05}
    losses = {"part_seconds": 60, "replacement_seconds": 330, "worker_deaths": 2.0}
    plan = scale.make_plan(given | round_numbers | more | losses)
    assert (plan.machine_rate, plan.machine_hours, plan.machines) == (1000, 20, 2)
    assert plan.lost_machines == pytest.approx(1)
    assert plan.lost_hours == pytest.approx(0.1)
    assert plan.hours == pytest.approx(10.05)
    assert plan.worker_deaths == 144
    assert plan.checked_again == pytest.approx(30 * 1000 + 144 * 30 * 100)


@pytest.mark.parametrize("failures", [0.005, 0.2])
def test_formulas_for_losses_agree_with_the_simulation(scale, given, failures):
    changed = given | {"machine_failures": failures}
    plan = scale.make_plan(changed)
    found = scale.simulate(changed, plan, runs=200)
    # Losses of replacements and of work done again, which the formula leaves out, are 2 % here.
    leeway = 0.03 * plan.lost_machines
    assert found.lost_machines == pytest.approx(
        plan.lost_machines, abs=4 * found.lost_error + leeway
    )
    leeway = 0.05 * plan.lost_hours / plan.machines
    assert found.hours == pytest.approx(plan.hours, abs=4 * found.hours_error + leeway)
    assert found.slowest >= found.hours > plan.machine_hours / plan.machines


def test_the_command_prints_figures_of_changed_parameters(scale, monkeypatch, capsys):
    before = scale.PAGE.read_bytes()
    monkeypatch.setattr(sys, "argv", ["scale.py", "--set", "pictures=1000000", "machine_price=9"])
    scale.main()
    shown = capsys.readouterr().out
    assert "| `pictures` | 1,000,000.0 pictures | assumed | given with --set |" in shown
    assert scale.PAGE.read_bytes() == before
    monkeypatch.setattr(sys, "argv", ["scale.py", "--set", "prize=9"])
    with pytest.raises(SystemExit):
        scale.main()
    assert "no parameter 'prize'" in capsys.readouterr().err
