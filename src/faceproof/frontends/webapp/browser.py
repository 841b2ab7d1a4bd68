"""The page's own style and its two short scripts; `serving` allows the scripts by their hash."""

from __future__ import annotations

from faceproof.reports.marked_picture import LOOKS
from faceproof.reports.words import OUTCOMES, Outcome

DROP_ZONE = "drop-zone"
"""Key of the container whose file input takes pasted pictures."""

PASTE_SCRIPT = """
(() => {
  const seen = window.faceproofPaste;
  if (seen) document.removeEventListener("paste", seen);
  window.faceproofPaste = (event) => {
    const files = Array.from(event.clipboardData ? event.clipboardData.files : []);
    const input = document.querySelector('.st-key-drop-zone input[type="file"]');
    if (!files.length || !input) return;
    event.preventDefault();
    const given = new DataTransfer();
    files.forEach((file) => given.items.add(file));
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  document.addEventListener("paste", window.faceproofPaste);
})();
"""
"""Gives pictures from the clipboard to the file input: Streamlit's own takes only dropped files."""

SCROLL_SCRIPT = """
document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0);
"""
"""Scrolls to the verdict; it runs when the HTML around it changes, that is for a new picture."""

SCRIPTS = (PASTE_SCRIPT, SCROLL_SCRIPT)


def hex_colour(outcome: str) -> str:
    """Return the colour of an outcome as on the frames of a picture; grey without a verdict.

    >>> hex_colour("fake"), hex_colour("error")
    ('#b03a00', '#6b7280')
    """
    look = next((look for verdict, look in LOOKS.items() if verdict == outcome), None)
    return "#{:02x}{:02x}{:02x}".format(*look.fill) if look else "#6b7280"


def _outcome_style(outcome: Outcome) -> str:
    colour = hex_colour(outcome)
    text = "#000" if outcome == "unsure" else "#fff"
    return f"""
.st-key-verdict-{outcome} {{ border-left: .5rem solid {colour};
  background: color-mix(in srgb, {colour} 12%, transparent); }}
.st-key-verdict-{outcome} :is(h1, h2)::before {{ content: "{OUTCOMES[outcome].sign}\\00a0" / ""; }}
.fp-badge-{outcome} {{ background: {colour if outcome in LOOKS else "#4b5563"}; color: {text}; }}
"""


# The colours of the bands mix with those of the theme, so that both light and dark keep their
# contrast; the bands differ in pattern and carry their names, so that colour is never needed.
STYLE = f"""
<style>
[class*="st-key-verdict-"] {{ border-radius: .5rem; padding: .75rem 1rem; gap: .25rem; }}
[class*="st-key-verdict-"] :is(h1, h2) {{ padding: 0 0 .75rem; }}
[data-testid="stElementContainer"]:has(i[data-shown]) {{ display: none; }}
.st-key-drop-zone label p {{ font-size: 1rem; font-weight: 600; }}
.st-key-card-chosen button {{ outline: 2px solid currentColor; }}
.st-key-card-chosen button p {{ font-weight: 700; }}
.st-key-cards img {{ aspect-ratio: 1; object-fit: cover; }}
.st-key-drop-zone [data-testid="stFileUploaderDropzone"] {{ min-height: 11rem;
  justify-content: center; align-items: center; border-style: dashed; border-width: 2px; }}
.st-key-drop-zone [data-testid="stFileUploaderDropzone"] > * {{ flex: 0 1 auto; }}
body:has([class*="st-key-verdict-"], [data-testid="stDataFrame"], [data-testid="stTable"])
  .st-key-drop-zone [data-testid="stFileUploaderDropzone"] {{ min-height: 5rem; }}
.fp-badge {{ display: inline-block; border-radius: .25rem; padding: .1rem .45rem;
  font-size: .875rem; font-weight: 600; line-height: 1.4; white-space: nowrap; }}
{"".join(map(_outcome_style, OUTCOMES))}
.fp-band {{ margin: .25rem 0 .75rem; font-size: .875rem; line-height: 1.3; }}
.fp-band .fp-names, .fp-band .fp-ends {{ display: flex; justify-content: space-between;
  gap: .5rem; }}
.fp-band .fp-names span {{ white-space: nowrap; }}
.fp-band .fp-bar {{ position: relative; display: flex; height: 1.5rem; margin: .25rem 0 .5rem;
  border: 1px solid currentColor; border-radius: .25rem; }}
.fp-band .fp-bar > i {{ display: block; height: 100%; }}
.fp-band .fp-real {{ background: color-mix(in srgb, #1f77d0 35%, transparent); }}
.fp-band .fp-unsure {{ background: repeating-linear-gradient(135deg,
  color-mix(in srgb, currentColor 22%, transparent) 0 3px, transparent 3px 8px);
  border-inline: 1px solid currentColor; }}
.fp-band .fp-fake {{ background: color-mix(in srgb, #d9480f 70%, transparent); }}
.fp-band .fp-mark {{ position: absolute; top: -.35rem; bottom: -.35rem; width: 4px;
  margin-left: -2px; background: currentColor; border-radius: 2px;
  outline: 2px solid color-mix(in srgb, Canvas 70%, transparent); }}
</style>
"""


def script_html(script: str, shown: str = "") -> str:
    """Return a script as HTML for Streamlit; another ``shown``, a hash, runs it again."""
    return f'<i hidden data-shown="{shown}"></i><script>{script}</script>'
