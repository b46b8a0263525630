"""Views per second and core: ours against the published Pillow pipeline, on the same photographs.

Run as ``python tests/benchmarks/bench_views.py``. It prints CPU milliseconds per image for the
published ten views (2 × 224 and 8 × 96 px), and ratios measured in this one run. The floor is
decoding, which both must do; the colours are the device's work, and shown here on the CPU too.
"""

import io
import os
import random
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from poise.config.views import ViewsConfig
from poise.data.dataset import EncodedBatch
from poise.data.views.color_augmentation import Photometry
from poise.data.views.cutter import ViewCutter
from poise.data.views.decode import decode_rgb
from poise.data.views.normalization import IMAGENET_MEAN, IMAGENET_STD

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script, not as a module
from tests.benchmarks.published_augmentation import published_views

IMAGES = 64
ROUNDS = 3
MAX_PIXELS = 300_000  # ImageNet's usual 500 × 375, without the few camera-sized files


def photographs() -> list[bytes]:
    """Encoded photographs of ordinary size."""
    shared = Path(__file__).resolve().parents[3] / "shared"
    golden = Path(os.environ.get("GOLDEN_DIR", shared / "golden"))
    archive = golden.parent / "data" / "imagenet-samples.tar"
    if not archive.is_file():
        raise SystemExit(f"bench_views: skipped, no photographs at {archive}")
    with tarfile.open(archive) as tar:
        files = [tar.extractfile(member) for member in tar if member.isfile()]
        encoded = [file.read() for file in files if file is not None]
    sizes = [Image.open(io.BytesIO(data)).size for data in encoded]
    usual = [data for data, (w, h) in zip(encoded, sizes, strict=True) if w * h <= MAX_PIXELS]
    return usual[:IMAGES]


def cpu_ms(work: Callable[[], object], images: int) -> float:
    """CPU milliseconds per image of one call: immune to other programs, unlike the clock."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3 / images


def main() -> None:
    """Measures and prints."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    encoded = photographs()
    config, count = ViewsConfig(), len(encoded)
    cut = ViewCutter(config, seed=0)
    colour = Photometry(config, IMAGENET_MEAN, IMAGENET_STD)
    batch = EncodedBatch(encoded, np.zeros(count, np.int64), np.arange(count))
    first, second, local = published_views()

    def published() -> None:
        for data in encoded:
            image = Image.open(io.BytesIO(data)).convert("RGB")
            _ = [first(image), second(image), *(local(image) for _ in range(config.local_count))]

    def coloured() -> None:
        for start in range(0, count, 16):
            part = slice(start, start + 16)
            views = cut(EncodedBatch(encoded[part], batch.labels[part], batch.sample_ids[part]), 0)
            colour(views.global_views, views.global_photometry)
            colour(views.local_views, views.local_photometry)

    kinds: dict[str, Callable[[], object]] = {
        "decoding alone (the floor)": lambda: [decode_rgb(data) for data in encoded],
        "published Pillow pipeline": published,
        "our views, colours left to the device": lambda: cut(batch, 0),
        "our views and colours, all on the CPU": coloured,
    }
    best = {name: float("inf") for name in kinds}
    for work in kinds.values():
        work()
    for _ in range(ROUNDS):  # in turns, so that a busy machine is unkind to all alike
        for name, work in kinds.items():
            best[name] = min(best[name], cpu_ms(work, count))
    floor, theirs, ours, all_cpu = best.values()
    for name, ms in best.items():
        print(f"{name:40s} {ms:7.2f} ms/image {config.count * 1e3 / ms:7.0f} views/s and core")
    print(f"views per second and core, against the published pipeline: {theirs / ours:.2f}x")
    print(f"with the colours on the CPU too: {theirs / all_cpu:.2f}x")
    print(f"over the floor: {ours / floor:.2f}x of decoding alone")


if __name__ == "__main__":
    main()
