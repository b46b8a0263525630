"""Options and helpers that the commands of `poise evaluate` share.

In: a package's config and the number of images. Out: options, normalisation, and a progress bar.
Next: those commands, and `poise.cli.evaluate.probe_run` and `poise.cli.evaluate.models`, which open
models for them.
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
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.evaluation.reading.bench import Spread

RayOption = Annotated[
    bool | None,
    typer.Option(help="Read images over Ray. Default: yes on a cluster, or if it is faster."),
]


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def normalization_of(config: dict[str, Any], model: str) -> tuple[list[float], list[float]]:
    """Reads the channel means and standard deviations that a model was trained with.

    Raises:
        PoiseError: the package does not contain them.
    """
    try:
        return config["normalization"]["mean"], config["normalization"]["std"]
    except KeyError as missing:
        raise PoiseError(
            f"{model}: its config has no normalization {missing}, so no image can be prepared"
        ) from None


@contextmanager
def image_progress(num_images: int, what: str = "") -> Iterator[Callable[[int], None]]:
    """Shows progress on stderr.

    It is a bar on a terminal, otherwise one line per quarter of the images.
    """
    if is_terminal(sys.stderr):
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
            line = f"{self._prefix}{self._done} of {self._total} images"
            print(line, file=sys.stderr, flush=True)


def pretraining_dataset(config: dict[str, Any], model: str, option: str) -> str:
    """Finds the dataset that a model was trained on.

    Args:
        config: config of the package.
        model: model as the user named it.
        option: option that names another dataset, for the message.

    Raises:
        PoiseError: the package does not name the dataset, or the dataset is not on this machine.
    """
    folder = config.get("lineage", {}).get("dataset")
    if not folder:
        raise PoiseError(
            f"{model}: its package names no training dataset; name a dataset with {option}"
        )
    if not Path(folder).is_dir():
        raise PoiseError(
            f"{model}: its training dataset {folder} does not exist on this machine; name a "
            f"dataset with {option}"
        )
    return str(folder)


def other_dataset(config: dict[str, Any], option: str, folder: str | None) -> tuple[str, ...]:
    """Describes, for a report, a dataset that replaces the training dataset of the model."""
    own = config.get("lineage", {}).get("dataset")
    if folder is None or (own and Path(folder).resolve() == Path(own).resolve()):
        return ()
    from poise.data.manifest import Manifest

    return (f"{option}={Manifest.read(folder).name}",)


def spread_over_ray(asked: bool | None, num_images: int) -> "Spread | None":
    """Chooses where a pass over images runs, for ``Bench.spread``.

    Args:
        asked: True for ``--ray``, False for ``--no-ray``; None chooses what is faster.
        num_images: number of images in the pass.

    Returns:
        The function that passes images over Ray, or None for this process.
    """
    if asked is False:
        return None
    from poise.evaluation.reading.distributed import pass_over_ray, pays

    return pass_over_ray if asked or pays(num_images) else None


def keep_figures(config: dict[str, Any], report: Any) -> str | None:
    """Logs a report to the run that made the model.

    Args:
        config: config of the package.
        report: dataclass with ``measurement``, ``file_name`` and ``figures``.

    Returns:
        Id of the run; None if this store does not hold the run.
    """
    from poise.tracking.evaluation import find_maker, log_evaluation

    run_id = find_maker(config)
    if run_id is None:
        return None
    figures = {name: [(0, value)] for name, value in report.figures.items()}
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{report.file_name}.json"
        path.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
        log_evaluation(run_id, figures, [path], f"probes/{report.measurement}")
    return run_id
