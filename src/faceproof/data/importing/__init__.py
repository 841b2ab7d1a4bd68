"""Import: from a folder or a table of pictures to a manifest, with facts of every file.

* `import_data`: the entry point, its options and its summary
* `measure`: reading listed files, their facts, the manifest's table and official splits
* `videos`: evenly spaced frames of a video
"""
