"""Opens revisited Oxford or Paris in its published layout: image files, queries and ground truth.

In: a folder with ``jpg/`` and ``gnd_<name>.json``. Out: ``Landmarks``. Next:
``poise.evaluation.neighbours.landmark_retrieval``.

The published ground truth is a Python pickle. Loading a pickle can run any code inside it, so Poise
reads the same content as JSON. ``docs/retrieval.md`` shows how to convert the file.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, ValidationError

from poise.config.base import Strict
from poise.config.errors import PoiseError, one_line
from poise.config.paths import given_path
from poise.evaluation.reading.image_files import ImageFiles

IMAGES = "jpg"

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge of a box in pixels."""


class Query(Strict):
    """Ground truth of one query. Integers are indices of database images."""

    bbx: Box
    """Part of the query image that shows the landmark."""

    easy: tuple[int, ...]
    """Images that clearly show the landmark."""

    hard: tuple[int, ...]
    """Images that show the landmark under difficult conditions."""

    junk: tuple[int, ...]
    """Images that hardly show the landmark. They are removed from rankings."""


class GroundTruth(Strict):
    """Content of ``gnd_roxford5k.pkl`` or ``gnd_rparis6k.pkl``."""

    imlist: tuple[str, ...] = Field(min_length=1)
    """Names of the database images, without suffix."""

    qimlist: tuple[str, ...] = Field(min_length=1)
    """Names of the query images, without suffix."""

    gnd: tuple[Query, ...]
    """Ground truth of each query, in the order of ``qimlist``."""


class Lists(NamedTuple):
    """Relevant and ignored images of one query in one setting of the benchmark."""

    relevant: tuple[int, ...]
    junk: tuple[int, ...]


@dataclass(frozen=True)
class Landmarks:
    """Benchmark whose ground truth was read and whose image files all exist."""

    truth: GroundTruth
    files: ImageFiles
    """Files of the database images, then those of the query images."""

    @property
    def num_database(self) -> int:
        """Number of database images. The sample id of query q is this number + q."""
        return len(self.truth.imlist)

    def lists(self, setting: str) -> list[Lists]:
        """Returns the relevant and the ignored images of each query.

        Args:
            setting: ``medium`` or ``hard``. In ``medium``, easy and hard images are relevant. In
                ``hard``, only hard images are relevant, and easy images are ignored.
        """
        if setting == "medium":
            return [Lists(query.easy + query.hard, query.junk) for query in self.truth.gnd]
        return [Lists(query.hard, query.junk + query.easy) for query in self.truth.gnd]


def find_landmarks(folder: str | Path) -> Landmarks | None:
    """Opens the benchmark in a folder. Returns None if the folder has no ground truth.

    Raises:
        PoiseError: the ground truth is a pickle or has another form, there are two such files, or
            an image is missing.
    """
    root = given_path(folder)
    found, pickles = sorted(root.glob("gnd_*.json")), sorted(root.glob("gnd_*.pkl"))
    if not found and not pickles:
        return None
    if not found:
        raise PoiseError(
            f"{pickles[0]}: is a pickle, which can run code when it is read, so Poise reads none; "
            f"convert it to {pickles[0].with_suffix('.json').name} with the line in "
            "docs/retrieval.md"
        )
    if len(found) > 1:
        raise PoiseError(
            f"{folder}: holds {' and '.join(path.name for path in found)}; keep one of them here"
        )
    truth = _read_truth(found[0])
    names = [f"{IMAGES}/{name}.jpg" for name in (*truth.imlist, *truth.qimlist)]
    for name in names:
        if not (root / name).is_file():
            raise PoiseError(
                f"{root / name}: is missing, and {found[0].name} names it; unpack the benchmark's "
                f"images into {root / IMAGES}"
            )
    return Landmarks(truth, ImageFiles(root, names))


def _read_truth(path: Path) -> GroundTruth:
    try:
        # A list in JSON becomes a tuple.
        truth = GroundTruth.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first: Any = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise PoiseError(
            f"{path}: {place}: {one_line(first['msg'])}; convert the published file again with "
            "the line in docs/retrieval.md"
        ) from None
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PoiseError(f"{path}: cannot be read ({one_line(error)})") from None
    _check_numbers(path, truth)
    return truth


def _check_numbers(path: Path, truth: GroundTruth) -> None:
    if len(truth.gnd) != len(truth.qimlist):
        raise PoiseError(
            f"{path}: qimlist names {len(truth.qimlist)} queries, and gnd has {len(truth.gnd)}; "
            "convert the published file again"
        )
    for name, query in zip(truth.qimlist, truth.gnd, strict=True):
        for number in (*query.easy, *query.hard, *query.junk):
            if not 0 <= number < len(truth.imlist):
                raise PoiseError(
                    f"{path}: query {name} lists image {number}, and imlist has images 0 to "
                    f"{len(truth.imlist) - 1}; convert the published file again"
                )
