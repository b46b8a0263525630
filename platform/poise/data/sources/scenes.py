"""Sources of the images ``scenes`` and the videos ``scenes-video``, which Poise draws itself.

In: a number of images or of frames. Out: drawn images with labels, boxes and masks. Next:
``poise.data.preparation``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from poise.config.errors import PoiseError
from poise.data.sources import scene_drawing, scene_motion
from poise.data.sources.base import Indices, Part, Sample, SourceAnnotations, hash_of

DEFAULT_NUM_SCENES = 10_000

DEFAULT_NUM_FRAMES = 30 * scene_motion.NUM_FRAMES

ANNOTATIONS = SourceAnnotations(
    kinds=("mask", "boxes"), mask_classes=("object",), box_classes=scene_drawing.CLASSES
)


@dataclass(frozen=True)
class ScenesSource:
    """Source of ``scenes``: images that Poise draws."""

    num_images: int
    seed: int
    px: int
    classes: tuple[str, ...] = scene_drawing.CLASSES
    named_labels: bool = False
    notes: tuple[str, ...] = ()
    annotations: SourceAnnotations = ANNOTATIONS

    def __post_init__(self) -> None:
        _check_px(self.px)

    @property
    def key(self) -> str:
        """Hash of the arguments and one image. It changes if the code that draws images changes."""
        probe = scene_drawing.draw_scene(self.seed, 0, self.px).png()
        return hash_of(f"scenes {self.seed} {self.px}".encode(), probe)

    def __len__(self) -> int:
        return self.num_images

    def part(self, indices: Indices) -> Part:
        """Returns a ``Part`` of the source that contains only the scenes with these numbers.

        The scenes are drawn only when this ``Part`` is read.
        """
        return ScenesPart(self.seed, self.px, indices)


@dataclass(frozen=True)
class ScenesPart:
    """Some scenes, by their numbers."""

    seed: int
    px: int
    indices: Indices

    def samples(self) -> Iterator[Sample]:
        """Draws and encodes each scene."""
        for index in self.indices.tolist():
            scene = scene_drawing.draw_scene(self.seed, index, self.px)
            yield _sample(scene, f"scenes/{self.seed}/{index}")


@dataclass(frozen=True)
class SceneVideosSource:
    """Source of the frames of ``scenes-video``. The last video may be shorter."""

    num_images: int
    seed: int
    px: int
    classes: tuple[str, ...] = scene_drawing.CLASSES
    named_labels: bool = False

    def __post_init__(self) -> None:
        _check_px(self.px)

    @property
    def annotations(self) -> SourceAnnotations:
        """Kinds of annotations: those of scenes, and sequences."""
        return replace(ANNOTATIONS, kinds=(*ANNOTATIONS.kinds, "sequence"))

    @property
    def notes(self) -> tuple[str, ...]:
        """Line with the number of frames and videos."""
        count = -(-self.num_images // scene_motion.NUM_FRAMES)
        return (f"{self.num_images:,} frames in videos of {scene_motion.NUM_FRAMES}: {count:,}",)

    @property
    def key(self) -> str:
        """Hash of the arguments and one frame. It changes if the code that draws frames changes."""
        probe = scene_motion.draw_frame(self.seed, 0, 1, self.px).png()
        return hash_of(f"scenes-video {self.seed} {self.px}".encode(), probe)

    def __len__(self) -> int:
        return self.num_images

    def part(self, indices: Indices) -> Part:
        """Returns a ``Part`` of the source that contains only these frames.

        The frames are drawn only when this ``Part`` is read.
        """
        return SceneVideosPart(self.seed, self.px, indices)


@dataclass(frozen=True)
class SceneVideosPart:
    """Some frames of ``scenes-video``, numbered over all videos."""

    seed: int
    px: int
    indices: Indices

    def samples(self) -> Iterator[Sample]:
        """Draws and encodes each frame."""
        for index in self.indices.tolist():
            video, frame = divmod(index, scene_motion.NUM_FRAMES)
            scene = scene_motion.draw_frame(self.seed, video, frame, self.px)
            sample = _sample(scene, f"scenes-video/{self.seed}/{video}/{frame}")
            yield replace(sample, sequence=f"video-{video:05d}", frame=frame)


def _check_px(px: int) -> None:
    least, most = scene_drawing.MIN_PX, scene_drawing.MAX_PX
    if not least <= px <= most:
        raise PoiseError(
            f"--image-px {px}: a scene has at least {least} and at most {most} pixels a side"
        )


def _sample(scene: scene_drawing.Scene, path: str) -> Sample:
    return Sample(
        scene.png(),
        scene.label,
        path,
        mask=scene.mask_png(),
        boxes=scene.boxes,
        box_labels=(scene.label,),
        box_difficult=(False,),
        box_truncated=(False,),
    )
