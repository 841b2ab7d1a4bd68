"""Pictures to try the page with; SOURCES.md says where they come from and what their rights are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from io import BytesIO

from PIL import Image, ImageOps


@dataclass(frozen=True)
class SamplePicture:
    """A picture of ours: its file, a title, what is true of it, and who is to be named."""

    file: str
    title: str
    about: str
    alt: str

    def read(self) -> bytes:
        """Return the bytes of the file."""
        return (resources.files(__name__) / self.file).read_bytes()

    def thumbnail(self, side: int) -> Image.Image:
        """Return the middle of the picture as a square."""
        return ImageOps.fit(Image.open(BytesIO(self.read())), (side, side))


SAMPLES = (
    SamplePicture(
        "astronaut.jpg",
        "A real portrait",
        "A real photograph of the astronaut Eileen Collins by NASA, in the public domain.",
        "Portrait of a smiling astronaut in an orange suit.",
    ),
    SamplePicture(
        "generated.jpg",
        "A generated portrait",
        "A fake: Stable Diffusion 3 made it, and nobody looks like this. CC0, made smaller.",
        "Portrait of a woman in a white jacket, with a hedge behind her.",
    ),
    SamplePicture(
        "couple.jpg",
        "Two faces",
        "A real photograph: “Happy couple” by pedrosimoes7, CC BY 2.0, made smaller.",
        "A couple sits on stone steps, both looking to the side.",
    ),
    SamplePicture(
        "face-swap.jpg",
        "A face swap",
        "A fake: we put the face of Grace Hopper on the portrait of the astronaut. The detector "
        "has not learned from swaps of this kind.",
        "The portrait of the astronaut, with the face of an older woman with glasses.",
    ),
    SamplePicture(
        "cat.jpg",
        "No face",
        "A photograph of Chelsea the cat by Stefan van der Walt, CC0. No human face is in it.",
        "The head of a ginger cat.",
    ),
)
"""In the order in which the page shows them."""
