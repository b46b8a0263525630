"""Makes the labelled runs' dataset of photographs: four tiles of each, named by the photograph.

Run from the repository's root as ``python -m tests.corpus.photographs FOLDER``; FOLDER holds the
photographs (250 images of ImageNet, each of another class, were used). Three tiles of each go to
``data/photographs-train`` and the fourth to ``data/photographs-test``, so that k-NN asks which
photograph an unseen tile is part of. Both folders must then be prepared:
``poise data prepare runs/photographs/train data/photographs-train``, and the same for ``test``.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

TILE_PX = 96
TILES = Path("runs") / "photographs"


def tiles_of(image: Image.Image) -> Iterator[Image.Image]:
    """The four quarters of the image's central square, each of ``TILE_PX`` pixels a side."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    square = image.crop((left, top, left + side, top + side))
    square = square.resize((2 * TILE_PX, 2 * TILE_PX), Image.Resampling.LANCZOS)
    for x in (0, TILE_PX):
        for y in (0, TILE_PX):
            yield square.crop((x, y, x + TILE_PX, y + TILE_PX))


def main() -> None:
    """Writes the tiles of all photographs below the folder given."""
    for path in sorted(Path(sys.argv[1]).rglob("*.JPEG")):
        with Image.open(path) as image:
            for number, tile in enumerate(tiles_of(image.convert("RGB"))):
                folder = TILES / ("test" if number == 3 else "train") / path.stem
                folder.mkdir(parents=True, exist_ok=True)
                tile.save(folder / f"{number}.png")


if __name__ == "__main__":
    main()
