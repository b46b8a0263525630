"""`poise embed`: writes the embeddings of many images to a Parquet file.

In: a model, images and a file name. Out: the file, and a list of the images that were skipped.
Next: programs of the user.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.arguments import PackageArgument
from poise.cli.completion import complete_dataset
from poise.cli.evaluate.options import (
    RayOption,
    image_progress,
    normalization_of,
    spread_over_ray,
)
from poise.cli.main import resumable
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.cli.prepare_request import RangeOption
from poise.config.errors import PoiseError
from poise.config.paths import UNTRAINED, check_on_this_machine

if TYPE_CHECKING:
    from poise.evaluation.feature_table.embed import Embedded, EmbeddingJob

_SHOWN = 3


@dataclass(frozen=True)
class EmbedRequest:
    """Arguments and options of `poise embed`."""

    model: PackageArgument
    source: Annotated[
        str,
        typer.Argument(
            help="Folder of images, or prepared dataset.", autocompletion=complete_dataset
        ),
    ]
    out: Annotated[Path, typer.Argument(metavar="OUT.parquet", help="New file.")]
    features: Annotated[
        str | None,
        typer.Option(
            help="cls, mean, cls_mean, last_4, cp1 … cp4, attn_lcte, attn_mn or pooled. Default: "
            "the output of the backbone, which is cls for most."
        ),
    ] = None
    label: Annotated[
        str | None,
        typer.Option(metavar="folders", help="Take the folders directly in SOURCE as classes."),
    ] = None
    value_range: RangeOption = None
    ray: RayOption = None


@prints
@options_of(EmbedRequest)
def command(request: EmbedRequest) -> Output:
    """Write the embeddings of images to a file.

    The images are in a folder or in a prepared dataset. Each image that can be read becomes a row:
    id, path, embedding and, if it is known, label. Other images are listed in OUT.skipped.jsonl
    with the reason. After an interruption, the same command continues where it stopped.

    Example: poise embed models:/shapes-vit/1 photos photos.parquet
    """
    from poise.evaluation.feature_table.parts import Parts, first_change, read_facts

    check_on_this_machine(request.out)
    if request.out.suffix != ".parquet":
        raise PoiseError(f"{request.out}: a Parquet file is written; name a file OUT.parquet")
    module, job = _prepared(request)
    if request.out.exists():
        facts = read_facts(request.out)
        if not facts:
            raise PoiseError(
                f"{request.out}: exists, and was not written by `poise embed`; name another file"
            )
        changed = first_change(facts, job.request)
        if changed:
            raise PoiseError(
                f"{request.out}: exists, and holds something else ({changed}); name another file"
            )
        rows = int(facts["num_images"])
        return Output(
            document=lambda: {"out": str(request.out), "rows": rows, "was_complete": True},
            result=[str(request.out)],
            show=lambda: print(f"{request.out} is complete already: {rows} rows"),
        )
    embedded = _embed(request, module, job)
    listed = str(Parts(request.out).skipped_file) if embedded.skipped else None
    counts = {"rows": embedded.rows, "skipped": len(embedded.skipped), "listed": listed}
    return Output(
        document=lambda: {"out": str(request.out), **counts, "was_complete": False},
        result=[str(request.out)],
        show=lambda: _show(request, embedded, listed),
    )


def _prepared(request: EmbedRequest) -> tuple[Any, EmbeddingJob]:
    """Opens the model and the images, and describes the request."""
    from poise import __version__
    from poise.evaluation.feature_table.collection import open_collection
    from poise.evaluation.feature_table.embed import PROTOCOL, EmbeddingJob
    from poise.evaluation.reading.features import one_feature
    from poise.models.checksums import read_checksums
    from poise.models.package import loader_of
    from poise.models.readout import default_feature
    from poise.models.timm_description import prepared_px
    from poise.tracking.registry.fetch import locate

    collection = open_collection(request.source, request.label, request.value_range)
    trained, load = loader_of(request.model)
    uri, package = locate(trained)
    backbone, config = load(package)
    px = prepared_px(config)
    features = request.features or default_feature(backbone)
    mean, std = normalization_of(config, request.model)
    described = {
        "model": uri if trained == request.model else f"{UNTRAINED}{uri}",
        "files_sha256": {name: each["sha256"] for name, each in read_checksums(package).items()},
        "protocol": PROTOCOL,
        "features": features,
        "image_px": px,
        "mean": list(mean),
        "std": list(std),
        "source": str(collection.folder.absolute()),
        "source_key": collection.key,
        "ranges": {name: list(bounds) for name, bounds in collection.ranges.items()},
        "poise_version": __version__,
    }
    return one_feature(backbone, features, px), EmbeddingJob(collection, px, request.out, described)


def _embed(request: EmbedRequest, module: Any, job: EmbeddingJob) -> Embedded:
    import torch

    from poise.evaluation.feature_table.embed import embed_collection
    from poise.evaluation.reading.inference import Bench

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    normalization = job.request["mean"], job.request["std"]
    with ExitStack() as shown, resumable(_repeated(request)):

        def bench(num_images: int) -> Bench:
            on_images = shown.enter_context(image_progress(num_images))
            return Bench(normalization, device, spread_over_ray(request.ray, num_images), on_images)

        return embed_collection(module.to(device), job, bench)


def _repeated(request: EmbedRequest) -> str:
    """Returns the command that continues an interrupted command."""
    words = ["poise", "embed", request.model, request.source, str(request.out)]
    for option, value in (("--features", request.features), ("--label", request.label)):
        words += [option, value] if value is not None else []
    if request.value_range is not None:
        words += ["--range", *(f"{bound:.15g}" for bound in request.value_range)]
    return shlex.join(words)


def _show(request: EmbedRequest, embedded: Embedded, listed: str | None) -> None:
    if embedded.resumed_from:
        print(f"continued after {embedded.resumed_from} images")
    print(f"rows      {embedded.rows} in {request.out}")
    if listed:
        print(f"skipped   {len(embedded.skipped)}, listed in {listed}")
        for line in _common_reasons(embedded):
            print(f"          {line}")


def _common_reasons(embedded: Embedded) -> Iterator[str]:
    counted = Counter(each.reason.partition(":")[0] for each in embedded.skipped)
    for reason, count in counted.most_common(_SHOWN):
        yield f"{count} × {reason}"
