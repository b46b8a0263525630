"""`poise models import` and `export`: exchange backbones with other programs.

In: for import, a checkpoint or a timm name; for export, a model and a destination. Out: a
registered version with a list of assumptions, or a file or folder. Next: `poise evaluate`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.arguments import PackageArgument
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints

if TYPE_CHECKING:
    from poise.models.published.loading import Fact, Imported
    from poise.models.published.sources import ImportSource, Options

Rgb = tuple[float, float, float] | None


@dataclass(frozen=True)
class ImportRequest:
    """Arguments and options of `poise models import`."""

    source: Annotated[
        str,
        typer.Argument(
            help="Checkpoint file, Hugging Face folder (of timm or transformers), backbone "
            "package, or timm model name."
        ),
    ]
    name: Annotated[
        str | None, typer.Option(help="Name in the registry. Default: the source's name.")
    ] = None
    checkpoint_key: Annotated[
        str | None,
        typer.Option(
            help="Entry of the file, such as student. Default: teacher, model or state_dict, the "
            "first that contains a backbone."
        ),
    ] = None
    prefix: Annotated[
        str | None,
        typer.Option(
            help="Beginning of the backbone's tensor names, such as teacher.backbone. Needed "
            "if a file contains several backbones."
        ),
    ] = None
    architecture: Annotated[
        str | None,
        typer.Option(
            help="timm's name of the model, with a tag if the tags differ in normalisation. It "
            "decides heads, size and normalisation."
        ),
    ] = None
    heads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Attention heads. Default: those of published models of the same width."
        ),
    ] = None
    depth: Annotated[
        int | None, typer.Option(min=1, help="Number of blocks, if it is not the published one.")
    ] = None
    grid: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="ROWS COLUMNS",
            help="Rows and columns of patches of the position embeddings. Default: a square.",
        ),
    ] = None
    norm_eps: Annotated[
        float | None,
        typer.Option(help="Epsilon of every LayerNorm. Default: the value of the layout's models."),
    ] = None
    image_px: Annotated[
        int | None,
        typer.Option(min=1, help="Side of evaluated images in pixels. Default: the published one."),
    ] = None
    mean: Annotated[
        Rgb,
        typer.Option(help="Channel means of RGB in [0, 1]. Default: printed with their source."),
    ] = None
    std: Annotated[Rgb, typer.Option(help="Channel standard deviations, given with --mean.")] = None

    def options(self) -> "Options":
        """Returns the options that describe the model, for ``import_backbone``."""
        from poise.models.published.shapes import Wishes
        from poise.models.published.sources import Options

        wishes = Wishes(
            num_heads=self.heads,
            depth=self.depth,
            architecture=self.architecture,
            grid=self.grid,
            prefix=self.prefix,
            norm_eps=self.norm_eps,
        )
        return Options(self.checkpoint_key, wishes, self.image_px, self.mean, self.std)


@prints
@options_of(ImportRequest)
def import_command(request: ImportRequest) -> Output:
    """Register a backbone that was trained elsewhere: DINO, MAE, SimMIM, DINOv2, DINOv3, timm.

    The command reads the layout and the architecture from the names and shapes of the tensors. For
    a Hugging Face folder, it reads config.json. It prints the number of heads, the grid of patches,
    the image size and the normalisation, and marks its assumptions. A file is refused if it is
    ambiguous or incomplete, or if loading it would run code.

    Example: poise models import dino_deitsmall16_pretrain_full_checkpoint.pth
    """
    from poise.config.paths import check_run_name
    from poise.models.published.sources import import_backbone
    from poise.tracking.registry.imports import register_import
    from poise.tracking.store import open_store

    name = request.name or _name(request.source)
    check_run_name(name)
    imported, source = import_backbone(request.source, request.options())
    registered = register_import(open_store(), imported, source, name)
    places = [("package", str(registered.package)), ("registered", registered.uri)]
    account = [*_account(imported, source), *places]

    def show() -> None:
        for label, value in account:
            print(f"{label:<12}{value}")

    return Output(lambda: _document(account), [registered.uri], show)


def _document(account: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Maps the name of each fact to the fact, and ``notes`` to a list of all notes."""
    facts: dict[str, Any] = {name: value for name, value in account if name != "note"}
    return facts | {"notes": [value for name, value in account if name == "note"]}


@prints
def export_command(
    model: PackageArgument,
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="File or folder to write.")],
    layout: Annotated[
        str, typer.Option("--format", help="timm, huggingface, dino or mae.")
    ] = "timm",
) -> Output:
    """Write a backbone in the format of timm, Hugging Face, DINO or MAE.

    The values of the tensors do not change.

    Example: poise models export models:/shapes-vit/1 shapes-vit --format huggingface
    """
    from poise.models.published.export import export_backbone
    from poise.tracking.registry.fetch import load_model

    backbone, config = load_model(model)
    written = export_backbone(backbone, config, destination, layout)

    def show() -> None:
        print(f"{layout} layout: {written}")
        if layout == "huggingface":
            print(f'load with: timm.create_model("local-dir:{written}", pretrained=True)')

    return Output(lambda: {"layout": layout, "written": str(written)}, [str(written)], show)


def _name(source: str) -> str:
    """Makes the default name: the last part of a path, without the suffix of a known file type."""
    name = re.sub(r"\.(pth|pt|bin|safetensors)$", "", Path(source).absolute().name)
    return re.sub(r"[^\w.-]+", "-", name).strip("-._") or "imported"


def _account(imported: "Imported", source: "ImportSource") -> list[tuple[str, str]]:
    config = imported.config
    backbone, options = config["backbone"], config["backbone"]["options"]
    shown = ("embed_dim", "depth", "patch_size")
    size = [f"{key}={options[key]}" for key in shown if key in options]
    if backbone["num_registers"]:
        size.append(f"num_registers={backbone['num_registers']}")
    dropped = sum(imported.dropped.values())
    groups = ", ".join(f"{group} {count}" for group, count in imported.dropped.items())
    entry = f", entry {source.checkpoint_key}" if source.checkpoint_key else ""
    keys = f"{imported.matched} matched, {imported.mapped} mapped, {dropped} dropped, 0 missing"
    return [
        ("source", f"{source.source}{entry}"),
        ("layout", imported.layout),
        *([("prefix", imported.prefix)] if imported.prefix else []),
        ("backbone", f"{backbone['name']}  {', '.join(size)}".rstrip()),
        *(_line(fact) for fact in imported.facts),
        ("keys", keys),
        *([("dropped", groups)] if groups else []),
        *([("not read", ", ".join(source.unread))] if source.unread else []),
        *(("note", note) for note in imported.notes),
    ]


def _line(fact: "Fact") -> tuple[str, str]:
    """Returns a fact with its source.

    For an assumption, also returns the option that changes it.
    """
    text, option = fact.basis.text, fact.basis.option
    source = text if option is None else f"ASSUMED: {text}; give another with {option}"
    return fact.name, f"{fact.value}  ({source})"
