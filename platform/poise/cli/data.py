"""`poise data`: makes a dataset from images, and draws what the model will see."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.completion import complete_dataset
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.cli.prepare_progress import prepare_progress
from poise.cli.prepare_request import PrepareRequest

if TYPE_CHECKING:
    from poise.data.manifest import Manifest
    from poise.data.preparation.preparation_progress import PrepareProgress

logger = logging.getLogger(__name__)

app = typer.Typer(no_args_is_help=True)

_CLASSES_SHOWN = 12


@app.callback()
def data() -> None:
    """Prepare a dataset and look at it.

    Example: poise data prepare photos data/photos

    Example: poise data preview data/photos
    """


@app.command()
@prints
@options_of(PrepareRequest)
def prepare(request: PrepareRequest) -> Output:
    """Make a Poise dataset from images.

    The dataset is a folder with a manifest and Parquet shards that contain the original files.
    Every image is decoded once to check it. An image that cannot be decoded is left out, and
    quarantine.jsonl lists it with the reason. After an interruption, the same command continues
    where it stopped.

    Some evaluations compare models with true masks, boxes or videos. To prepare these, use --masks,
    --boxes, --coco or --sequences. docs/datasets.md has an example of each.

    The command does not guess. Some sources can be read in two ways: train and test folders, images
    next to Parquet files, or a column that may contain labels. Such a source is refused, and the
    error shows a command for each way. Files and folders that begin with a dot are left out. With
    --quiet, the command prints only DEST.

    Example: poise data prepare photos/ datasets/photos
    """
    from poise.data.preparation import ingest

    dest = request.dest
    found: list[int] = []  # images that were done at the start; empty if everything is finished

    with prepare_progress() as show:

        def follow(progress: "PrepareProgress") -> None:
            if not found:
                found.append(progress.done)
            show(progress)

        manifest = ingest.prepare(request.source, dest, request.options(), on_progress=follow)
    done_before = found[0] if found else manifest.num_samples
    for warning in _warnings(manifest, dest, request.value_range is not None):
        logger.warning("warning: %s: %s", dest, warning)

    def print_summary() -> None:
        if not found:
            print(f"{dest}: was already finished; nothing was done")
        elif done_before:
            print(f"{dest}: {done_before:,} images were already done and were not repeated")
        _summarise(manifest, dest)

    return Output(lambda: _document(manifest, dest, done_before), [dest], print_summary)


def _document(manifest: "Manifest", dest: str, done_before: int) -> dict[str, Any]:
    """Returns the content of the manifest and the counts of images, without the list of shards."""
    from poise.config.locations import Location
    from poise.data.dataset import class_counts
    from poise.data.preparation import ingest

    folder = Location.of(dest)
    counts = class_counts(folder, manifest).tolist() if manifest.classes else []
    reasons = ingest.quarantine_reasons(folder) if manifest.num_quarantined else []
    return {
        "dataset": dest,
        **manifest.model_dump(mode="json", exclude={"shards"}),
        "num_shards": len(manifest.shards),
        "fingerprint": manifest.fingerprint,
        "images_by_class": dict(zip(manifest.classes, counts, strict=False)),
        "quarantined": dict(reasons),
        "done_before": done_before,
    }


@app.command()
@prints
def preview(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="Folder of a prepared dataset, or its URI.",
            autocompletion=complete_dataset,
        ),
    ],
    recipe: Annotated[
        Path | None,
        typer.Option(help="Show the views of this recipe. Default: the published views of DINO."),
    ] = None,
    output: Annotated[Path, typer.Option(help="The picture to write.")] = Path("preview.png"),
    num_images: Annotated[int, typer.Option(min=1, max=64, help="Images to show.")] = 8,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the images and views. Default: the recipe's seed, or 0."),
    ] = None,
) -> Output:
    """Draw images and their views, as the model sees them.

    With --quiet, the command prints only the path of the picture.

    Example: poise data preview datasets/photos --output preview.png
    """
    from poise.config import load_recipe
    from poise.config.views import ViewsConfig
    from poise.data.manifest import Manifest
    from poise.data.views.preview import draw_preview

    loaded = load_recipe(recipe) if recipe else None
    views = loaded.data.views if loaded else ViewsConfig()
    if seed is None:
        seed = loaded.seed if loaded else 0
    there = Manifest.read(dataset).num_samples
    count = min(num_images, there)
    print(f"drawing {count} of {there:,} images and {views.count} views of each …", flush=True)
    path = draw_preview(dataset, views, output, num_images, seed)
    locals_ = f" and {views.local_count} of {views.local_px} px" if views.local_count else ""
    told = f"{views.global_count} of {views.global_px} px{locals_}, as in {recipe or 'DINO'}"

    def show() -> None:
        print(f"views     {told}")
        print(f"seed      {seed}")
        print(f"picture   {path}")

    found = {"picture": str(path), "images": count, "views": told, "seed": seed}
    return Output(lambda: found, [str(path)], show)


def _warnings(manifest: "Manifest", dest: str, range_is_given: bool) -> Iterator[str]:
    """Yields warnings about possible mistakes in the dataset.

    These warnings are printed on stderr, also with --quiet.
    """
    from poise.config.locations import Location
    from poise.config.wording import counted
    from poise.data.dataset import class_counts
    from poise.data.preparation import ingest
    from poise.data.preparation.value_ranges import range_warnings

    if manifest.num_quarantined:
        were = "was" if manifest.num_quarantined == 1 else "were"
        yield (
            f"{counted(manifest.num_quarantined, 'image')} {were} set aside; "
            f"{ingest.QUARANTINE_FILE} there has the reasons"
        )
    if manifest.classes:
        yield from _doubts_about(class_counts(Location.of(dest), manifest).tolist()[:-1])
    yield from range_warnings(manifest.value_ranges)
    if range_is_given and not manifest.value_ranges:
        yield "--range changes nothing, because every image has 8 bits per channel"


def _doubts_about(images_by_class: Sequence[int]) -> Iterator[str]:
    used = sum(n > 0 for n in images_by_class)
    if used == 1:
        yield "only one class has images, so labels distinguish nothing"
    elif not used:
        yield "no image has a label"


def _summarise(manifest: "Manifest", dest: str) -> None:
    from poise.config.locations import Location
    from poise.config.wording import counted
    from poise.data.annotation_summary import annotation_sentences
    from poise.data.dataset import class_counts
    from poise.data.preparation import ingest
    from poise.data.preparation.value_ranges import range_sentences

    folder = Location.of(dest)
    labels = counted(len(manifest.classes), "class", "classes") if manifest.classes else "no labels"
    print(
        f"{folder}: {counted(manifest.num_samples, 'image')}, {labels}, "
        f"{counted(len(manifest.shards), 'shard')}, fingerprint {manifest.fingerprint[:12]}"
    )
    if manifest.classes:
        _print_classes(manifest.classes, class_counts(folder, manifest).tolist())
    for sentence in annotation_sentences(folder, manifest):
        print(sentence)
    for sentence in range_sentences(manifest.value_ranges):
        print(sentence)
    if manifest.num_quarantined:
        print(
            f"{manifest.num_quarantined:,} set aside, listed in {folder / ingest.QUARANTINE_FILE}:"
        )
        for reason, count in ingest.quarantine_reasons(folder):
            print(f"  {count:,} × {reason}")
    print(f"look at it: poise data preview {folder}")


def _print_classes(classes: tuple[str, ...], counts: list[int]) -> None:
    """Prints the classes with their numbers of images.

    If there are many classes, only the first ones and the last one are printed.
    """
    from poise.config.wording import counted
    from poise.data.sources.safe_names import shown

    named = [
        f"{shown(name) or repr(name)}: {n:,}" for name, n in zip(classes, counts, strict=False)
    ]
    if len(named) > _CLASSES_SHOWN:
        named[_CLASSES_SHOWN - 2 : -1] = ["…"]
    print(f"images by class: {', '.join(named)}")
    images, unlabelled = counts[:-1], counts[-1]
    if len(classes) > _CLASSES_SHOWN:
        print(f"  from {min(images):,} to {max(images):,} images in a class")
    if unlabelled:
        print(f"  {counted(unlabelled, 'image')} without a label")
    used = sum(n > 0 for n in images)
    if used < len(classes):
        print(f"  {counted(len(classes) - used, 'class', 'classes')} without an image")
