"""`poise data`: makes a dataset from images, and shows what the model will see."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.console import print_marked
from poise.cli.option_groups import options_of
from poise.cli.prepare_progress import prepare_progress
from poise.cli.prepare_request import PrepareRequest

if TYPE_CHECKING:
    from poise.data.manifest import Manifest
    from poise.data.preparation.ledger import PrepareProgress

app = typer.Typer(no_args_is_help=True, help="Prepare a dataset and look at it.")

_CLASSES_SHOWN = 12


@app.command()
@options_of(PrepareRequest)
def prepare(request: PrepareRequest) -> None:
    """Make a Poise dataset from images.

    The dataset is a folder. It has Parquet shards with the original files, and a manifest. Every
    image is decoded once. An image that cannot be decoded is left out, and quarantine.jsonl lists
    it with the reason. After an interruption, the same command continues where it stopped.

    Masks, boxes and videos are prepared with --masks, --boxes, --coco and --sequences; evaluations
    compare models with them. docs/datasets.md has an example of each.

    Nothing is guessed. Some sources can be read in two ways: train and test folders, images next to
    Parquet files, a column that may contain labels. They are refused, and the error gives a command
    for each way. Names that begin with a dot are left out.

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
    if not found:
        print(f"{dest}: was already finished; nothing was done")
    elif found[0]:
        print(f"{dest}: {found[0]:,} images were already done and were not repeated")
    _summarise(manifest, dest, request.value_range is not None)


@app.command()
def preview(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Folder of a prepared dataset.")
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
) -> None:
    """Draw images and their views, as the model sees them.

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
    num_samples = Manifest.read(dataset).num_samples
    count = min(num_images, num_samples)
    print(
        f"drawing {count} of {num_samples:,} images and {views.count} views of each …", flush=True
    )
    path = draw_preview(dataset, views, output, num_images, seed)
    locals_ = f" and {views.local_count} of {views.local_px} px" if views.local_count else ""
    print(
        f"views     {views.global_count} of {views.global_px} px{locals_}, as in {recipe or 'DINO'}"
    )
    print(f"seed      {seed}")
    print(f"picture   {path}")


def _summarise(manifest: "Manifest", folder: Path, range_is_given: bool) -> None:
    from poise.data.annotation_summary import annotation_sentences
    from poise.data.dataset import class_counts
    from poise.data.preparation import ingest
    from poise.data.preparation.value_ranges import range_sentences
    from poise.data.sources.names import counted

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
    if range_is_given and not manifest.value_ranges:
        print("--range: changes nothing, because every image has 8 bits per channel")
    if manifest.num_quarantined:
        print(
            f"{manifest.num_quarantined:,} set aside, listed in {folder / ingest.QUARANTINE_FILE}:"
        )
        for reason, count in ingest.quarantine_reasons(folder):
            print(f"  {count:,} × {reason}")
    print(f"look at it: poise data preview {folder}")


def _print_classes(classes: tuple[str, ...], counts: list[int]) -> None:
    """Prints the classes with their numbers of images.

    Of many classes it prints the first and the last.
    """
    from poise.data.sources.names import counted, shown

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
    if used == 1:
        print_marked("warning", "only one class has images, so labels distinguish nothing")
    elif not used:
        print_marked("warning", "no image has a label")
