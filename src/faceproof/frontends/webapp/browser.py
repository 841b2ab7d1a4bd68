"""The page's own style and its short scripts; `serving` allows the scripts by their hash."""

from __future__ import annotations

from html import escape
from importlib.util import find_spec

from faceproof.frontends.webapp.settings import MOST_MEGABYTES
from faceproof.reports.marked_picture import LOOKS
from faceproof.reports.words import OUTCOMES, Outcome

DROP_ZONE = "drop-zone"
"""Key of the container whose file input takes pasted pictures."""

_FORMATS = ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "AVIF")
_HEIC = (", HEIC",) if find_spec("pillow_heif") else ()  # an extra
TAKES = f"{', '.join(_FORMATS)}{''.join(_HEIC)}; up to {MOST_MEGABYTES} MB each"
"""What a drop zone takes; `STYLE` writes it into the zone, in place of Streamlit's words."""

PASTE_SCRIPT = """
(() => {
  const give = (files) => {
    const input = document.querySelector('.st-key-drop-zone input[type="file"]');
    if (!files.length || !input) return false;
    const given = new DataTransfer();
    files.forEach((file) => given.items.add(file));
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  };
  const onPaste = (event) => {
    if (give(Array.from(event.clipboardData ? event.clipboardData.files : []))) {
      event.preventDefault();
    }
  };
  const onClick = async (event) => {
    const button = event.target.closest ? event.target.closest(".fp-paste") : null;
    if (!button) return;
    const note = button.parentElement.querySelector("[role=status]");
    note.textContent = "";
    try {
      const files = [];
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((one) => one.startsWith("image/"));
        if (!type) continue;
        const data = await item.getType(type);
        files.push(new File([data], `pasted.${type.slice(6)}`, { type }));
      }
      if (!give(files)) note.textContent = "The clipboard contains no picture.";
    } catch (error) {
      note.textContent = "The browser denies access to the clipboard. Press Ctrl+V instead.";
    }
  };
  for (const [kind, now] of [["paste", onPaste], ["click", onClick]]) {
    const before = (window.faceproof ||= {})[kind];
    if (before) document.removeEventListener(kind, before);
    window.faceproof[kind] = now;
    document.addEventListener(kind, now);
  }
})();
"""
"""Gives pictures from the clipboard to the file input: Streamlit's own takes only dropped files."""

PASTE_BUTTON = (
    '<button type="button" class="fp-paste">Paste a picture</button> <span role="status"></span>'
)
"""The button for those without a keyboard; `PASTE_SCRIPT` listens to it."""

SCROLL_SCRIPT = """
document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0);
"""
"""Scrolls to the verdict; it runs when the HTML around it changes, that is for a new picture."""

ANNOUNCE_SCRIPT = """
(() => {
  let region = document.getElementById("fp-announcement");
  if (!region) {
    region = document.createElement("div");
    region.id = "fp-announcement";
    region.setAttribute("role", "status");
    document.body.append(region);
  }
  const shown = document.querySelector("i[data-announce]");
  const words = shown ? shown.dataset.announce : "";
  if (region.textContent !== words) region.textContent = words;
})();
"""
"""Has a screen reader read the verdict as soon as there is one; the words are in the HTML."""

MENU_SCRIPT = """
(() => {
  const seen = window.faceproofMenu;
  if (seen) document.removeEventListener("click", seen);
  let checks; // Streamlit may open the menu again while the page is drawn
  const fold = () => {
    if (window.innerWidth > 768) return;
    let left = 10;
    checks = setInterval(() => {
      const menu = document.querySelector('[data-testid="stSidebar"]');
      const button = document.querySelector('[data-testid="stSidebarCollapseButton"] button');
      if (button && menu.dataset.collapsed !== "true") button.click();
      if (--left === 0) clearInterval(checks);
    }, 300);
  };
  window.faceproofMenu = (event) => {
    if (!event.isTrusted) return;
    clearInterval(checks);
    if (event.target.closest('[data-testid="stSidebarNavLink"]')) fold();
  };
  document.addEventListener("click", window.faceproofMenu);
  if (!seen) fold(); // an entry may have been pressed before this ran
})();
"""
"""Folds the menu of a phone when a page is chosen: Streamlit leaves it above the page."""

