"""Small images and folders of them, for the tests of data preparation."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def encode(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def noise_image(seed: int, px: int = 24) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (px, px, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def noise_mask(px: int = 24) -> bytes:
    """A mask with two objects."""
    return encode(Image.fromarray(np.arange(px * px, dtype=np.uint8).reshape(px, px) % 3), "PNG")


def noise_jpeg(seed: int) -> bytes:
    return encode(noise_image(seed))


def write_class_folders(root: Path, per_class: int = 3) -> Path:
    for label, name in enumerate(("ant", "bee")):
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            (root / name / f"{number}.jpg").write_bytes(noise_jpeg(100 * label + number))
    return root
