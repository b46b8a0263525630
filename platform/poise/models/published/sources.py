"""Where backbones of others come from: a file, a folder or a name.

In: what a person names. Out: an ``Imported`` and where it came from. Next:
``poise.tracking.registry.imports``.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.checksums import CHECKSUMS_FILE, WEIGHTS_FILE
from poise.models.package import load_backbone
from poise.models.published.architecture import from_arguments
from poise.models.published.files import HUGGING_FACE_WEIGHTS, Checkpoint, read_checkpoint
from poise.models.published.layouts import recognise
from poise.models.published.loading import IMAGENET, Imported, load
from poise.models.published.shapes import Wishes
from poise.models.published.timm_names import fetch, read_as, timm_named
from poise.models.published.translation import Reading, Translation, translate

Normalization = tuple[Sequence[float], Sequence[float]]

_SHOWN_UNREAD = 8


@dataclass(frozen=True)
class Options:
    """What a person may say of a source besides where it is."""

    checkpoint_key: str | None = None
    wishes: Wishes = field(default_factory=Wishes)
    evaluation_px: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Origin:
    """Where an imported backbone came from."""

    source: str
    """Name of the file, the folder or the model."""

    sha256: str | None
    """Of the file that holds the weights; none for a name."""

    checkpoint_key: str | None = None
    unread: tuple[str, ...] = ()
    """Entries of the file that were left alone."""


def import_backbone(source: str, options: Options) -> tuple[Imported, Origin]:
    """Reads a backbone of others.

    Args:
        source: a checkpoint file, a Hugging Face timm folder, a package, or a timm name.
        options: what the source does not say.

    Raises:
        PoiseError: it is not there, of no known layout, damaged or not complete.
    """
    path = Path(source)
    try:
        if path.is_file():
            return _from_file(path, options)
        if (path / CHECKSUMS_FILE).is_file():
            return _from_package(path)
        if path.is_dir():
            return _from_hugging_face(path, options)
    except PoiseError as error:
        text = str(error)
        raise PoiseError(text if str(path) in text else f"{path}: {text}") from None
    if len(path.parts) != 1 or path.suffix in (".pth", ".pt", ".safetensors", ".bin"):
        raise PoiseError(f"{source}: there is no such file")
    translation, normalization = fetch(source)
    return _load(translation, options, normalization), Origin(source, None)


def _from_file(path: Path, options: Options) -> tuple[Imported, Origin]:
    checkpoint = read_checkpoint(path, options.checkpoint_key)
    origin = Origin(path.name, _sha256(path), checkpoint.key, checkpoint.unread[:_SHOWN_UNREAD])
    if checkpoint.description is not None and not options.wishes.architecture:
        return _from_description(checkpoint, options), origin
    if options.wishes.architecture:
        translation = read_as(options.wishes.architecture, checkpoint.tensors)
    else:
        layout = recognise(checkpoint.tensors)
        translation = translate(layout, checkpoint.tensors, options.wishes)
    return _load(translation, options), origin


def _from_description(checkpoint: Checkpoint, options: Options) -> Imported:
    """A file that Poise wrote: its header says what the weights cannot."""
    described = checkpoint.description or {}
    layout = recognise(checkpoint.tensors)
    try:
        backbone = BackboneConfig.model_validate(described["backbone"])
        mean, std = described["normalization"]["mean"], described["normalization"]["std"]
        image_px = int(described["image_px"])
        evaluation_px = int(described.get("evaluation_px") or image_px)
    except (KeyError, TypeError, ValueError) as error:
        raise PoiseError(f"its header does not describe a backbone: {error}") from None

    described_as = replace(
        layout, read=lambda tensors, _: Reading(backbone, image_px, tensors, evaluation_px)
    )
    translation = translate(described_as, checkpoint.tensors, options.wishes)
    return _load(translation, options, (mean, std))


def _from_package(path: Path) -> tuple[Imported, Origin]:
    backbone, config = load_backbone(path)
    count = len(backbone.state_dict())
    imported = Imported(backbone, config, "poise", count, 0, {})
    return imported, Origin(path.name, _sha256(path / WEIGHTS_FILE))


def _from_hugging_face(path: Path, options: Options) -> tuple[Imported, Origin]:
    weights, file = path / HUGGING_FACE_WEIGHTS, path / "config.json"
    if not weights.is_file() or not file.is_file():
        raise PoiseError(
            f"{path}: neither a package nor a timm folder (no config.json with {weights.name})"
        )
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        name, published = str(config["architecture"]), config.get("pretrained_cfg", config)
        mean, std = published["mean"], published["std"]
        evaluated_px = int(published["input_size"][-1])
        arguments = dict(config.get("model_args", {}))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise PoiseError(f"{file}: does not describe a timm model: {error!r}") from None
    layout = timm_named(partial(from_arguments, name, arguments))
    translation = translate(layout, read_checkpoint(weights).tensors, options.wishes)
    options = replace(options, evaluation_px=options.evaluation_px or evaluated_px)
    return _load(translation, options, (mean, std)), Origin(path.name, _sha256(weights))


def _load(
    translation: Translation, options: Options, normalization: Normalization = IMAGENET
) -> Imported:
    mean, std = normalization
    wanted = (options.mean or mean, options.std or std)
    return load(translation, wanted, options.evaluation_px)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
