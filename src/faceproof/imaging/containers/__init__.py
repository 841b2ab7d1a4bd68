"""Picture files reduced to what the pixels of their first picture depend on.

Metadata is where broken and hostile files hurt: comments that unpack to gigabytes, millions of
tiny segments, tags that overlap, EXIF that makes the decoder warn. Of all that, a verdict needs the
colour profile and the orientation. So each module here walks one kind of file in bounded time, sees
that its end is there, reads size and orientation, and leaves out the rest before a decoder sees it.

What is raised carries the reason alone; `faceproof.imaging.decode` puts the file's name in front.
"""
