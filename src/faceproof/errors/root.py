"""The root of all errors, which says what every one of them has.

A message says what went wrong, where, and what to do. It is for people, and may change; what a
program reads is the code.
"""

from __future__ import annotations


class FaceproofError(Exception):
    """Root of the tree; ``code`` names the kind for machines.

    A class that is only there to be caught has a code too, for errors of a later version that an
    older program does not know.

    >>> FaceproofError("no.jpg: nothing matches").code
    'error'
    """

    code = "error"
