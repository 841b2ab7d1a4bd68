"""Data sets: from a folder of pictures to a validated manifest.

* the table: `manifest`, `manifest_files`
* the layout of sets on disk: `layouts`; known generators of fakes: `generators`
* the four verbs: `importing`, `inspection` with `shortcuts`, `splitting`, `preparing`
* repeated pictures, used by all four: `duplicates`, `hamming`
* only for the recipe of the shipped detector: `public`, `prepare`
"""
