"""Recognises names of folders and files that mean a part of a dataset and not a class.

In: names of folders and files. Out: the split or role that a name means, or None. Next:
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
"""Words that mean a split only in names of folders. In names of files, the split's name often
follows such a word.
"""

IMAGE_ROLES = frozenset(("image", "images", "img", "imgs", "jpegimages"))
ROLES = frozenset(_ROLES.split())
"""Names of folders with different data about the same images, such as images and masks."""

_WITH_ENDING = re.compile(f"({'|'.join(SPLITS)})(set|data|images|imgs|a|b)")
"""Names of splits with an ending: ``trainset``, ``testImages``, and ``trainA`` (image domain A)."""

_WORDS = re.compile(r"[a-z]+")
_NO_LETTERS = re.compile(r"[\d\W_]+")


def part_name(folder: str) -> str | None:
    """Returns the split or role that the name of a folder means (``Val``, ``train2017``)."""
    word = _NO_LETTERS.sub("", folder.casefold())
    with_ending = _WITH_ENDING.fullmatch(word)
    if with_ending:
        return with_ending[1]
    return word if word in SPLITS or word in ROLES else None


def loose_split(name: str) -> str | None:
    """Returns the split that is a part of a longer name (``partial-train``, ``test_images``)."""
    found = [word for word in _WORDS.findall(name.casefold()) if word in SPLITS - _NUMBERED]
    return "-".join(found) or None


def file_split(path: str) -> str | None:
    """Returns the split of a Parquet file from its name, or else from its nearest folder."""
    names = (PurePosixPath(path).stem, *reversed(PurePosixPath(path).parts[:-1]))
    return next((split for name in names if (split := loose_split(name))), None)


def mixed_parts(folders: dict[str, bool], has_loose_images: bool) -> bool:
    """Returns True if the folders in one place are parts of a dataset and not classes.

    There are three cases. First: two folders have names of parts (``train`` and ``val``, ``images``
    and ``masks``, ``train2014`` and ``train2017``). Second: one folder is a split, and there is
    another folder or an image next to it. Third: every name contains words for parts, and these
    words differ (``train_images`` and ``test_images``, or ``train_masks``).

    The name ``train`` may be a class of vehicles. A single folder with this name counts as a split
    only if it contains folders.

    Args:
        folders: dict from folder names to whether the folder contains folders of images.
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
