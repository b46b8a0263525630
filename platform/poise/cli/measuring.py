"""What the commands of `poise evaluate` share.

In: a package's config; how many images there are. Out: options; what prepares the images;
progress for people. Next: those commands, and `poise.cli.probing` and
`poise.cli.named_models`, which open models for them.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from poise.cli.console import is_terminal
from poise.config.errors import PoiseError

RayOption = Annotated[
    bool | None,
    typer.Option(help="Read images over Ray; default: on a cluster, or where it pays."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def normalization_of(config: dict[str, Any], model: str) -> tuple[list[float], list[float]]:
    """Channel mean and std that a model was trained with.

    Raises:
        PoiseError: its package does not say.
    """
    try:
        return config["normalization"]["mean"], config["normalization"]["std"]
    except KeyError as missing:
        raise PoiseError(
            f"{model}: its config lacks normalization's {missing}, so its images cannot be prepared"
        ) from None


@contextmanager
def image_progress(num_images: int, what: str = "") -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; a line per quarter elsewhere. On stderr, so that stdout stays clean."""
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
