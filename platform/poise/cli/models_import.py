"""`poise models import` and `export`: backbones of others, in and out.

In: a checkpoint or a timm name; a model and a destination. Out: a registered version and what was
made of each key; a file or folder. Next: `poise evaluate`.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from poise.models.published.loading import Imported
    from poise.models.published.sources import Origin

Rgb = tuple[float, float, float] | None


def import_command(
    source: Annotated[
        str,
        typer.Argument(help="Checkpoint file, timm folder, backbone package, or timm model name."),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name to register it under; default: the source's.")
    ] = None,
    checkpoint_key: Annotated[
        str | None,
        typer.Option(help="Entry of the file, such as student; default: teacher, then model."),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(help="timm's model, for a file in timm's names that its shapes do not tell."),
    ] = None,
    heads: Annotated[
        int | None, typer.Option(min=1, help="Attention heads, where the width is not published.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Blocks, where they are not the published number.")
    ] = None,
    image_px: Annotated[
        int | None, typer.Option(min=8, help="Side of evaluated images; default: as published.")
    ] = None,
    mean: Annotated[Rgb, typer.Option(help="Channel means in [0, 1]; default: ImageNet's.")] = None,
    std: Annotated[Rgb, typer.Option(help="Channel deviations; default: ImageNet's.")] = None,
) -> None:
    """Register a backbone of others: DINO, MAE, SimMIM, DINOv2, DINOv3, timm.

    Layout and architecture are read off names and shapes. An incomplete backbone is refused, and
    so is a file that would run code.

    Example: poise models import dino_deitsmall16_pretrain_full_checkpoint.pth
    """
    from poise.config.paths import check_run_name
    from poise.models.published.shapes import Wishes
    from poise.models.published.sources import Options, import_backbone
    from poise.tracking.registry.imports import register_import
    from poise.tracking.store import open_store

    name = name or _name(source)
    check_run_name(name)
    wishes = Wishes(heads, depth, architecture)
    options = Options(checkpoint_key, wishes, image_px, mean, std)
    imported, origin = import_backbone(source, options)
    registered = register_import(open_store(), imported, origin, name)
    places = [("package", str(registered.package)), ("registered", registered.uri)]
    for label, value in [*_account(imported, origin), *places]:
        print(f"{label:<12}{value}")


def export_command(
    model: Annotated[
        str, typer.Argument(help="Folder of a backbone package, or models:/NAME/VERSION.")
    ],
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="File or folder to make.")],
    layout: Annotated[
        str, typer.Option("--format", help="timm, huggingface, dino or mae.")
    ] = "timm",
) -> None:
    """Write a backbone under the names of timm, Hugging Face, DINO or MAE; values stay exact.

    Example: poise models export models:/shapes-vit/1 shapes-vit --format huggingface
    """
    from poise.models.published.export import export_backbone
    from poise.tracking.registry.fetch import load_model

    backbone, config = load_model(model)
    written = export_backbone(backbone, config, destination, layout)
    print(f"{layout} layout: {written}")
    if layout == "huggingface":
        print(f'load with: timm.create_model("local-dir:{written}", pretrained=True)')


def _name(source: str) -> str:
    """The last part of a path, without an ending that only says what kind of file it is."""
    name = re.sub(r"\.(pth|pt|bin|safetensors)$", "", Path(source).absolute().name)
    return re.sub(r"[^\w.-]+", "-", name).strip("-._") or "imported"


def _account(imported: "Imported", origin: "Origin") -> list[tuple[str, str]]:
    config = imported.config
    backbone, options = config["backbone"], config["backbone"]["options"]
    size = ", ".join(f"{key}={options[key]}" for key in ("embed_dim", "depth") if key in options)
    if "num_heads" in options:
        size += f", num_heads={options['num_heads']}, patch_size={options['patch_size']}"
    if backbone["num_registers"]:
        size += f", num_registers={backbone['num_registers']}"
    dropped = sum(imported.dropped.values())
    groups = ", ".join(f"{group} {count}" for group, count in imported.dropped.items())
    entry = f", entry {origin.checkpoint_key}" if origin.checkpoint_key else ""
    keys = f"{imported.matched} matched, {imported.mapped} mapped, {dropped} dropped, 0 missing"
    return [
        ("source", f"{origin.source}{entry}"),
        ("layout", imported.layout),
        ("backbone", f"{backbone['name']}  {size.lstrip(', ')}".rstrip()),
        ("images", f"{config['image_px']} px, evaluated at {config.get('evaluation_px')} px"),
        ("keys", keys),
        *([("dropped", groups)] if groups else []),
        *([("not read", ", ".join(origin.unread))] if origin.unread else []),
        *(("note", note) for note in imported.notes),
    ]
