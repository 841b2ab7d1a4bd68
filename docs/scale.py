"""Recompute the figures of docs/explanation/scale.md from the parameters in docs/scale.toml.

    uv run python docs/scale.py                                    # writes the page
    uv run python docs/scale.py --set machine_price=1.2 hours=8    # prints figures of your own

Every figure of the page is a parameter with its source, or follows from parameters here. Formulas
for losses are compared with a simulation of the machines.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PARAMETERS = Path(__file__).with_name("scale.toml")
PAGE = Path(__file__).with_name("explanation") / "scale.md"
START, END = "<!-- figures -->", "<!-- end of figures -->"
RUNS, SEED = 400, 0


@dataclass(frozen=True)
class Parameter:
    """A value, its unit, and where it comes from: measured, code or assumed."""

    value: float
    unit: str
    kind: str
    source: str


@dataclass(frozen=True)
class Plan:
    """What follows from the parameters; times in hours, sizes in bytes, prices in dollars."""

    machine_rate: float
    machine_hours: float
    machines: int
    hours: float
    lost_machines: float
    lost_hours: float
    worker_deaths: float
    checked_again: float

    @property
    def rate(self) -> float:
        """Pictures a second of all machines."""
        return self.machines * self.machine_rate


@dataclass(frozen=True)
class Simulated:
    """Means over the runs, with the standard errors, of lost machines and hours."""

    lost_machines: float
    lost_error: float
    hours: float
    hours_error: float
    slowest: float


def read_parameters(path: Path = PARAMETERS) -> dict[str, Parameter]:
    """Return the parameters of the file."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: Parameter(**fields) for name, fields in found.items()}


def make_plan(given: Mapping[str, float]) -> Plan:
    """Return what follows from the values of the parameters.

    A lost machine costs half of ``part_seconds`` on average for the pictures without a written
    row, and the time until it is replaced. Losses of losses are left out.
    """
    core_rate = given["measured_rate"] / given["measured_cores"]
    machine_rate = core_rate * given["machine_cores"] * given["scan_share"]
    machine_hours = given["pictures"] / machine_rate / 3600
    machines = math.ceil(machine_hours / given["hours"])
    lost_machines = given["machine_failures"] * machine_hours
    lost_hours = lost_machines * (given["part_seconds"] / 2 + given["replacement_seconds"]) / 3600
    deaths = given["worker_deaths"] * given["pictures"] / 1e6
    worker_rate = machine_rate / given["machine_cores"]
    again = (
        lost_machines * machine_rate * given["part_seconds"] / 2
        + deaths * worker_rate * given["part_seconds"] / 2
    )
    return Plan(
        machine_rate=machine_rate,
        machine_hours=machine_hours,
        machines=machines,
        hours=(machine_hours + lost_hours) / machines,
        lost_machines=lost_machines,
        lost_hours=lost_hours,
        worker_deaths=deaths,
        checked_again=again,
    )


def simulate(given: Mapping[str, float], plan: Plan, *, runs: int = RUNS) -> Simulated:
    """Return what many simulated runs of the plan gave, each with failures at random times."""
    rng = random.Random(SEED)  # noqa: S311 (a simulation)
    found = [_simulate_once(given, plan, rng) for _ in range(runs)]
    losses, hours = zip(*found, strict=True)
    return Simulated(
        lost_machines=statistics.fmean(losses),
        lost_error=statistics.stdev(losses) / math.sqrt(runs),
        hours=statistics.fmean(hours),
        hours_error=statistics.stdev(hours) / math.sqrt(runs),
        slowest=max(hours),
    )


def _simulate_once(given: Mapping[str, float], plan: Plan, rng: random.Random) -> tuple[int, float]:
    """Return lost machines and hours of one run, event by event.

    The machines share one list of pictures. One fails after a time that is exponentially
    distributed, loses what it did since its last rows were written, and is replaced later.
    """
    rate = plan.machine_rate * 3600
    now, left, alive, losses = 0.0, given["pictures"], plan.machines, 0
    back: list[float] = []
    while True:
        done = now + left / (rate * alive) if alive else math.inf
        fails = now + rng.expovariate(given["machine_failures"] * alive) if alive else math.inf
        returns = min(back, default=math.inf)
        until = min(done, fails, returns)
        left -= (until - now) * rate * alive
        now = until
        if until == done:
            return losses, now
        if until == returns:
            back.remove(returns)
            alive += 1
        else:
            alive, losses = alive - 1, losses + 1
            left += rng.random() * given["part_seconds"] * plan.machine_rate
            back.append(now + given["replacement_seconds"] / 3600)


def render(parameters: Mapping[str, Parameter]) -> Iterator[str]:
    """Yield the lines of the tables."""
    given = {name: one.value for name, one in parameters.items()}
    plan = make_plan(given)
    yield from ("### Parameters", "", "| parameter | value | kind | source |", "|---|--:|---|---|")
    for name, one in parameters.items():
        value = f"{one.value:,} {one.unit}".strip()
        yield f"| `{name}` | {value} | {one.kind} | {one.source} |"
    for title, rows in _sections(given, plan):
        yield from ("", f"### {title}", "", "| figure | value | from |", "|---|--:|---|")
        yield from (f"| {figure} | {value} | {formula} |" for figure, value, formula in rows)
    yield from ("", "### Losses, simulated", "")
    yield from _render_simulation(plan, simulate(given, plan))


