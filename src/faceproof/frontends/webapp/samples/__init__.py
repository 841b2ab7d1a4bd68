"""Pictures to try the page with; SOURCES.md says where they come from and what their rights are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from io import BytesIO

from PIL import Image, ImageOps


@dataclass(frozen=True)
class SamplePicture:
    """A picture of ours: its file, a title, what is true of it, and its origin and licence."""

    file: str
    title: str
    about: str
    alt: str
    credit: str

    def read(self) -> bytes:
        """Return the bytes of the file."""
        return (resources.files(__name__) / self.file).read_bytes()

    def thumbnail(self, side: int) -> Image.Image:
        """Return the middle of the picture as a square."""
        return ImageOps.fit(Image.open(BytesIO(self.read())), (side, side))


SAMPLES = (
    SamplePicture(
        "generated.jpg",
        "A generated portrait",
        "A fake: Stable Diffusion 3 made it, and nobody looks like this. Made smaller.",
        "Portrait of a woman in a white jacket, with a hedge behind her.",
        "Fake, by Stable Diffusion 3, from Faker. CC0.",
    ),
    SamplePicture(
        "generated-man.jpg",
        "Another generated one",
        "A fake: Stable Diffusion 3 made it, and nobody looks like this. Made smaller.",
        "Portrait of a man in a striped shirt, in front of a plain wall.",
        "Fake, by Stable Diffusion 3, from Faker. CC0.",
    ),
    SamplePicture(
        "astronaut.jpg",
        "A real portrait",
        "A real photograph of the astronaut Eileen Collins by NASA.",
        "Portrait of a smiling astronaut in an orange suit.",
        "Real, by NASA. Public domain.",
    ),
    SamplePicture(
        "cat.jpg",
        "No face",
        "A photograph of Chelsea the cat. No human face is in it.",
        "The head of a ginger cat.",
        "Real, by Stefan van der Walt. CC0.",
    ),
    SamplePicture(
        "face-swap.jpg",
        "A face swap",
        "A fake: we put the face of Grace Hopper on the portrait of the astronaut.",
        "The portrait of the astronaut, with the face of an older woman with glasses.",
        "Fake, by faceproof from two pictures in the public domain.",
    ),
    SamplePicture(
        "couple.jpg",
        "Two faces",
        "A real photograph: “Happy couple”. Made smaller.",
        "A couple sits on stone steps, both looking to the side.",
        "Real, by pedrosimoes7. CC BY 2.0.",
    ),
)
"""Candidates for the page's row, in the order in which one is looked for; each verdict has one."""
