"""Where images come from: one word or path, opened as a ``Source``.

In: what a person typed after ``poise data prepare``. Out: a source whose samples can be counted,
and split into ``Part``s that are small, picklable and readable in any process. Next:
``poise.data.ingest``.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from poise.config.errors import PoiseError
from poise.data import scenes

Indices = NDArray[np.int64]
Boxes = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Sample:
    """One image as it came, not yet checked."""

    image: bytes  # encoded
    label: int  # -1 unknown
    path: str  # where it came from, for people
    fault: str | None = None  # why the bytes could not be had
    boxes: Boxes | None = None  # x0, y0, x1, y1; scenes only
    mask: bytes | None = None  # PNG of 0 and 1; scenes only


class Part(Protocol):
    """Some of a source's samples, in order."""

    def samples(self) -> Iterator[Sample]:
        """Reads them; a file that cannot be read is a sample with a fault."""


class Source(Protocol):
    """An ordered collection of images."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty where there are no labels."""

    @property
    def key(self) -> str:
        """Changes whenever the inputs do (their names, sizes or times)."""

    def __len__(self) -> int: ...

    def part(self, indices: Indices) -> Part:
        """The samples with these positions, which must be sorted."""


@dataclass(frozen=True)
class ScenesSource:
    """The embedded procedural images."""

    num_images: int
    seed: int
    px: int
    classes = scenes.CLASSES

    def __post_init__(self) -> None:
        if self.px < scenes.MIN_PX:
            raise PoiseError(
                f"--image-px {self.px}: a scene needs at least {scenes.MIN_PX} pixels a side"
            )

    @property
    def key(self) -> str:
        """The arguments of every drawing, and one drawing, which changes with the generator."""
        probe = scenes.draw_scene(self.seed, 0, self.px).png()
        return hash_of(f"scenes {self.seed} {self.px}".encode(), probe)

    def __len__(self) -> int:
        return self.num_images

    def part(self, indices: Indices) -> Part:
        """Scenes are drawn when the part is read."""
        return ScenesPart(self.seed, self.px, indices)


@dataclass(frozen=True)
class ScenesPart:
    """Scenes by number."""

    seed: int
    px: int
    indices: Indices

    def samples(self) -> Iterator[Sample]:
        """Draws and encodes each scene."""
        for index in self.indices:
            scene = scenes.draw_scene(self.seed, int(index), self.px)
            yield Sample(
                scene.png(),
                scene.label,
                f"scenes/{self.seed}/{index}",
                boxes=scene.boxes,
                mask=scene.mask_png(),
            )


def hash_of(*pieces: bytes) -> str:
    """SHA-256 over length-prefixed pieces, as hexadecimal."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()


DEFAULT_NUM_SCENES = 10_000


def open_source(
    text: str, num_images: int | None = None, seed: int = 0, image_px: int | None = None
) -> Source:
    """Opens what a person named.

    Args:
        text: ``scenes``, ``torchvision:<Name>[/<split>]``, a Parquet file, a folder or a glob of
            Parquet files, or a folder of images with or without class folders.
        num_images: how many scenes to draw; other sources are cut to size by the caller.
        seed: of the scenes.
        image_px: side of the scenes.

    Raises:
        PoiseError: there is no such source, it holds no images, or an option does not apply.
    """
    if text == "scenes":
        px = scenes.DEFAULT_PX if image_px is None else image_px
        return ScenesSource(num_images or DEFAULT_NUM_SCENES, seed, px)
    if image_px is not None:
        raise PoiseError(
            f"--image-px {image_px}: only `scenes` are drawn to a size; "
            f"'{text}' keeps its files as they are"
        )
    if text.startswith("torchvision:"):
        from poise.data.sources_torchvision import open_torchvision  # imports torch: seconds

        return open_torchvision(text)
    return _open_path(text)


def _open_path(text: str) -> Source:
    from poise.data.sources_files import open_folder
    from poise.data.sources_parquet import open_parquet, parquet_files

    files = parquet_files(text)
    if files:
        return open_parquet(text, files)
    path = Path(text)
    if path.is_dir():
        return open_folder(path)
    if path.exists():
        raise PoiseError(
            f"{text}: not a source; give a folder of images, Parquet files, "
            "torchvision:<Name> or scenes"
        )
    raise PoiseError(f"{text}: no such file or folder (and not `scenes` or `torchvision:<Name>`)")