_Row = tuple[str, str, str]


def _sections(given: Mapping[str, float], plan: Plan) -> Iterator[tuple[str, list[_Row]]]:
    """Yield the title and the rows of each table of results."""
    yield "Machines and hours", _machines(given, plan)
    yield "Cost", _cost(given, plan)
    yield "Bandwidth and storage", _bandwidth(given, plan)
    yield "Losses", _losses(plan)


def _machines(given: Mapping[str, float], plan: Plan) -> list[_Row]:
    core = plan.machine_rate / given["machine_cores"]
    return [
        (
            "pictures a second and core",
            f"{core:.1f}",
            "`measured_rate` / `measured_cores` times `scan_share`",
        ),
        ("pictures a second and machine", f"{plan.machine_rate:,.0f}", "times `machine_cores`"),
        ("machine hours", f"{plan.machine_hours:,.1f}", "`pictures` / that rate"),
        ("machines", f"{plan.machines:,}", "machine hours / `hours`, rounded up"),
        ("hours, losses included", f"{plan.hours:,.2f}", "machine hours and losses / machines"),
    ]


def _cost(given: Mapping[str, float], plan: Plan) -> list[_Row]:
    millions = given["pictures"] / 1e6
    machines = plan.machines * plan.hours * given["machine_price"]
    requests = millions * given["read_price"]
    transfer = given["pictures"] * given["picture_bytes"] / 1e9 * given["transfer_price"]
    whole = machines + requests + transfer
    return [
        ("machines", f"${machines:,.2f}", "machines times hours times `machine_price`"),
        ("requests", f"${requests:,.2f}", "`pictures` times `read_price`"),
        ("transfer", f"${transfer:,.2f}", "bytes read times `transfer_price`"),
        ("all", f"${whole:,.2f}", "sum"),
        ("a million pictures", f"${whole / millions:,.2f}", "sum / millions of pictures"),
    ]


def _bandwidth(given: Mapping[str, float], plan: Plan) -> list[_Row]:
    read = given["pictures"] * given["picture_bytes"]
    machine = plan.machine_rate * given["picture_bytes"] * 8 / 1e6
    results = given["pictures"] * given["row_bytes"]
    month = (read + results) / 1e9 * given["storage_price"]
    written = plan.rate * given["row_bytes"] / 1e6
    return [
        ("pictures, stored and read", f"{read / 1e12:,.2f} TB", "`pictures` times `picture_bytes`"),
        ("read by a machine", f"{machine:,.0f} Mbit/s", "its rate times `picture_bytes`"),
        ("read by all", f"{machine * plan.machines / 1e3:,.2f} Gbit/s", "times machines"),
        ("listed by the one that lists", f"{plan.rate:,.0f} pictures/s", "rate of all"),
        ("results", f"{results / 1e9:,.1f} GB", "`pictures` times `row_bytes`"),
        (
            "written by the one process that writes",
            f"{written:,.2f} MB/s",
            "rate times `row_bytes`",
        ),
        (
            "files of results, at least",
            f"{math.ceil(given['pictures'] / given['part_rows']):,}",
            "`pictures` / `part_rows`",
        ),
        ("storage of both", f"${month:,.2f} a month", "times `storage_price`"),
    ]


def _losses(plan: Plan) -> list[_Row]:
    share = plan.lost_hours / plan.machine_hours
    return [
        (
            "machines lost",
            f"{plan.lost_machines:.2f}",
            "`machine_failures` times machine hours",
        ),
        (
            "machine hours lost",
            f"{plan.lost_hours:.2f} ({share:.2%})",
            "each `part_seconds` / 2 and `replacement_seconds`",
        ),
        ("processes that end", f"{plan.worker_deaths:,.0f}", "`worker_deaths` times `pictures`"),
        (
            "pictures checked again",
            f"{plan.checked_again:,.0f}",
            "each loss: its rate times `part_seconds` / 2",
        ),
    ]


def _render_simulation(plan: Plan, found: Simulated) -> Iterator[str]:
    yield f"{RUNS} runs of the machines, with failures at random times:"
    yield from ("", "| | formula | simulated (standard error) |", "|---|--:|--:|")
    lost = f"{found.lost_machines:.2f} ({found.lost_error:.2f})"
    yield f"| machines lost | {plan.lost_machines:.2f} | {lost} |"
    hours = f"{found.hours:.3f} ({found.hours_error:.4f})"
    yield f"| hours | {plan.hours:.3f} | {hours} |"
    yield f"| hours of the slowest run | | {found.slowest:.3f} |"


def write_page() -> str:
    """Return the page with its figures recomputed."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    text = "\n".join(render(read_parameters()))
    return f"{before}{START}\n\n{text}\n\n{END}{after}"


def main() -> None:
    """Write the page, or print the figures of changed parameters."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--set", nargs="+", metavar="NAME=VALUE", help="print, do not write")
    wish = parser.parse_args()
    if not wish.set:
        PAGE.write_text(write_page(), encoding="utf-8")
        return
    parameters = read_parameters()
    for change in wish.set:
        name, _, value = change.partition("=")
        if name not in parameters:
            parser.error(f"no parameter {name!r}: choose from {', '.join(parameters)}")
        parameters[name] = Parameter(
            float(value), parameters[name].unit, "assumed", "given with --set"
        )
    sys.stdout.write("\n".join(render(parameters)) + "\n")


if __name__ == "__main__":
    main()
