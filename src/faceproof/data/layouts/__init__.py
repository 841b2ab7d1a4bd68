"""LAYOUTS: parsers for the folder structures of public and other data sets.

A layout is a function from a source folder and the user's options to its pictures, unopened, each
with label, generator, group, split and attributes. It also yields a `ListingProblem` for each entry
that it cannot list, and a `Note` for information. `LAYOUTS` has all of them;
docs/reference/layouts.md documents what each expects.
"""

from faceproof.data.layouts.class_folders import class_folders
from faceproof.data.layouts.dfdc import dfdc
from faceproof.data.layouts.listing import (
    Entry,
    Layout,
    ListedFile,
    ListingOptions,
    ListingProblem,
    Note,
)
from faceproof.data.layouts.portraits import ciplab, kaggle_140k, lfw, openforensics, utkface
from faceproof.data.layouts.tabular import columns, hf_datasets
from faceproof.data.layouts.video_sets import celeb_df, faceforensics

__all__ = ["LAYOUTS", "Entry", "Layout", "ListedFile", "ListingOptions", "ListingProblem", "Note"]

LAYOUTS: dict[str, Layout] = {
    "class-folders": class_folders,
    "columns": columns,
    "hf-datasets": hf_datasets,
    "kaggle-140k": kaggle_140k,
    "ciplab": ciplab,
    "openforensics": openforensics,
    "faceforensics": faceforensics,
    "celeb-df": celeb_df,
    "dfdc": dfdc,
    "utkface": utkface,
    "lfw": lfw,
}
