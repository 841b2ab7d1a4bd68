"""Data sets: from a folder of pictures to a table that can be trusted.

* the table: `manifest`, `manifest_files`
* what sets look like on disk: `layouts`; what makes fakes: `generators`
* the four verbs: `importing`, `inspection` with `shortcuts`, `splitting`, `preparing`
* repeated pictures, for all of them: `duplicates`, `hamming`
* the recipe of the shipped detector alone: `public`, `prepare`
"""
