"""Draws thumbnails of many images into a few JPEG files, small enough for one page.

In: ids of images. Out: ``Sprites``. Next: ``poise.reports.embedding_map``.
"""

import io
from collections.abc import Iterator

from PIL import Image

from poise.data.dataset import ImageDataset
from poise.evaluation.embedding_map.content import Integers, Sprites
from poise.evaluation.reading.thumbnails import thumbnails

TILE_PX = 48
_TILES_ACROSS = 32
_QUALITY = 70


def make_sprites(dataset: ImageDataset, sample_ids: Integers) -> Sprites:
    """Draws the thumbnails of images in the order of the ids, row by row and sheet by sheet."""
    return Sprites(list(_sheets(dataset, sample_ids)), TILE_PX, _TILES_ACROSS)


def _sheets(dataset: ImageDataset, sample_ids: Integers) -> Iterator[bytes]:
    per_sheet = _TILES_ACROSS**2
    for start in range(0, len(sample_ids), per_sheet):
        part = sample_ids[start : start + per_sheet]
        rows = -(-len(part) // _TILES_ACROSS)
        sheet = Image.new("RGB", (_TILES_ACROSS * TILE_PX, rows * TILE_PX))
        for number, tile in enumerate(thumbnails(dataset, part, TILE_PX)):
            row, column = divmod(number, _TILES_ACROSS)
            sheet.paste(tile, (column * TILE_PX, row * TILE_PX))
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=_QUALITY)
        yield buffer.getvalue()
