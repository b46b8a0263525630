"""The embedded ``scenes`` as a source of images.

In: a number of images. Out: drawn images with labels, boxes and masks. Next:
``poise.data.preparation``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from poise.config.errors import PoiseError
from poise.data.sources import scene_drawing
from poise.data.sources.base import Indices, Part, Sample, SourceAnnotations, hash_of

DEFAULT_NUM_SCENES = 10_000

ANNOTATIONS = SourceAnnotations(
    kinds=("mask", "boxes"), mask_classes=("object",), box_classes=scene_drawing.CLASSES
)


@dataclass(frozen=True)
class ScenesSource:
    """The embedded procedural images."""

    num_images: int
    seed: int
    px: int
    classes: tuple[str, ...] = scene_drawing.CLASSES
    named_labels: bool = False
    notes: tuple[str, ...] = ()
    annotations: SourceAnnotations = ANNOTATIONS

    def __post_init__(self) -> None:
        least, most = scene_drawing.MIN_PX, scene_drawing.MAX_PX
        if not least <= self.px <= most:
            raise PoiseError(
                f"--image-px {self.px}: a scene has at least {least} and at most {most} pixels a "
                "side"
            )

    @property
    def key(self) -> str:
        """A hash of the arguments and of one drawing, which changes with the generator."""
        probe = scene_drawing.draw_scene(self.seed, 0, self.px).png()
        return hash_of(f"scenes {self.seed} {self.px}".encode(), probe)

    def __len__(self) -> int:
        return self.num_images

    def part(self, indices: Indices) -> Part:
        """Returns the scenes' numbers; they are drawn when the part is read."""
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
            scene = scene_drawing.draw_scene(self.seed, int(index), self.px)
            yield Sample(
                scene.png(),
                scene.label,
                f"scenes/{self.seed}/{index}",
                mask=scene.mask_png(),
                boxes=scene.boxes,
                box_labels=(scene.label,),
                box_difficult=(False,),
            )
