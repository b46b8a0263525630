"""Tiny benchmarks in their published layouts, drawn for tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def save_jpeg(path: Path, hue: int, size: tuple[int, int] = (48, 36)) -> None:
    """Writes a picture whose pattern and colour follow a number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[: size[1], : size[0]]
    waves = 127 + 120 * np.sin((columns * (hue % 5 + 1) + rows * (hue % 3)) / 6)
    pixels = np.stack([waves, 255 - waves, np.full_like(waves, 37 * hue % 256)], axis=-1)
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95)


def save_landmarks(folder: Path, hues: Sequence[int] = (1, 2, 3), **changes: Any) -> Path:
    """Writes a benchmark of landmarks: each query has an easy, a hard and a junk image."""
    names, queries, truth = [], [], []
    for number, hue in enumerate(hues):
        for kind in ("easy", "hard", "junk"):
            names.append(f"{kind}_{hue}")
            save_jpeg(folder / "jpg" / f"{kind}_{hue}.jpg", hue, (48, 36))
        queries.append(f"query_{hue}")
        save_jpeg(folder / "jpg" / f"query_{hue}.jpg", hue, (60, 40))
        first = 3 * number
        truth.append(
            {
                "bbx": [2.4, 3.0, 50.0, 38.6],
                "easy": [first],
                "hard": [first + 1],
                "junk": [first + 2],
            }
        )
    content = {"imlist": names, "qimlist": queries, "gnd": truth, **changes}
    (folder / "gnd_tiny.json").write_text(json.dumps(content))
    return folder


def save_copydays(folder: Path, count: int = 4) -> Path:
    """Writes Copydays with ``strong`` and two strengths of JPEG compression."""
    for number in range(count):
        save_jpeg(folder / "original" / f"{2000 + number}00.jpg", number)
        save_jpeg(folder / "strong" / f"{2000 + number}01.jpg", number, (30, 44))
        for quality in (3, 20):
            path = folder / "jpegqual" / str(quality) / f"{2000 + number}00.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(folder / "original" / f"{2000 + number}00.jpg") as image:
                image.save(path, quality=quality)
    return folder
