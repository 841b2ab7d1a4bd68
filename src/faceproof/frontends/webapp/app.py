"""The script that Streamlit runs; `faceproof app` starts it.

A page is a function in a module of its own and one line in ``PAGES``.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from faceproof.frontends.webapp import batch_page, check_page, detector_page
from faceproof.frontends.webapp.browser import MENU_SCRIPT, script_html

_ICON = Path(__file__).parent / "icon.svg"

#: The pages in the order of the menu; the first is the one that opens.
PAGES = [
    st.Page(check_page.draw, title="Check", url_path="check", default=True),
    st.Page(batch_page.draw, title="Many pictures", url_path="many"),
    st.Page(detector_page.draw, title="The detector", url_path="detector"),
]


def main() -> None:
    """Draw the page that was chosen."""
    st.set_page_config(
        page_title="faceproof",
        page_icon=str(_ICON),
        layout="wide",
        menu_items={"Get help": None, "Report a bug": None, "About": None},
    )
    chosen = st.navigation(PAGES, position="top")
    st.html(script_html(MENU_SCRIPT), unsafe_allow_javascript=True)
    chosen.run()


main()
