"""Where a probability lies between an operating point's lines, as a drawing with words."""

from __future__ import annotations

from html import escape

from faceproof.detector import OperatingPoint
from faceproof.reports.plain_words import band_words

# The colours mix with those of the theme, so that both light and dark keep their contrast; the
# bands differ in pattern and carry their names, so that colour is never needed.
STYLE = """
<style>
.fp-band { margin: .25rem 0 .75rem; font-size: .875rem; line-height: 1.3; }
.fp-band .fp-names, .fp-band .fp-ends { display: flex; justify-content: space-between; gap: .5rem; }
.fp-band .fp-names span { white-space: nowrap; }
.fp-band .fp-bar { position: relative; display: flex; height: 1.5rem; margin: .25rem 0 .5rem;
  border: 1px solid currentColor; border-radius: .25rem; }
.fp-band .fp-bar > i { display: block; height: 100%; }
.fp-band .fp-real { background: color-mix(in srgb, #1f77d0 35%, transparent); }
.fp-band .fp-unsure { background: repeating-linear-gradient(135deg,
  color-mix(in srgb, currentColor 22%, transparent) 0 3px, transparent 3px 8px);
  border-inline: 1px solid currentColor; }
.fp-band .fp-fake { background: color-mix(in srgb, #d9480f 70%, transparent); }
.fp-band .fp-mark { position: absolute; top: -.35rem; bottom: -.35rem; width: 4px;
  margin-left: -2px; background: currentColor; border-radius: 2px;
  outline: 2px solid color-mix(in srgb, Canvas 70%, transparent); }
</style>
"""


def band_html(fake_probability: float, point: OperatingPoint) -> str:
    """Return the bar with its three bands and a mark, as HTML that a reader hears as one sentence.

    It holds numbers and words of ours alone.
    """
    low, high = 100 * point.real_below, 100 * point.fake_from
    words = band_words(fake_probability, point)
    unsure = f'<i class="fp-unsure" style="width:{high - low:.2f}%"></i>' if high > low else ""
    between = "<span>cannot tell</span>" if high > low else ""
    return (
        f'<div class="fp-band" role="img" aria-label="{escape(words)}">'
        f"<div class='fp-names'><span>no sign of a fake</span>{between}<span>fake</span></div>"
        f"<div class='fp-bar'><i class='fp-real' style='width:{low:.2f}%'></i>{unsure}"
        f"<i class='fp-fake' style='width:{100 - high:.2f}%'></i>"
        f"<b class='fp-mark' style='left:{100 * fake_probability:.2f}%'></b></div>"
        "<div class='fp-ends'><span>0 % fake</span><span>100 % fake</span></div></div>"
    )
