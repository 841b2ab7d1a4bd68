"""Which pictures are probed, and which of them are held out together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from faceproof.data.shortcuts.intervals import Flags, Integers
from faceproof.errors import DataError

FOLDS = 5
FEWEST_PICTURES = 20
FEWEST_GROUPS = 2


def numbered(groups: Sequence[str] | npt.NDArray[np.generic]) -> Integers:
    """Return the groups as numbers from 0 without gaps, int64 [N].

    >>> numbered(["b", "a", "b"])
    array([1, 0, 1])
    """
    return np.asarray(np.unique(np.asarray(groups), return_inverse=True)[1], np.int64)


def sample(fake: Flags, *, most: int, seed: int) -> Integers:
    """Return the places of at most ``most`` pictures, half of each class, in their order.

    Drawn at random, so that sources and groups come up as often as they do among all.

    >>> sample(np.array([True] * 5 + [False]), most=4, seed=0).size
    3
    """
    order = np.random.default_rng(seed).permutation(len(fake))
    taken = [order[fake[order] == kind][: most // 2] for kind in (False, True)]
    return np.sort(np.concatenate(taken))


def fold_of(fake: Flags, groups: Integers, *, seed: int) -> Integers:
    """Return the number of the fold in which each picture is held out, int64 [N].

    No group is divided, and the classes are spread evenly; five folds, or as many as the class
    with fewer groups has groups.

    Raises:
        DataError: too few pictures or groups of a class.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    fewest = min(_groups(fake, groups, kind) for kind in (False, True))
    for count in range(min(FOLDS, fewest), 1, -1):
        divide = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        fold = np.zeros(len(fake), np.int64)
        for number, (_, held_out) in enumerate(divide.split(fake[:, None], fake, groups)):
            fold[held_out] = number
        if all(np.unique(fake[fold != number]).size == 2 for number in range(count)):
            return fold
    raise DataError(
        "the groups cannot be divided so that both classes are in every part: too few to tell;"
        " add pictures of other people, videos or originals"
    )


def _groups(fake: Flags, groups: Integers, kind: bool) -> int:  # noqa: FBT001
    """Return how many groups a class has.

    Raises:
        DataError: fewer than it takes, or too few pictures.
    """
    pictures, count = int((fake == kind).sum()), np.unique(groups[fake == kind]).size
    name = "fake" if kind else "real"
    if pictures < FEWEST_PICTURES or count < FEWEST_GROUPS:
        raise DataError(
            f"{pictures} {name} pictures in {count} groups are too few to tell whether there is a"
            f" shortcut: it takes {FEWEST_PICTURES} of each class in {FEWEST_GROUPS} groups"
        )
    return count
