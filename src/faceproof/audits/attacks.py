"""The audit *attacks*: how small a deliberate change makes a fake pass, or a real face look fake.

Laundering is what anyone can do to a picture. Squares need the detector's scores, gradients its
weights. The attacks are those of `faceproof.audits.attack_scores`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from faceproof.audits.attack_scores import (
    ATTACKS,
    EIGHT_BITS,
    UNROUNDED,
    Attack,
    AttackedFaces,
    column,
    open_white_box,
    score_attack,
    select_attacked,
)
from faceproof.audits.context import Audit, AuditContext, AuditOutcome
from faceproof.audits.laundering import (
    Laundered,
    laundering_plot,
    laundering_table,
    laundering_words,
    measure_laundering,
)
from faceproof.audits.rates import (
    Rate,
    measure_auc,
    measure_rate,
    small_cell_words,
    small_cells_caution,
)
from faceproof.audits.sampled_faces import faces_wanted
from faceproof.detector.spec import Finding
from faceproof.evaluation.audit_result import AuditPlot, AuditTable, Cell, Series
from faceproof.evaluation.finding_names import UNATTACKED, attack_cautions
from faceproof.evaluation.findings import slice_findings
from faceproof.evaluation.formulas import Floats
from faceproof.evaluation.predictions import Faces
from faceproof.messages import count_noun

_METRICS = ("accuracy", "recall", "bpcer")
"""Those of `faceproof.training.attack_report`, so that a card can show both."""

_COLUMNS = (
    *("attack", "condition", "words", "norm", "budget", "l2_of_pixels", "steps", "pixels"),
    *("detected_fakes", "evaded", "evaded_low", "evaded_high"),
    *("called_real", "called_real_low", "called_real_high"),
    *("real_faces", "called_fake", "called_fake_low", "called_fake_high"),
    *("accuracy", "accuracy_low", "accuracy_high", "roc_auc", "roc_auc_low", "roc_auc_high"),
    "caution",
)
_CAPTION = (
    "budget: largest change of a value of the crop (linf), or root mean square of all changes "
    "(l2), in grey levels, which are the steps of 8 bits; l2_of_pixels: the largest L2 norm of the "
    "change for pixels in 0..1; steps: gradients, or queries of square. pixels: whether the crop "
    "was rounded to 8 bits. evaded and called_real: of the fakes called fake unchanged; "
    "called_fake: of the real faces not called fake unchanged; accuracy: all faces, also those "
    "that are wrong unchanged and are not attacked; roc_auc: fakes under attack against unchanged "
    "real faces. An attack leaves a face once it is called the opposite, so ROC-AUC may fall "
    "further. Intervals are 95 %, by group."
)
_HALF = 0.5
_BUDGET_COLUMNS = (
    *("attack", "words", "norm", "budgets", "half_evaded_at", "half_called_real_at"),
    "half_called_fake_at",
)
_BUDGET_CAPTION = (
    "The smallest of the budgets tried at which half of the detected fakes are no longer called "
    "fake, or called real, and half of the real faces are called fake, as 8-bit pixels; empty "
    "where no budget was enough."
)
_SIZES = ("quantity", "value")


def run(context: AuditContext) -> AuditOutcome:
    """Return what laundering and attacks do to verdicts, by budget."""
    laundered = measure_laundering(context.grid("degraded"), context.point)
    of = select_attacked(context)
    detected = of.fake & of.attacked
    if not laundered or not detected.any():
        kinds = "no fake was called fake as it is, so that none can evade detection"
        return AuditOutcome(f"Not measured: {kinds}.", measured=False)
    box, about = open_white_box(of)
    attacks = [one for one in ATTACKS.values() if box or not one.white_box]
    measured = [
        one
        for attack in attacks
        for one in _measure(of, attack, score_attack(of, attack, box if attack.white_box else None))
    ]
    found = list(_findings(of, measured))
    left_out = (
        () if box else (f"Attacks by gradients ({_names(white_box=True)}) were not run: {about}.",)
    )
    held = [one for one in measured if one.pixels == EIGHT_BITS]
    sizes = _sizes(of, about if box else None)
    return AuditOutcome(
        answer=_answer(laundered, held),
        details=(laundering_words(laundered), *_details(held)),
        tables=(
            _table(measured),
            AuditTable(
                name="budgets",
                caption=_BUDGET_CAPTION,
                columns=_BUDGET_COLUMNS,
                rows=tuple(_budget_row(attack, held) for attack in attacks),
            ),
            laundering_table(laundered),
            AuditTable(name="sizes", caption=_SIZES_CAPTION, columns=_SIZES, rows=sizes),
        ),
        plots=(_plot(held), laundering_plot(laundered)),
        cautions=(
            *left_out,
            *_cautions(of, laundered),
            *attack_cautions(found),
        ),
        findings=tuple(found),
    )


def _names(*, white_box: bool) -> str:
    return ", ".join(name for name, one in ATTACKS.items() if one.white_box == white_box)


@dataclass(frozen=True)
class _Attacked:
    """The outcome of an attack at a budget."""

    attack: Attack
    budget: float
    pixels: str
    logits: Floats
    evaded: Rate
    called_real: Rate
    called_fake: Rate
    accuracy: Rate
    auc: Rate
    side: int

    @property
    def row(self) -> tuple[Cell, ...]:
        per_value = 1 / 255 * math.sqrt(3 * self.side**2)
        return (
            *(self.attack.name, self.attack.condition(self.budget), self.attack.words),
            *(self.attack.norm, self.budget, self.budget * per_value, self.attack.steps),
            *(self.pixels, self.evaded.n, *self.evaded.cells, *self.called_real.cells),
            *(self.called_fake.n, *self.called_fake.cells, *self.accuracy.cells, *self.auc.cells),
            small_cell_words(self.evaded.groups),
        )


def _measure(of: AttackedFaces, attack: Attack, scores: dict[str, Floats]) -> Iterator[_Attacked]:
    """Yield the outcome at each budget, as 8-bit pixels and as the attack computed them."""
    point = of.context.point
    detected, spared = of.fake & of.attacked, ~of.fake & of.attacked
    for budget in attack.budgets:
        for pixels in (EIGHT_BITS, UNROUNDED):
            logits = scores.get(column(attack, budget, pixels))
            if logits is None:
                continue
            chances = of.probabilities(logits)
            caught = chances >= point.fake_from
            yield _Attacked(
                attack=attack,
                budget=budget,
                pixels=pixels,
                logits=logits,
                evaded=measure_rate(~caught[detected], of.groups[detected]),
                called_real=measure_rate(chances[detected] < point.real_below, of.groups[detected]),
                called_fake=measure_rate(caught[spared], of.groups[spared]),
                accuracy=measure_rate(caught == of.fake, of.groups),
                auc=measure_auc(of.fake, np.where(of.fake, logits, of.clean), of.groups),
                side=of.pixels.shape[1],
            )


def _findings(of: AttackedFaces, measured: Sequence[_Attacked]) -> Iterator[Finding]:
    """Yield `_METRICS` of the unchanged faces, and of those under each attack as 8-bit pixels."""
    held = [one for one in measured if one.pixels == EIGHT_BITS]
    named = [(one.attack.condition(one.budget), one.logits) for one in held]
    rows = [one.row for one in of.crops]
    faces = Faces(
        fake=of.fake,
        logits=of.clean,
        probabilities=of.probabilities(of.clean),
        sources=np.array([row.source for row in rows], np.str_),
        generators=np.array([row.generator for row in rows], np.str_),
        groups=of.groups,
        conditions=np.array([UNATTACKED] * len(rows), np.str_),
        splits=np.array([row.split for row in rows], np.str_),
        statuses=np.array(["ok"] * len(rows), np.str_),
        withheld=np.zeros(len(rows), dtype=bool),
    )
    for name, logits in [(UNATTACKED, of.clean), *named]:
        yield from slice_findings(
            "all",
            name,
            replace(faces, logits=logits, probabilities=of.probabilities(logits)),
            [of.context.point],
            counted=None,
            data_sha256=of.context.selection.sha256,
            metrics=_METRICS,
            seed=of.context.settings.seed,
        )


def _table(measured: Sequence[_Attacked]) -> AuditTable:
    return AuditTable(
        name="attacks",
        caption=_CAPTION,
        columns=_COLUMNS,
        rows=tuple(one.row for one in measured),
    )


def _smallest(attack: Attack, held: Sequence[_Attacked], name: str) -> float | None:
    """Return the smallest budget at which a rate is at least a half, None if there is none."""
    rates = {one.budget: getattr(one, name).value for one in held if one.attack is attack}
    enough = [budget for budget, rate in rates.items() if rate is not None and rate >= _HALF]
    return min(enough, default=None)


def _budget_row(attack: Attack, held: Sequence[_Attacked]) -> tuple[Cell, ...]:
    return (
        *(attack.name, attack.words, attack.norm, ", ".join(map("{:g}".format, attack.budgets))),
        *(_smallest(attack, held, name) for name in ("evaded", "called_real", "called_fake")),
    )


_SIZES_CAPTION = (
    "Pictures were drawn until enough faces of each class were right unchanged: detected_fakes and "
    "spared_real_faces, which were attacked. faces: those that got a verdict, with the wrong ones, "
    "which need no attack. torch_difference: the largest difference in probability between "
    "the torch network, whose gradients the attacks use, and the network that runs."
)


def _sizes(of: AttackedFaces, difference: str | None) -> tuple[tuple[str, float | None], ...]:
    return (
        ("pictures_drawn", of.drawn),
        ("faces", len(of.crops)),
        ("real_faces", int((~of.fake).sum())),
        ("fakes", int(of.fake.sum())),
        ("detected_fakes", int((of.fake & of.attacked).sum())),
        ("spared_real_faces", int((~of.fake & of.attacked).sum())),
        ("groups", len(np.unique(of.groups[of.attacked]))),
        ("crop_px", of.pixels.shape[1]),
        ("torch_difference", None if difference is None else float(difference)),
    )


def _cautions(of: AttackedFaces, laundered: Sequence[Laundered]) -> Iterator[str]:
    detected, spared = of.fake & of.attacked, ~of.fake & of.attacked
    wanted = faces_wanted(of.context)
    yield (
        f"The attacks were run on {detected.sum()} fakes called fake unchanged and {spared.sum()} "
        f"real faces not called fake, found among {of.drawn:,} pictures. They change the crop and "
        "not the picture, and a stronger attack exists: read each rate as the least that an "
        "attacker reaches."
    )
    if wanted is not None and min(detected.sum(), spared.sum()) < wanted:
        yield f"Fewer than {wanted} faces of each class were right unchanged and could be attacked."
    if not spared.any():
        also = "ROC-AUC and " if of.fake.all() else ""
        yield f"No real face was attacked: {also}real faces called fake are not measured."
    groups = [
        (name, len(np.unique(of.groups[of_class])))
        for name, of_class in (("fakes attacked", detected), ("real faces attacked", spared))
        if of_class.any()
    ]
    yield from small_cells_caution(
        [*groups, *((one.condition, one.evaded.groups) for one in laundered)]
    )


_ATTACKERS = ((False, "With scores only"), (True, "With the weights"))


def _answer(laundered: Sequence[Laundered], held: Sequence[_Attacked]) -> str:
    """Return how many detected fakes each kind of attacker gets past, in a sentence."""
    worst = max(laundered[:-1], key=lambda one: one.evaded.value or 0.0)
    parts = [f"{worst.evaded.words} when {worst.words}"]
    for white_box, words in _ATTACKERS:
        if tried := [one for one in held if one.attack.white_box == white_box]:
            most = _strongest(tried)
            parts.append(
                f"{most.evaded.words} {words.lower()} "
                f"({count_noun(round(most.budget), 'grey level')})"
            )
    return f"Detected fakes that pass: {', '.join(parts)}."


def _details(held: Sequence[_Attacked]) -> Iterator[str]:
    """Yield the least budgets of attacks by scores, and of those by weights."""
    for white_box, words in _ATTACKERS:
        if tried := [one for one in held if one.attack.white_box == white_box]:
            yield f"{words}, {_least_words(tried)}."


def _strongest(tried: Sequence[_Attacked]) -> _Attacked:
    """Return the smallest budget that lets half of the fakes pass, or the furthest reached."""
    linf = [one for one in tried if one.attack.norm == "linf"]
    enough = [one for one in linf if (one.evaded.value or 0.0) >= _HALF]
    return min(
        enough or linf,
        key=lambda one: (one.budget if enough else 0.0, -(one.evaded.value or 0.0)),
    )


def _least_words(tried: Sequence[_Attacked]) -> str:
    """Return the smallest budget that lets half of the fakes pass, or the furthest reached."""
    one = _strongest(tried)
    name = one.attack.condition(one.budget)
    if (one.evaded.value or 0.0) >= _HALF:
        return (
            f"changes of {count_noun(round(one.budget), 'grey level')} ({name}) let "
            f"{one.evaded.words} of {count_noun(one.evaded.n, 'detected fake')} pass, the smallest "
            "budget tried that lets half pass"
        )
    return (
        f"no budget tried lets half of the {count_noun(one.evaded.n, 'detected fake')} pass: at "
        f"most {one.evaded.words} ({name})"
    )


def _plot(held: Sequence[_Attacked]) -> AuditPlot:
    """Return the share of detected fakes that evade detection, by attack and budget."""
    series = []
    for attack in dict.fromkeys(one.attack for one in held):
        own = [one for one in held if one.attack is attack]
        series.append(
            Series(
                name=f"{attack.name} ({attack.norm})",
                x=(0.0, *(one.budget for one in own)),
                y=(0.0, *(one.evaded.value for one in own)),
                low=(0.0, *(one.evaded.low for one in own)),
                high=(0.0, *(one.evaded.high for one in own)),
            )
        )
    return AuditPlot(
        name="budgets",
        kind="line",
        title="Detected fakes that are no longer called fake, by the budget of an attack",
        x="budget in grey levels",
        y="share of detected fakes",
        series=tuple(series),
    )


ATTACKS_AUDIT = Audit(
    "How small a deliberate change makes a detected fake pass: saved again, blurred or attacked?",
    ("degraded",),
    run,
)
