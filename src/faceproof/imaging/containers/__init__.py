"""Image files parsed into parts: one walk per file, for decoding, provenance, import and probes.

* `base`: Container, what every reader returns, and the bounds for hostile files
* `jpeg`, `png`, `tiff`, `heif`, `others` (GIF, WebP, BMP): the readers
* `directory`: the tags of TIFF and EXIF
* `jpeg_header`: quantisation tables, subsampling and the quality of a JPEG

`faceproof.imaging.formats.FORMATS` maps the name of a format to its reader.

Broken and hostile files hurt through metadata: comments that inflate to gigabytes, millions of
tiny segments, tags that overlap. A reader therefore walks the file in bounded time and never
raises. `Container.pixel_data` then returns only what the pixels of the first image depend on, so
that a decoder sees nothing else, and raises where the file is broken. `Container.blocks` yields
metadata, and reports what cannot be read as a block of the kind "unreadable".
"""
