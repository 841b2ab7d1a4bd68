"""Import: from a folder, a table or an archive of pictures to a manifest, every file measured.

* `import_data`: the whole of it; `reading`: one listed file after another; `table`: rows and
  official splits; `summary`: what is told at the end
* `facts`: what is measured of a picture file
* `videos`, `video_frames`: frames evenly spread over a video
"""
