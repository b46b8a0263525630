"""Image files under one folder, as a source.

In: a root folder and the files found in it. Out: a ``FilesSource``. Next:
``poise.data.preparation.ingest``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from poise.data.sources.base import (
    NO_ANNOTATIONS,
    NO_LABEL,
    Indices,
    Part,
    Sample,
    SourceAnnotations,
    hash_of,
)
from poise.data.sources.names import shown

_IMAGES = """
    .jpg .jpeg .jpe .jfif .png .apng .webp .gif .bmp .dib .tif .tiff .ppm .pgm .pbm .pnm .jp2 .j2k
    .avif .tga .heic .heif
"""
_OTHERS = """
    .txt .md .rst .csv .tsv .json .jsonl .xml .yaml .yml .html .htm .pdf .tex .py .ipynb .sh .log
    .npy .npz .mat .pkl .pt .pth .h5 .hdf5 .parquet .arrow .db .sqlite .md5 .sha1 .sha256 .doc .docx
    .xls .xlsx .zip .tar .gz .tgz .bz2 .xz .zst .7z .rar .cls .tfrecord .tfrecords .lmdb .mdb .beton
"""

IMAGE_SUFFIXES = frozenset(_IMAGES.split())
"""Suffixes that say "an image". A file with an unknown suffix may be one too."""

OTHER_SUFFIXES = frozenset(_OTHERS.split())
"""Suffixes of files that are not images. A folder with only such files is not a class."""


@dataclass(frozen=True)
class ImageFile:
    """File that may be an image."""

    path: str  # relative to the source's folder, with forward slashes
    label: int
    stamp: str  # size and time of change


@dataclass(frozen=True)
class FilesSource:
    """Source of the files under one folder."""

    root: str
    classes: tuple[str, ...]
    files: tuple[ImageFile, ...]
    named_labels: bool = False
    notes: tuple[str, ...] = ()
    annotations: SourceAnnotations = NO_ANNOTATIONS

    @property
    def key(self) -> str:
        """Hash of every file's path, label, size and time. The files themselves are not read."""
        lines = (f"{file.path}\t{file.label}\t{file.stamp}" for file in self.files)
        return hash_of("\n".join((*self.classes, *lines)).encode("utf-8", "surrogateescape"))

    def __len__(self) -> int:
        return len(self.files)

    def part(self, indices: Indices) -> Part:
        """Returns the part with these paths and labels.

        The bytes are read only when the part is read.
        """
        return FilesPart(self.root, tuple(self.files[index] for index in indices))


@dataclass(frozen=True)
class FilesPart:
    """Some files under one folder."""

    root: str
    files: tuple[ImageFile, ...]

    def samples(self) -> Iterator[Sample]:
        """Reads each file. If a file cannot be read, its sample has a fault."""
        for file in self.files:
            try:
                data = Path(self.root, file.path).read_bytes()
            except OSError as error:
                fault = f"cannot be read: {error.strerror or error}"
                yield Sample(b"", NO_LABEL, shown(file.path), fault)
            else:
                yield Sample(data, file.label, shown(file.path))


def suffix(path: str) -> str:
    """Returns a path's last suffix in lower case, with its dot."""
    name = path.rpartition("/")[2]  # faster than Path: this runs for millions of files
    dot = name.rfind(".")
    return name[dot:].casefold() if dot > 0 else ""


def is_image_name(path: str) -> bool:
    """Returns True if the name is certainly that of an image."""
    return suffix(path) in IMAGE_SUFFIXES


def is_other_name(path: str) -> bool:
    """Returns True if the name is certainly not that of an image (``labels.csv``, ``LICENSE``)."""
    end = suffix(path)
    return end in OTHER_SUFFIXES or (not end and path.rpartition("/")[2].isupper())
