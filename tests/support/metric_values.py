"""Values of metrics from their formulas, also for fewer faces than are reported."""

from faceproof.evaluation.formulas import HALF, count_scores
from faceproof.evaluation.metrics import METRICS


def metric_values(fake, scores, at=HALF, *, names=tuple(METRICS), generators=None):
    counts = count_scores(fake, scores, generators=generators)
    return {name: float(METRICS[name].formula(counts, at)[0]) for name in names}
