"""Finds the annotation file of each image. The two files have the same path without suffix.

In: paths of images, and a folder of masks or of XML files. Out: one file for each image. Next:
``poise.data.sources.annotated.opening``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from poise.config.errors import PoiseError, first_few
from poise.config.wording import counted
from poise.data.sources.files import suffix
from poise.data.sources.safe_names import shown
from poise.data.sources.walk import FoundFile, walk

_SHOWN = 3


@dataclass(frozen=True)
class Kind:
    """Kind of annotation files: masks or XML files."""

    word: str  # "mask"
    option: str  # "--masks"
    suffixes: Collection[str]
    usual: str  # suffix for error messages


def match_files(
    images: Sequence[str], folder: str, kind: Kind
) -> tuple[list[FoundFile], tuple[str, ...]]:
    """Finds the annotation file of every image.

    Args:
        images: paths of the images, relative to their folder.
        folder: folder of annotation files.
        kind: kind of files to look for.

    Returns:
        A file for each image, with its path relative to ``folder``, and notes for the user.

    Raises:
        PoiseError: an image has no file or several files, two images have the same file, or the
            folder cannot be read.
    """
    found = walk(folder).files
    by_stem: dict[str, FoundFile] = {}
    for file in (file for file in found if suffix(file.path) in kind.suffixes):
        other = by_stem.setdefault(_stem(file.path), file)
        if other is not file:
            raise PoiseError(
                f"{shown(folder)}: '{shown(other.path)}' and '{shown(file.path)}' are {kind.word}s "
                "of one image; keep one of them"
            )
    if not by_stem:
        such = f", only such as '{shown(found[0].path)}'" if found else ""
        raise PoiseError(
            f"{kind.option} {shown(folder)}: holds no file that ends in "
            f"{' or '.join(sorted(kind.suffixes))}{such}"
        )
    _refuse_shared(images, kind, folder, by_stem)
    _refuse_missing(images, kind, folder, by_stem)
    left = len(by_stem) - len(images)
    note = f"left out {counted(left, kind.word)} of {shown(folder)} without an image"
    return [by_stem[_stem(image)] for image in images], (note,) * bool(left)


def _refuse_shared(
    images: Sequence[str], kind: Kind, folder: str, by_stem: dict[str, FoundFile]
) -> None:
    first: dict[str, str] = {}
    for image in images:
        other = first.setdefault(_stem(image), image)
        if other is not image and _stem(image) in by_stem:
            raise PoiseError(
                f"'{shown(other)}' and '{shown(image)}' share one {kind.word}, "
                f"'{shown(str(Path(folder, by_stem[_stem(image)].path)))}'; rename one image and "
                f"give it a {kind.word} of its own"
            )


def _refuse_missing(
    images: Sequence[str], kind: Kind, folder: str, by_stem: dict[str, FoundFile]
) -> None:
    missing = [image for image in images if _stem(image) not in by_stem]
    if not missing:
        return
    wanted = str(Path(folder, _stem(missing[0]) + kind.usual))
    more = first_few([f"'{shown(image)}'" for image in missing[1:]], _SHOWN)
    others = f" ({counted(len(missing), 'image')} of {len(images):,} have none: also {more})"
    advice = (
        f"every {kind.word} must have the path of its image, but for the suffix (there is "
        f"'{shown(next(iter(by_stem.values())).path)}')"
        if len(missing) == len(images)
        else f"add the {kind.word}s, or list the images to take in a file, one a line: --list "
        f"{_list_of(folder)}"
    )
    raise PoiseError(
        f"'{shown(missing[0])}' has no {kind.word} '{shown(wanted)}'{others if more else ''}; "
        f"{advice}"
    )


def _list_of(folder: str) -> str:
    """Returns the path of Pascal VOC's list of images with masks, or ``FILE`` if there is none."""
    found = Path(folder).parent / "ImageSets" / "Segmentation" / "trainval.txt"
    return shown(str(found)) if found.is_file() else "FILE"


def _stem(path: str) -> str:
    return path[: len(path) - len(suffix(path))]
