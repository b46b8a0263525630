"""Source of named datasets, which torchvision downloads.

In: ``torchvision:<Name>`` or ``torchvision:<Name>/<split>``. Out: a ``FilesSource`` if the dataset
has image files, else an ``ArraySource`` that encodes the dataset's arrays as PNG. Next:
``poise.data.preparation.ingest``.
"""

import difflib
import functools
import inspect
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.config import paths
from poise.config.errors import PoiseError, one_line
from poise.data.sources.base import (
    NO_ANNOTATIONS,
    NO_LABEL,
    ImageSource,
    Indices,
    Part,
    Sample,
    SourceAnnotations,
    hash_of,
)
from poise.data.sources.files import FilesSource, ImageFile
from poise.data.sources.safe_names import LONGEST_ERROR
from poise.data.sources.walk import stamp


@dataclass(frozen=True)
class ArraySource:
    """Source of a torchvision dataset whose images are arrays and not files."""

    text: str
    classes: tuple[str, ...]
    num_images: int
    notes: tuple[str, ...] = ()
    named_labels: bool = False
    annotations: SourceAnnotations = NO_ANNOTATIONS

    @property
    def key(self) -> str:
        """Hash of the dataset's name and size.

        The images themselves need no hash, because torchvision compares each download with a known
        hash.
        """
        return hash_of(self.text.encode(), str(self.num_images).encode())

    def __len__(self) -> int:
        return self.num_images

    def part(self, indices: Indices) -> Part:
        """Returns a ``Part`` of the source that contains only these rows.

        The process that reads this ``Part`` opens the dataset again.
        """
        return ArrayPart(self.text, str(_downloads()), indices)


@dataclass(frozen=True)
class ArrayPart:
    """Some rows of a torchvision dataset whose images are arrays."""

    text: str
    root: str
    indices: Indices

    def samples(self) -> Iterator[Sample]:
        """Encodes each image as PNG."""
        dataset = _open(self.text, self.root)
        for index in self.indices:
            image, target = dataset[int(index)]
            buffer = io.BytesIO()
            image.save(buffer, format="PNG")
            yield Sample(buffer.getvalue(), _label(target), f"{self.text}#{index}")


def open_torchvision(text: str) -> ImageSource:
    """Opens a dataset of torchvision. Downloads the dataset if it is not on this machine.

    Raises:
        PoiseError: the dataset or the split does not exist, or the dataset cannot be downloaded.
    """
    dataset = _open(text, str(_downloads()))
    classes = tuple(_class_name(entry) for entry in _first(dataset, "classes", "categories") or ())
    files = _files(dataset)
    if files is None:
        return ArraySource(text, classes, len(dataset), notes=_split_taken(text))
    root = os.path.commonpath([str(Path(path).parent) for path, _ in files])
    images = (
        ImageFile(os.path.relpath(path, root), _label(target), stamp(Path(path).stat()))
        for path, target in files
    )
    return FilesSource(root, classes, tuple(images), notes=_split_taken(text))


def _downloads() -> Path:
    return paths.home() / "downloads"


@functools.lru_cache(maxsize=1)  # a worker reads many parts of one dataset
def _open(text: str, root: str) -> Any:
    from torchvision import datasets

    name, _, split = text.removeprefix("torchvision:").partition("/")
    if name not in datasets.__all__:
        close = difflib.get_close_matches(name, datasets.__all__, n=1, cutoff=0.3)
        hint = f"; did you mean 'torchvision:{close[0]}'?" if close else ""
        raise PoiseError(f"{text}: torchvision has no dataset '{name}'{hint}")
    make = getattr(datasets, name)
    options = _options(text, split, root, inspect.signature(make).parameters)
    try:
        return make(**options)
    except (ValueError, TypeError) as error:  # unknown split, or an argument is missing
        raise PoiseError(
            f"{text}: torchvision does not open it: {one_line(error, LONGEST_ERROR)}"
        ) from None
    except (OSError, RuntimeError) as error:
        raise PoiseError(
            f"{text}: not in {root} and it cannot be downloaded "
            f"({one_line(error, LONGEST_ERROR)}); check the network, or prepare a folder or "
            "Parquet files you have"
        ) from None


def _options(text: str, split: str, root: str, parameters: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"root": root} if "root" in parameters else {}
    if "download" in parameters:
        options["download"] = True
    if split and "split" in parameters:
        options["split"] = split
    elif split in ("train", "test") and "train" in parameters:
        options["train"] = split == "train"
    elif split:
        raise PoiseError(f"{text}: this dataset has no split '{split}'")
    return options


def _split_taken(text: str) -> tuple[str, ...]:
    """Returns a note on torchvision's default split, if the user did not name a split."""
    from torchvision import datasets

    name, _, split = text.removeprefix("torchvision:").partition("/")
    parameters = inspect.signature(getattr(datasets, name)).parameters
    if split or not {"split", "train"} & parameters.keys():
        return ()
    taken = parameters["split"].default if "split" in parameters else "train"
    return (f"split '{taken}', torchvision's default; {text}/SPLIT names another",)


def _files(dataset: Any) -> list[tuple[str, Any]] | None:
    """Returns the path and label of every image; None if the dataset has no list of image files."""
    pairs = _first(dataset, "samples", "_samples")
    if pairs is None:
        images, labels = _first(dataset, "_images", "_image_files"), _first(dataset, "_labels")
        if images is None or labels is None or len(images) != len(labels):
            return None
        pairs = list(zip(images, labels, strict=True))
    are_files = pairs and isinstance(pairs[0][0], str | Path) and Path(pairs[0][0]).is_file()
    return [(str(path), target) for path, target in pairs] if are_files else None


def _first(dataset: Any, *names: str) -> Sequence[Any] | None:
    return next((getattr(dataset, name) for name in names if hasattr(dataset, name)), None)


def _class_name(entry: Any) -> str:
    return str(entry[0]) if isinstance(entry, tuple | list) else str(entry)  # Imagenette: synonyms


def _label(target: Any) -> int:
    try:
        return max(int(target), NO_LABEL)
    except (TypeError, ValueError):  # boxes, captions or None cannot be a class
        return NO_LABEL
