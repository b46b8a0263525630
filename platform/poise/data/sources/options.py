"""The options of `poise data prepare`, together.

In: what a person typed. Out: ``PrepareOptions``, checked by the source that they belong to. Next:
``poise.data.sources.opening`` and ``poise.data.preparation.ingest``.
"""

from dataclasses import dataclass

from poise.data.manifest import Bounds


@dataclass(frozen=True)
class PrepareOptions:
    """Which images of a source to take, and how to read them."""

    num_images: int | None = None
    """Number of scenes to draw; for every other source the size of a random subset."""

    seed: int = 0
    """Seed of the scenes, or of the random subset."""

    image_px: int | None = None
    """Side of each scene in pixels; only scenes have it."""

    value_range: Bounds | None = None
    """Range that images of more than eight bits are scaled by; none measures it."""
