"""Source of the image files under one folder.

In: a root folder and the files in it. Out: a ``FilesSource``. Next:
``poise.data.preparation.ingest``.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

from poise.config.locations import Location
from poise.config.storage import MissingFileError
from poise.data.sources.base import (
    NO_ANNOTATIONS,
    NO_LABEL,
    Indices,
    Part,
    Sample,
    SourceAnnotations,
    hash_of,
)
from poise.data.sources.safe_names import shown

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
"""Suffixes of files that are certainly images. Files with unknown suffixes may also be images."""

OTHER_SUFFIXES = frozenset(_OTHERS.split())
"""Suffixes of files that are certainly not images. A folder with only such files is not a class."""


_READ_TOGETHER = 16
"""Number of files that are read at the same time from a storage, because each answer takes tens of
milliseconds.
"""


@dataclass(frozen=True)
class ImageFile:
    """File that may be an image."""

    path: str  # relative to the source's folder, with forward slashes
    label: int
    stamp: str  # size and time of change


@dataclass(frozen=True)
class FilesSource:
    """Source of the image files under one folder."""

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
        """Returns a ``Part`` of the source that contains only these files.

        The bytes of the files are read only when this ``Part`` is read.
        """
        return FilesPart(self.root, tuple(self.files[index] for index in indices))


@dataclass(frozen=True)
class FilesPart:
    """Some files under one folder."""

    root: str
    files: tuple[ImageFile, ...]

    def samples(self) -> Iterator[Sample]:
        """Reads each file. If a file cannot be read, ``fault`` of its sample says why."""
        folder = Location.of(self.root) if "://" in self.root else Location(None, self.root)
        if folder.is_local:
            yield from (_sample(folder, file) for file in self.files)
            return
        with ThreadPoolExecutor(_READ_TOGETHER) as pool:
            for first in range(0, len(self.files), _READ_TOGETHER):
                several = self.files[first : first + _READ_TOGETHER]
                yield from pool.map(_sample, repeat(folder), several)


def _sample(folder: Location, file: ImageFile) -> Sample:
    try:
        data = (folder / file.path).read_bytes()
    except (OSError, MissingFileError) as error:
        fault = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        return Sample(b"", NO_LABEL, shown(file.path), fault)
    return Sample(data, file.label, shown(file.path))


def suffix(path: str) -> str:
    """Returns a path's last suffix in lower case, with its dot."""
    name = path.rpartition("/")[2]  # faster than Path: this runs for millions of files
    dot = name.rfind(".")
    return name[dot:].casefold() if dot > 0 else ""


def is_image_name(path: str) -> bool:
    """Returns True if the suffix shows that the file is certainly an image."""
    return suffix(path) in IMAGE_SUFFIXES


def is_other_name(path: str) -> bool:
    """Returns True if the name shows that the file is no image (``labels.csv``, ``LICENSE``)."""
    end = suffix(path)
    return end in OTHER_SUFFIXES or (not end and path.rpartition("/")[2].isupper())
