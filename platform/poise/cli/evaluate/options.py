"""Options and helper functions that the commands of `poise evaluate` share.

In: the config of a package and the number of images. Out: options, normalisation, and a progress
bar. Next: the commands, and ``poise.cli.evaluate.probe_run`` and ``poise.cli.evaluate.models``.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.console import is_terminal
from poise.cli.streams import note, tells_progress
from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.views import MIN_STD, read_means_and_stds

if TYPE_CHECKING:
    from poise.evaluation.answers_per_image import Answers
    from poise.evaluation.reading.inference import Spread

RayOption = Annotated[
    bool | None,
    typer.Option(help="Read images over Ray. Default: yes on a cluster, or if it is faster."),
]


def normalization_of(config: dict[str, Any], model: str) -> tuple[list[float], list[float]]:
    """Reads the channel means and standard deviations with which a model was trained.

    Raises:
        PoiseError: the package does not contain these values, or they are not usable numbers.
    """
    try:
        found = config["normalization"]["mean"], config["normalization"]["std"]
    except (KeyError, TypeError):
        raise PoiseError(
            f"{model}: its config has no normalization with 'mean' and 'std', so no image can be "
            "prepared"
        ) from None
    checked = read_means_and_stds(found)
    if checked is None:
        raise PoiseError(
            f"{model}: its config has the normalization mean={found[0]}, std={found[1]}, so no "
            f"image can be prepared; both are three numbers from 0 to 1, and std is at least "
            f"{MIN_STD:g}; get the package again, or import the model again"
        )
    return list(checked[0]), list(checked[1])


@contextmanager
def image_progress(num_images: int, what: str = "") -> Iterator[Callable[[int], None]]:
    """Shows progress on stderr.

    On a terminal, a progress bar is shown. Otherwise one line is printed per quarter of the images.
    With --quiet, nothing is shown.
    """
    if is_terminal(sys.stderr) and tells_progress():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what or "images", total=num_images)
            yield lambda images: bar.update(task, advance=images)
    else:
        yield _QuarterLines(num_images, what)


class _QuarterLines:
    def __init__(self, total: int, what: str) -> None:
        self._total = total
        self._prefix = f"{what}: " if what else ""
        self._done = 0

    def __call__(self, images: int) -> None:
        before, self._done = self._done, self._done + images
        if 4 * before // self._total < 4 * self._done // self._total:
            note(f"{self._prefix}{self._done} of {self._total} images")


def pretraining_dataset(config: dict[str, Any], model: str, option: str) -> str:
    """Finds the dataset that a model was trained on.

    Args:
        config: config of the package.
        model: model as the user named it.
        option: option with which the user can name another dataset. The error message names it.

    Raises:
        PoiseError: the package does not name the dataset, or the dataset is not on this machine.
    """
    folder = config.get("lineage", {}).get("dataset")
    if not folder:
        raise PoiseError(
            f"{model}: its package names no training dataset; name a dataset with {option}"
        )
    if not Location.of(folder).is_folder():
        raise PoiseError(
            f"{model}: its training dataset {folder} is not there, seen from this machine; name a "
            f"dataset with {option}"
        )
    return str(folder)


def other_dataset(config: dict[str, Any], option: str, folder: str | None) -> tuple[str, ...]:
    """Returns a note for the report if a dataset replaces the model's training dataset.

    Two folders are the same dataset if they have the same fingerprint, wherever they are.
    """
    if folder is None:
        return ()
    from poise.data.manifest import Manifest

    manifest = Manifest.read(folder)
    own = config.get("lineage", {}).get("dataset_fingerprint")
    return () if manifest.fingerprint == own else (f"{option}={manifest.name}",)


def spread_over_ray(asked: bool | None, num_images: int) -> "Spread | None":
    """Chooses whether images are read over Ray or in this process, for ``Bench.spread``.

    Args:
        asked: True for ``--ray``, False for ``--no-ray``. None chooses what is faster.
        num_images: number of images to read.

    Returns:
        The function that reads images over Ray, or None for this process.
    """
    if asked is False:
        return None
    from poise.evaluation.reading.distributed import pass_over_ray, pays

    return pass_over_ray if asked or pays(num_images) else None


def keep_figures(package: Path, report: Any, answers: "Answers | None" = None) -> str | None:
    """Logs a report to the run that made the model, and adds its figures to registered versions.

    Args:
        package: folder of the model's package.
        report: dataclass with ``measurement``, ``file_name``, ``figures`` and ``measured``.
        answers: answers image by image. They are stored for comparisons with other models.

    Returns:
        Id of the run, or None if this store does not have the run.
    """
    from poise.evaluation.answers_per_image import ENDING
    from poise.models.checksums import read_config
    from poise.tracking.evaluation import find_maker, log_evaluation

    run_id = find_maker(read_config(package))
    if run_id is None:
        return None
    figures = {name: [(0, value)] for name, value in report.figures.items()}
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{report.file_name}.json"
        path.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
        files = [path]
        if answers is not None:
            files.append(path.with_suffix(ENDING))
            answers.write(files[-1])
        log_evaluation(run_id, figures, files, f"probes/{report.measurement}")
    register_figures(run_id, package, report)
    return run_id


def register_figures(run_id: str, package: Path, report: Any) -> None:
    """Adds a report's values to the registered versions of a model, and prints these versions."""
    from poise.tracking.registry.figures import record_figures, registered_figures
    from poise.tracking.store import open_store

    for uri in record_figures(open_store(), run_id, package, registered_figures(report)):
        note(f"{uri}: its figures and its description have the new values")
