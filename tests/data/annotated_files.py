"""Small images with masks, XML and JSON of annotations, for the tests that read them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from poise.data.annotations import AnnotationReader, Annotations
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions

WIDTH, HEIGHT = 40, 30


def write_image(path: Path, seed: int = 0, orientation: int | None = None) -> Path:
    """A JPEG of ``WIDTH`` × ``HEIGHT`` as stored, turned by an EXIF block if asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, "JPEG", exif=exif)
    return path


def write_images(root: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        write_image(root / name, seed)
    return root


def mask_of(*rectangles: tuple[int, int, int, int, int]) -> NDArray[np.uint8]:
    """A mask [HEIGHT, WIDTH] with a value in each rectangle x0, y0, x1, y1."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for value, x0, y0, x1, y1 in rectangles:
        mask[y0:y1, x0:x1] = value
    return mask


def write_mask(path: Path, mask: NDArray[Any], mode: str = "P") -> Path:
    """A mask file: of a palette (``P``), in grey (``L``), black and white (``1``), or in colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == "P":
        image = Image.fromarray(mask)
        image.putpalette([(37 * place) % 256 for place in range(768)])
    elif mode == "1":
        image = Image.fromarray(mask > 0)
    else:
        image = Image.fromarray(mask)
        image = image if image.mode == mode else image.convert(mode)
    image.save(path)
    return path


def voc_xml(
    objects: Sequence[tuple[str, tuple[Any, Any, Any, Any], Mapping[str, int]]],
    size: tuple[int, int] | None = (WIDTH, HEIGHT),
) -> str:
    """XML of Pascal VOC. Boxes are written as they are, counted from 1."""
    text = "<annotation><filename>old-name.jpg</filename>"
    if size:
        text += f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    for name, corners, flags in objects:
        sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
        box = "".join(f"<{side}>{corner}</{side}>" for side, corner in sides)
        marks = "".join(f"<{flag}>{value}</{flag}>" for flag, value in flags.items())
        part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
        text += f"<object><name>{name}</name>{marks}<bndbox>{box}</bndbox>{part}</object>"
    return f"{text}</annotation>"


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def coco_file(
    images: Sequence[str],
    objects: Sequence[Mapping[str, Any]],
    categories: Sequence[tuple[int, str]] = ((3, "cat"), (17, "dog")),
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> dict[str, Any]:
    """JSON of COCO. Image number i has id 10 + i."""
    return {
        "info": {"year": 2014},
        "images": [
            {"id": 10 + place, "file_name": name, "width": size[0], "height": size[1]}
            for place, name in enumerate(images)
        ],
        "categories": [{"id": number, "name": name} for number, name in categories],
        "annotations": [
            {"id": place, "iscrowd": 0, "area": 1.0, **each} for place, each in enumerate(objects)
        ],
    }


def write_coco(path: Path, *arguments: Any, **more: Any) -> Path:
    return write_text(path, json.dumps(coco_file(*arguments, **more)))


def prepared(source: Path, **options: Any) -> tuple[Manifest, Annotations]:
    """Prepares a folder beside the source, and reads all of its annotations."""
    folder = source.parent / f"{source.name}-prepared"
    texts: dict[str, Any] = {
        name: str(each) if isinstance(each, Path) else each for name, each in options.items()
    }
    manifest = prepare(str(source), folder, PrepareOptions(**texts), parallel=False)
    dataset = ImageDataset.open(folder)
    reader = AnnotationReader(dataset, *manifest.annotations)
    return manifest, reader.read(np.arange(len(dataset)))
