"""`poise models pull`: writes a model in a form that other programs can use.

In: a model and a new folder. Out: weights and config for timm, a model card with pictures and, with
--onnx, an ONNX file. Next: other programs.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from poise.cli.completion import complete_model
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.config.errors import PoiseError
from poise.config.local_files import unused_name
from poise.config.paths import check_on_this_machine

CARD_FILE, ONNX_FILE = "README.md", "model.onnx"


@dataclass(frozen=True)
class PullRequest:
    """Arguments and options of `poise models pull`."""

    model: Annotated[
        str,
        typer.Argument(
            help="models:/NAME/VERSION, or folder of a backbone package.",
            autocompletion=complete_model,
        ),
    ]
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="New folder.")]
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also write model.onnx, checked in onnxruntime.")
    ] = False
    licence: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Licence of the model for its card, such as cc-by-4.0. Default: unknown.",
        ),
    ] = None


@prints
@options_of(PullRequest)
def pull_command(request: PullRequest) -> Output:
    """Write a model to a folder that timm loads without Poise, with a model card.

    The folder contains model.safetensors, config.json, README.md and pictures. Before the folder is
    created, the features of timm are compared with those of Poise.

    Example: poise models pull models:/shapes-vit/1 shapes-vit --onnx
    """
    from poise.models.package import load_backbone
    from poise.models.published.timm_folder import is_any_size, write_timm_folder
    from poise.models.timm_description import prepared_px
    from poise.reports.model_card import CardContent, render_card
    from poise.tracking.registry.card_facts import collect_facts
    from poise.tracking.registry.fetch import locate

    licence = _checked_licence(request.licence)
    _check_free(request.destination)
    uri, package = locate(request.model)
    with _appearing(request.destination) as folder, _about(request.model):
        backbone, config = load_backbone(package)
        difference = write_timm_folder(folder, backbone, config)
        exported = None
        if request.onnx:
            from poise.models.published.onnx_file import write_onnx

            exported = write_onnx(folder / ONNX_FILE, folder, backbone, prepared_px(config))
        content = CardContent(
            facts=collect_facts(uri, config, folder),
            description=json.loads((folder / "config.json").read_text(encoding="utf-8")),
            num_parameters=sum(each.numel() for each in backbone.parameters()),
            difference=difference,
            is_any_size=is_any_size(backbone),
            onnx=exported.sentence(ONNX_FILE) if exported else None,
            licence=licence,
        )
        (folder / CARD_FILE).write_text(render_card(content), encoding="utf-8")
    found = {"model": uri, "folder": str(request.destination), "difference": difference}
    found |= {"onnx_difference": exported.difference if exported else None}
    return Output(lambda: found, [str(request.destination)], lambda: _show(found))


def _show(found: dict[str, Any]) -> None:
    print(f"model     {found['model']}")
    print(f"folder    {found['folder']}")
    print(f"checked   timm's features differ from Poise's by at most {found['difference']:.1g}")
    if found["onnx_difference"] is not None:
        print(f"onnx      features in onnxruntime differ by at most {found['onnx_difference']:.1g}")
    print(f'load with timm.create_model("local-dir:{found["folder"]}", pretrained=True)')


def _checked_licence(text: str | None) -> str | None:
    """Returns the licence, which is one line of the card.

    Raises:
        PoiseError: the text is empty or has several lines.
    """
    if text is None:
        return None
    if not text.strip() or len(text.splitlines()) > 1:
        raise PoiseError(
            f"--licence {text!r}: write the licence in one line, such as cc-by-4.0; leave the "
            "option out if the licence is unknown"
        )
    return text.strip()


def _check_free(destination: Path) -> None:
    check_on_this_machine(destination)
    if destination.exists() or destination.is_symlink():
        raise PoiseError(f"{destination}: already exists; name another destination")


@contextmanager
def _appearing(destination: Path) -> Iterator[Path]:
    """Yields a hidden folder. It gets its final name only if the block ends without an error."""
    partial = unused_name(destination)
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.replace(destination)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise PoiseError(
                f"{destination}: another process has made it meanwhile; name another destination"
            ) from None
        raise PoiseError(
            f"{destination}: cannot be written ({error.strerror or error}); name another "
            "destination or free some space"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _about(model: str) -> Iterator[None]:
    """Adds the model's reference to errors that do not contain it."""
    try:
        yield
    except PoiseError as error:
        text = str(error)
        raise PoiseError(text if model in text else f"{model}: {text}") from None
