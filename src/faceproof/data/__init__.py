"""Data sets: from a folder of pictures to a table that can be trusted.

* the table: `manifest`, `contract`, `manifest_files`
* import: `layouts`, `generators`, `facts`, `jpeg_quality`, `videos`, `video_frames`, `importing`,
  `import_reading`, `import_table`, `import_summary`
* repeats: `duplicates`, `hamming`, `components`
* inspect: `inspection`, `shortcuts`
* split: `dividing`, `related`, `remembered`, `stratified`, `splits`, `protocols`
* prepare: `preparing`
* the recipe of the shipped detector: `public`, `prepare`
"""
