"""Opens the benchmark Copydays in its published folder layout.

In: a folder with ``original/``, and ``strong/``, ``jpegqual/<quality>/`` or ``crops/<percent>/``.
Out: ``Copydays``. Next: ``poise.evaluation.neighbours.copydays_detection``.

The first four characters of a file's name are the number of its original (INRIA Copydays, Douze et
al. 2009).
"""

from dataclasses import dataclass
from pathlib import Path

from poise.config.errors import PoiseError
from poise.config.paths import given_path
from poise.data.sources.files import is_image_name
from poise.evaluation.reading.image_files import ImageFiles

ORIGINALS = "original"
_KEY_LENGTH = 4
_FOLDERS_OF_STRENGTHS = ("jpegqual", "crops")


@dataclass(frozen=True)
class Copydays:
    """Files of the benchmark, with the original of each copy."""

    files: ImageFiles
    """Image files of all originals, followed by those of all copies."""

    num_originals: int
    blocks: dict[str, tuple[tuple[int, int], ...]]
    """Pairs of sample ids (copy, original) by the block's name, such as ``strong`` or
    ``jpegqual_3``.
    """


def find_copydays(folder: str | Path) -> Copydays | None:
    """Opens the benchmark in a folder. Returns None if the folder has no folder ``original``.

    Raises:
        PoiseError: there are no copies, two originals have the same number, or a copy has no
            original.
    """
    root = given_path(folder)
    if not (root / ORIGINALS).is_dir():
        return None
    names = _images(root, ORIGINALS)
    originals = {Path(name).name[:_KEY_LENGTH]: number for number, name in enumerate(names)}
    if len(originals) < len(names):
        raise PoiseError(
            f"{root / ORIGINALS}: {len(names)} images have {len(originals)} different numbers (the "
            f"first {_KEY_LENGTH} characters of a name); keep one original of each"
        )
    num_originals, blocks = len(names), {}
    for block in _blocks(root):
        copies = _images(root, block)
        if not copies:
            continue
        blocks[block.replace("/", "_")] = tuple(
            (len(names) + number, _original(root, name, originals))
            for number, name in enumerate(copies)
        )
        names += copies
    if not blocks:
        raise PoiseError(
            f"{root}: has {ORIGINALS}/ but no copies in strong/, jpegqual/ or crops/; unpack "
            "these parts of Copydays beside it"
        )
    return Copydays(ImageFiles(root, names), num_originals, blocks)


def _blocks(root: Path) -> list[str]:
    strengths = [
        f"{name}/{inner.name}"
        for name in _FOLDERS_OF_STRENGTHS
        for inner in sorted((root / name).glob("[0-9]*"), key=lambda path: path.name.zfill(3))
        if inner.is_dir()
    ]
    return [*(["strong"] if (root / "strong").is_dir() else []), *strengths]


def _images(root: Path, folder: str) -> list[str]:
    files = sorted((root / folder).iterdir())
    return [f"{folder}/{path.name}" for path in files if is_image_name(path.name)]


def _original(root: Path, name: str, originals: dict[str, int]) -> int:
    key = Path(name).name[:_KEY_LENGTH]
    if key not in originals:
        raise PoiseError(
            f"{root / name}: no image in {ORIGINALS}/ begins with {key}, so its original is "
            "unknown; unpack the whole benchmark"
        )
    return originals[key]
