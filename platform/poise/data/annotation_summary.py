"""Writes sentences about the annotations of a prepared dataset: their kinds and numbers.

In: a dataset's folder. Out: one sentence for each kind of annotations. Next: the summary of `poise
data prepare`.
"""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from poise.config.errors import first_few
from poise.config.locations import AnyLocation, Location
from poise.config.wording import counted
from poise.data.annotations import IGNORED
from poise.data.manifest import Manifest
from poise.data.parquet_file import parquet_file
from poise.data.sources.safe_names import shown

_CLASSES_SHOWN = 4


def annotation_sentences(folder: AnyLocation, manifest: Manifest) -> Iterator[str]:
    """Yields one sentence for each kind of annotations in a dataset."""
    if "mask" in manifest.annotations:
        yield f"masks: {counted(manifest.num_samples, 'image')}, {_values(manifest)}"
    if "boxes" in manifest.annotations:
        lengths = [
            length.as_py()
            for shard in _columns(folder, manifest, "boxes")
            for length in pc.list_value_length(shard["boxes"])
        ]
        yield (
            f"boxes: {sum(lengths):,} in {counted(sum(n > 0 for n in lengths), 'image')}, "
            f"{counted(sum(n == 0 for n in lengths), 'image')} without any"
            f"{_names(manifest.box_classes)}"
        )
    if "sequence" in manifest.annotations:
        frames = Counter(
            name.as_py()
            for shard in _columns(folder, manifest, "sequence")
            for name in shard["sequence"]
        )
        least, most = min(frames.values()), max(frames.values())
        span = f"{least}" if least == most else f"{least} to {most}"
        yield f"videos: {len(frames):,} of {span} frames"


def _columns(folder: AnyLocation, manifest: Manifest, name: str) -> Iterator[pa.Table]:
    for shard in manifest.shards:
        with parquet_file(Location.of(folder) / shard.file) as opened:
            yield opened.read(columns=[name])


def _values(manifest: Manifest) -> str:
    """Describes in words the values that occur in the dataset's masks."""
    inside = [value for value in manifest.mask_values if 0 < value < IGNORED]
    if not inside:
        return "nothing but background"
    span = f"values {inside[0]} to {inside[-1]}" if len(inside) > 1 else f"value {inside[0]}"
    ignored = ", some pixels ignored" if IGNORED in manifest.mask_values else ""
    return f"{span}{_names(manifest.mask_classes)}{ignored}"


def _names(classes: tuple[str, ...]) -> str:
    return f" ({first_few([shown(name) for name in classes], _CLASSES_SHOWN)})" if classes else ""
