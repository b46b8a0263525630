"""`poise models add-register`: adds a register to a trained backbone, without training.

In: a model and images. Out: a package with the added register, and a comparison with the original.
Next: `poise evaluate`, which can measure the new package.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.arguments import PackageArgument
from poise.cli.completion import complete_dataset
from poise.cli.console import print_table
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints

if TYPE_CHECKING:
    from torch import nn

    from poise.evaluation.outliers.register_comparison import BeforeAndAfter
    from poise.evaluation.outliers.register_neurons import RegisterNeurons
    from poise.evaluation.reading.images import EvaluationImages
    from poise.evaluation.reading.inference import Bench

_PUBLISHED_IMAGES = 500
_SHOWN = 10


@dataclass(frozen=True)
class AddRegisterRequest:
    """Arguments and options of `poise models add-register`."""

    model: PackageArgument
    dataset: Annotated[
        str,
        typer.Argument(
            help="Prepared dataset; labels are not needed.", autocompletion=complete_dataset
        ),
    ]
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="Folder of the new package.")]
    max_images: Annotated[
        int, typer.Option(min=1, help="Largest number of images, drawn at random.")
    ] = _PUBLISHED_IMAGES
    max_neurons: Annotated[int, typer.Option(min=1, help="Largest number of neurons.")] = 50


@prints
@options_of(AddRegisterRequest)
def add_register_command(request: AddRegisterRequest) -> Output:
    """Give a trained vision transformer a register that takes over its outlier patches.

    Outliers are patches with very large norms. The command finds the neurons that write these norms
    in a sample of images. A new token, the register, gets the activations of these neurons (arXiv
    2506.08010). Nothing is trained, and no weight changes. If the model has no outliers, the
    command says so and writes nothing.

    Example: poise models add-register models:/vitl14/1 data/photographs vitl14-register
    """
    import torch

    from poise.cli.evaluate.options import normalization_of
    from poise.config.errors import PoiseError
    from poise.data.dataset import ImageDataset
    from poise.evaluation.outliers.register_neurons import find_register_neurons
    from poise.evaluation.reading.images import EvaluationImages
    from poise.evaluation.reading.inference import Bench
    from poise.tracking.registry.fetch import load_model

    if request.destination.exists():
        raise PoiseError(f"{request.destination}: exists already; name another destination")
    backbone, config = load_model(request.model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bench = Bench(normalization_of(config, request.model), device)
    px = config.get("evaluation_px") or config["image_px"]
    images = EvaluationImages(ImageDataset.open(request.dataset), px, request.max_images)
    backbone = backbone.to(device)
    found = find_register_neurons(backbone, images, bench, request.max_neurons)
    change = None
    if found.neurons:
        change = _save(request, (backbone, config), found, (images, bench))
    return Output(
        document=lambda: _described(request, found, change),
        result=[str(request.destination)] if change else [],
        show=lambda: _show(request, found, change),
    )


def _save(
    request: AddRegisterRequest,
    model: tuple[nn.Module, dict[str, Any]],
    found: RegisterNeurons,
    sample: tuple[EvaluationImages, Bench],
) -> BeforeAndAfter:
    """Writes the new package and compares it with the original model."""
    from poise.evaluation.outliers.register_comparison import PROTOCOL, compare_with_original
    from poise.models.package import save_backbone
    from poise.models.test_time_registers import describe_added_register, with_test_time_registers

    (backbone, config), (images, bench) = model, sample
    changed = with_test_time_registers(backbone, found.neurons)
    change = compare_with_original(backbone, changed, images, found.threshold, bench)
    described = describe_added_register(changed)
    for entry in described.values():
        entry |= {"from": request.model, "dataset": request.dataset, "protocol": PROTOCOL}
        entry |= {"before_and_after": asdict(change)}
    save_backbone(request.destination, changed, {**config, **described})
    return change


def _described(
    request: AddRegisterRequest, found: RegisterNeurons, change: BeforeAndAfter | None
) -> dict[str, Any]:
    described = asdict(found) | {"package": str(request.destination) if change else None}
    described["threshold"]["limit"] = found.threshold.limit if found.threshold.found else None
    return described | {"before_and_after": asdict(change) if change else None}


def _show(
    request: AddRegisterRequest, found: RegisterNeurons, change: BeforeAndAfter | None
) -> None:
    share = 100 * found.num_outliers / found.num_patches
    print(f"images    {found.num_images} of {request.dataset}")
    print(f"patches   {found.num_patches}, median norm {found.threshold.median:.3g}")
    if change is None:
        print(
            "\nThe norms of its patches form one group: there are no outliers and there is nothing"
        )
        print(f"to move. {request.destination} was not written.")
        return
    print(f"outliers  {found.num_outliers} ({share:.2f} %), norm above {found.threshold.limit:.3g}")
    print(f"appear    after block {(found.first_block or 0) + 1}\n")
    _print_neurons(found)
    _print_change(change)
    print(f"\npackage   {request.destination}")


def _print_neurons(found: RegisterNeurons) -> None:
    print_table(
        ("block", "neuron", "at outliers", "elsewhere", "writes"),
        [
            (each.block + 1, each.neuron, *(float(f"{value:.3g}") for value in values))
            for each in found.found[:_SHOWN]
            for values in [(each.at_outliers, each.elsewhere, each.written)]
        ],
    )
    if len(found.found) > _SHOWN:
        print(f"and {len(found.found) - _SHOWN} more neurons")
    print()


def _print_change(change: BeforeAndAfter) -> None:
    before = (f"{100 * change.outliers_before:.3g} %", f"{change.longest_before:.3g}", "")
    after = (
        f"{100 * change.outliers_after:.3g} %",
        f"{change.longest_after:.3g}",
        f"{change.register_norm:.3g}",
    )
    names = ("outlier patches", "longest patch", "added register")
    print_table(
        ("norms after the last block", "before", "after"),
        list(zip(names, before, after, strict=True)),
    )
    print(f"\nfeatures  cosine to the original {change.feature_cosine:.4f}", end="")
    if change.clean_feature_cosine is not None:
        print(
            f"; {change.clean_feature_cosine:.4f} in {change.clean_images} images without outliers"
        )
    else:
        print("; every image has outliers")