SCRIPTS = (PASTE_SCRIPT, SCROLL_SCRIPT, ANNOUNCE_SCRIPT, MENU_SCRIPT)


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


_INSTRUCTIONS = '[data-testid="stFileUploaderDropzoneInstructions"]'

# The colours of the bands mix with those of the theme, so that both light and dark keep their
# contrast; the bands differ in pattern and carry their names, so that colour is never needed.
STYLE = f"""
<style>
[class*="st-key-verdict-"] {{ border-radius: .5rem; padding: .75rem 1rem; gap: .25rem; }}
[class*="st-key-verdict-"] :is(h1, h2) {{ padding: 0 0 .75rem; }}
[data-testid="stElementContainer"]:has(i[data-shown]) {{ display: none; }}
.st-key-drop-zone label p {{ font-size: 1rem; font-weight: 600; }}
.fp-paste {{ font: inherit; font-weight: 600; color: inherit; background: transparent;
  cursor: pointer; border: 1px solid currentColor; border-radius: .5rem; padding: .25rem .75rem; }}
.fp-paste:focus-visible {{ outline: 3px solid #1d4f91; outline-offset: 2px; }}
#fp-announcement {{ position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }}
[class*="st-key-card-"] {{ position: relative; }}
[class*="st-key-card-"] :is([data-testid="stElementContainer"], [data-testid="stButton"],
  [data-testid="stButton"] *) {{ position: static; }}
[class*="st-key-card-"] [data-testid="stButton"] button::after {{ content: ""; position: absolute;
  inset: 0; }}
.st-key-card-chosen button {{ outline: 2px solid currentColor; }}
.st-key-card-chosen button p {{ font-weight: 700; }}
.st-key-cards img, .fp-blank {{ aspect-ratio: 1; object-fit: cover; }}
.fp-blank {{ display: grid; place-items: center; border-radius: .5rem; font-size: 2rem;
  background: color-mix(in srgb, currentColor 10%, transparent); }}
.st-key-summary h1 {{ font-size: 1.5rem; }}
@media (max-width: 640px) {{
  [data-testid="stMainBlockContainer"] {{ padding-top: 4rem; }}
  .st-key-summary h1 {{ font-size: 1.125rem; }}
  .st-key-cards {{ flex-wrap: nowrap; overflow-x: auto; padding: .25rem; }}
  .st-key-cards > * {{ flex: 0 0 8rem; width: 8rem; }}
  .st-key-cards [data-testid="stImage"], .st-key-cards img {{ width: 100%; }}
}}
.st-key-drop-zone [data-testid="stFileUploaderDropzone"] {{ min-height: 9rem;
  justify-content: center; align-items: center; border-style: dashed; border-width: 2px; }}
.st-key-drop-zone [data-testid="stFileUploaderDropzone"] > * {{ flex: 0 1 auto; }}
.st-key-drop-zone [data-testid="stFileUploaderDropzone"]:has({_INSTRUCTIONS}) {{
  flex-direction: column; gap: .75rem; }}
.st-key-drop-zone {_INSTRUCTIONS} > * {{ display: none; }}
.st-key-drop-zone {_INSTRUCTIONS}::after {{ content: "{TAKES}"; font-size: .875rem;
  color: color-mix(in srgb, currentColor 85%, transparent); text-align: center; }}
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


def script_html(script: str, shown: str = "", *, announce: str = "") -> str:
    """Return a script as HTML for Streamlit; another ``shown``, a hash, runs it again.

    ``announce`` are the words for `ANNOUNCE_SCRIPT`.
    """
    said = f' data-announce="{escape(announce)}"' if announce else ""
    return f'<i hidden data-shown="{shown}"{said}></i><script>{script}</script>'
