"""Sentences that say which annotations a prepared dataset has, and how many.

In: a dataset's folder. Out: one sentence for each kind of annotations. Next: the summary of
`poise data prepare`.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poise.config.errors import first_few
from poise.data.annotations import IGNORED
from poise.data.manifest import Manifest
from poise.data.sources.names import counted, shown

_CLASSES_SHOWN = 4


def annotation_sentences(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Describes a dataset's annotations."""
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


def _columns(folder: Path, manifest: Manifest, name: str) -> Iterator[pa.Table]:
    for shard in manifest.shards:
        with pq.ParquetFile(folder / shard.file) as opened:
            yield opened.read(columns=[name])


def _values(manifest: Manifest) -> str:
    """Says which values masks hold."""
    inside = [value for value in manifest.mask_values if 0 < value < IGNORED]
    if not inside:
        return "nothing but background"
    span = f"values {inside[0]} to {inside[-1]}" if len(inside) > 1 else f"value {inside[0]}"
    ignored = ", some pixels ignored" if IGNORED in manifest.mask_values else ""
    return f"{span}{_names(manifest.mask_classes)}{ignored}"


def _names(classes: tuple[str, ...]) -> str:
    return f" ({first_few([shown(name) for name in classes], _CLASSES_SHOWN)})" if classes else ""
