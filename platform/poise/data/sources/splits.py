"""Recognises names of folders and files that mean a part of a dataset and not a class.

In: names of folders and files. Out: the split that a name means, or None. Next:
``poise.data.sources.folders`` and ``poise.data.sources.parquet_files``, which decide about layouts.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

_SPLITS = """
    train training trainval trn val valid validation dev devel test testing tst eval evaluation
    holdout unlabeled unlabelled fold split
"""
_ROLES = """
    image images img imgs jpegimages annotation annotations mask masks label labels segmentation
    segmentations segmentationclass segmentationobject trimaps groundtruth gt
"""

SPLITS = frozenset(_SPLITS.split())

_NUMBERED = {"fold", "split"}
"""Splits of folders alone: in a file's name these words rather announce the split's name."""

IMAGE_ROLES = frozenset(("image", "images", "img", "imgs", "jpegimages"))
ROLES = frozenset(_ROLES.split())
"""Folders of one dataset that hold different things about the same images."""

_WITH_ENDING = re.compile(f"({'|'.join(SPLITS)})(set|data|images|imgs|a|b)")
"""Splits with an ending for their contents: ``trainset``, ``testImages``, and ``trainA`` of two
domains.
"""

_WORDS = re.compile(r"[a-z]+")
_NO_LETTERS = re.compile(r"[\d\W_]+")


def part_name(folder: str) -> str | None:
    """Returns the split or role that a folder's whole name means (``Val``, ``train2017``)."""
    word = _NO_LETTERS.sub("", folder.casefold())
    with_ending = _WITH_ENDING.fullmatch(word)
    if with_ending:
        return with_ending[1]
    return word if word in SPLITS or word in ROLES else None


def loose_split(name: str) -> str | None:
    """Returns the split that occurs in a longer name (``partial-train``, ``test_images``)."""
    found = [word for word in _WORDS.findall(name.casefold()) if word in SPLITS - _NUMBERED]
    return "-".join(found) or None


def file_split(path: str) -> str | None:
    """Returns the split of a Parquet file from its name, else from its nearest folder."""
    names = (PurePosixPath(path).stem, *reversed(PurePosixPath(path).parts[:-1]))
    return next((split for name in names if (split := loose_split(name))), None)


def mixed_parts(folders: dict[str, bool], has_loose_images: bool) -> bool:
    """Returns True if the folders in one place are parts of a dataset and not classes.

    They are parts in each of these cases. Two of them have names of parts (``train`` and ``val``,
    ``images`` and ``masks``, ``train2014`` and ``train2017``). One is a split and there is
    something else next to it. Or every name contains words of parts, and these words differ
    (``train_images`` and ``test_images``, or ``train_masks``).

    The name ``train`` may be a class of vehicles. A single folder with this name counts as a split
    only if it holds folders.

    Args:
        folders: name → whether the folder itself holds folders of images.
        has_loose_images: whether there are images next to the folders.
    """
    parts = {word: name for name in folders if (word := part_name(name))}
    if _kinds(parts, SPLITS) > 1 or _kinds(parts, ROLES) > 1:
        return True
    others = len(folders) > 1 or has_loose_images
    alone = [name for name in folders if part_name(name) in SPLITS]
    if len(alone) > 1:
        return True
    if others and any(part_name(name) != "train" or folders[name] for name in alone):
        return True
    loose = [frozenset(_WORDS.findall(name.casefold())) & (SPLITS | ROLES) for name in folders]
    return all(loose) and len(set(loose)) > 1


def _kinds(words: Iterable[str], of: frozenset[str]) -> int:
    return sum(word in of for word in words)
