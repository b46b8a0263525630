"""Datasets that pages presume, in their published layouts, in miniature.

In: a folder. Out: images with labels, masks, boxes or videos. Next: ``given.py``, which makes them
by their names.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from tests.data.annotated_files import mask_of, voc_xml, write_coco, write_image, write_mask

_CAT, _DOG = (1, 2, 2, 12, 12), (2, 20, 5, 30, 25)


def parquet(path: str) -> None:
    """A Parquet file of 60 small images with labels, as Hugging Face publishes CIFAR-10."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.data.builders import encode, smooth_image

    images = [{"bytes": encode(smooth_image(n, 32, 32)), "path": f"{n}.png"} for n in range(60)]
    table = pa.table({"img": images, "label": [number % 10 for number in range(60)]})
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def masks(folder: str) -> None:
    """Masks of two objects for every photograph of the folder `photos`, and the objects' names."""
    for photo in Path("photos").rglob("*.jpg"):
        mask = Image.fromarray(mask_of(_CAT, _DOG))
        with Image.open(photo) as image:
            resized = mask.resize(image.size, Image.Resampling.NEAREST)
        path = Path(folder, photo.relative_to("photos")).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        resized.save(path)
    Path("names.txt").write_text("cat\ndog\n", encoding="utf-8")


def voc(folder: str) -> None:
    """Pascal VOC with four images, their boxes and masks."""
    root, names = Path(folder), [f"2007_{number:06}" for number in range(4)]
    boxes = [("cat", (3, 3, 12, 12), {"difficult": 0}), ("dog", (21, 6, 30, 25), {"truncated": 1})]
    for seed, name in enumerate(names):
        write_image(root / "JPEGImages" / f"{name}.jpg", seed)
        write_mask(root / "SegmentationClass" / f"{name}.png", mask_of(_CAT, _DOG))
        _write(root / "Annotations" / f"{name}.xml", voc_xml(boxes))
    _write(root / "ImageSets" / "Main" / "trainval.txt", "\n".join(names))
    _write(root / "ImageSets" / "Segmentation" / "val.txt", "\n".join(names[:2]))


def coco(folder: str) -> None:
    """A folder of COCO's images, the JSON of their objects, and the list of COCO20k."""
    root = Path(folder)
    names = [f"COCO_{root.name}_{number:012}.jpg" for number in range(4)]
    outline = [[2, 2, 12, 2, 12, 12, 2, 12]]
    objects = [
        {"image_id": 10 + place, "category_id": 3, "bbox": [2, 2, 10, 10], "segmentation": outline}
        for place in range(len(names))
    ]
    for seed, name in enumerate(names):
        write_image(root / name, seed)
    write_coco(root.parent / "annotations" / f"instances_{root.name}.json", names, objects)
    _write(Path("coco_20k_filenames.txt"), "\n".join(names[:3]))


def clips(folder: str) -> None:
    """Two short videos, each a folder of frames."""
    for video in ("bear", "swan"):
        for frame in range(3):
            write_image(Path(folder, video, f"{frame:05}.jpg"), frame)


def davis(folder: str) -> None:
    """DAVIS with two videos and their masks."""
    clips(f"{folder}/JPEGImages/480p")
    for frame in Path(folder).glob("JPEGImages/480p/*/*.jpg"):
        mask = Path(folder, "Annotations", "480p", frame.parent.name, f"{frame.stem}.png")
        write_mask(mask, mask_of(_CAT, _DOG))
    _write(Path(folder, "ImageSets", "2017", "val.txt"), "bear\nswan\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


DATASETS: Mapping[str, Callable[[str], object]] = {
    each.__name__: each for each in (parquet, masks, voc, coco, clips, davis)
}
