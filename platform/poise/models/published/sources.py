"""Imports a backbone from a file, a folder or a timm name.

In: a source from the user. Out: an ``Imported`` and its ``ImportSource``. Next:
``poise.tracking.registry.imports``.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from poise.config.errors import PoiseError, one_line
from poise.config.paths import given_path
from poise.config.recipe import BackboneConfig
from poise.models.checksums import CHECKSUMS_FILE, WEIGHTS_FILE
from poise.models.fetched import fetched
from poise.models.package import load_backbone
from poise.models.published.architecture import from_arguments
from poise.models.published.files import (
    HUGGING_FACE_WEIGHTS,
    INDEX_ENDING,
    Checkpoint,
    read_checkpoint,
    shards,
)
from poise.models.published.hub_config import CONFIG, HubConfig, read_json
from poise.models.published.layouts import recognise
from poise.models.published.loading import Imported, load
from poise.models.published.prefixes import Located, locate
from poise.models.published.preparation import (
    Preparation,
    from_pretrained_cfg,
    given,
    statistics,
)
from poise.models.published.shapes import Basis, Wishes
from poise.models.published.timm_names import fetch, read_as, timm_named
from poise.models.published.translation import Reading, Translation, translate

_FOLDER_WEIGHTS = (
    HUGGING_FACE_WEIGHTS,
    f"{HUGGING_FACE_WEIGHTS}{INDEX_ENDING}",
    "pytorch_model.bin",
)
_ENDINGS = (".pth", ".pt", ".safetensors", ".bin")
_SHOWN_UNREAD = 8
_SHOWN_CHARACTERS = 200
_OF_WEIGHTS = {
    "--heads": "num_heads",
    "--depth": "depth",
    "--grid": "grid",
    "--norm-eps": "norm_eps",
}


@dataclass(frozen=True)
class Options:
    """Options of an import, for facts that are not in the source."""

    checkpoint_key: str | None = None
    wishes: Wishes = field(default_factory=Wishes)
    evaluation_px: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ImportSource:
    """Origin of an imported backbone."""

    source: str
    """Name of the file, the folder or the model."""

    sha256: str | None
    """SHA-256 of the concatenated files with the weights; None for a timm name."""

    checkpoint_key: str | None = None
    unread: tuple[str, ...] = ()
    """Entries of the file that were not used."""


def import_backbone(source: str, options: Options) -> tuple[Imported, ImportSource]:
    """Imports a backbone that was trained elsewhere.

    Args:
        source: a checkpoint file, a Hugging Face folder (of timm or transformers), a package of
            Poise, a URI of one of these, or a timm name.
        options: facts that are not in the source.

    Raises:
        PoiseError: the source does not exist, has no known layout, or is ambiguous, damaged or
            incomplete.
    """
    if not source.strip():
        raise PoiseError("SOURCE is empty; name a checkpoint file, a folder or a model of timm")
    path = fetched(source) if "://" in source else given_path(source)
    try:
        if path.is_file():
            if path.name in _FOLDER_WEIGHTS and (path.parent / CONFIG).is_file():
                return _from_folder(path, options)
            return _from_file(path, options)
        if (path / CHECKSUMS_FILE).is_file():
            return _from_package(path, options)
        if path.is_dir():
            return _from_folder(_weights_of(path), options)
    except PoiseError as error:
        text = str(error)
        raise PoiseError(text if str(path) in text else f"{path}: {text}") from None
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise PoiseError(
            f"{source[:_SHOWN_CHARACTERS]}: cannot be read: {error.strerror or error}"
        ) from None
    if len(path.parts) != 1 or path.suffix in _ENDINGS:
        raise PoiseError(f"{source}: {_why_absent(source, path)}")
    _refuse(options, (*_OF_WEIGHTS, "--architecture", "--prefix", "--checkpoint-key"), source)
    return _load(fetch(source), options), ImportSource(source, None)


def _why_absent(source: str, path: Path) -> str:
    if path.exists():
        return "is neither a file nor a folder; name a checkpoint that was saved to a file"
    if re.fullmatch(r"((hf[_-]hub|hf):)?(//)?[\w.-]+/[\w.-]+", source):
        return (
            "there is no such file; if it is a name on Hugging Face, fetch its folder, and import "
            "that"
        )
    return "there is no such file"


def _from_file(path: Path, options: Options) -> tuple[Imported, ImportSource]:
    checkpoint, wishes = read_checkpoint(path, options.checkpoint_key), options.wishes
    source = ImportSource(
        path.name, _sha256([path]), checkpoint.key, checkpoint.unread[:_SHOWN_UNREAD]
    )
    if checkpoint.description is not None and not wishes.architecture:
        _refuse(options, (*_OF_WEIGHTS, "--prefix"), "the file's header")
        return _load(_from_description(checkpoint), options), source
    located = locate(checkpoint.tensors, wishes.prefix)
    if wishes.architecture:
        _refuse(options, _OF_WEIGHTS, f"--architecture {wishes.architecture}")
        translation = read_as(wishes.architecture, located)
    else:
        translation = translate(recognise(located), located, wishes)
    return _load(translation, options), source


def _from_description(checkpoint: Checkpoint) -> Translation:
    """Translates a file that Poise wrote.

    Its header contains the facts that are not in the weights.
    """
    described = checkpoint.description or {}
    try:
        backbone = BackboneConfig.model_validate(described["backbone"])
        normalization = described["normalization"]
        mean, std = statistics(normalization["mean"], normalization["std"])
        image_px = int(described["image_px"])
        evaluation_px = int(described.get("evaluation_px") or image_px)
        if min(image_px, evaluation_px) < 1:
            raise ValueError(f"sides of {image_px} and {evaluation_px} px")
    except (KeyError, TypeError, ValueError) as error:
        raise PoiseError(f"its header does not describe a backbone: {one_line(error)}") from None
    preparation = Preparation(mean, std, Basis("the file's header"), evaluation_px=evaluation_px)
    located = locate(checkpoint.tensors)
    header = Basis("the file's header")
    layout = replace(
        recognise(located),
        read=lambda tensors, _: Reading(
            backbone, image_px, tensors, evaluation_px, preparation=preparation,
            bases={"heads": header, "grid": header} if "pos_embed" in tensors else {},
        ),
    )  # fmt: skip
    return translate(layout, located, Wishes())


def _from_package(path: Path, options: Options) -> tuple[Imported, ImportSource]:
    names = ("--architecture", "--prefix", "--checkpoint-key", "--mean", "--std", "--image-px")
    _refuse(options, (*_OF_WEIGHTS, *names), "the package's config.json")
    backbone, config = load_backbone(path)
    count = len(backbone.state_dict())
    imported = Imported(backbone, config, "poise", count, 0, {})
    return imported, ImportSource(path.name, _sha256([path / WEIGHTS_FILE]))


def _weights_of(folder: Path) -> Path:
    found = next((folder / name for name in _FOLDER_WEIGHTS if (folder / name).is_file()), None)
    if found is None or not (folder / CONFIG).is_file():
        raise PoiseError(
            f"{folder}: neither a package nor a folder of Hugging Face ({CONFIG} with "
            f"{' or '.join(_FOLDER_WEIGHTS)})"
        )
    return found


def _from_folder(weights: Path, options: Options) -> tuple[Imported, ImportSource]:
    file = weights.parent / CONFIG
    config = read_json(file)
    if "architecture" in config:
        _refuse(options, (*_OF_WEIGHTS, "--architecture"), str(file))
        read = _timm_model(file, config)
    elif "model_type" in config:
        read = _transformers_model(file, config, options.wishes)
    else:
        raise PoiseError(
            f"{file}: does not describe a timm model (architecture) or one of transformers "
            "(model_type)"
        )
    checkpoint = read_checkpoint(weights, options.checkpoint_key)
    translation = read(locate(checkpoint.tensors, options.wishes.prefix))
    files = shards(weights) if weights.name.endswith(INDEX_ENDING) else [weights]
    name = weights.name if weights.parent.name == "" else weights.parent.absolute().name
    return _load(translation, options), ImportSource(name, _sha256(files), checkpoint.key)


def _timm_model(file: Path, config: dict[str, Any]) -> Callable[[Located], Translation]:
    """Returns a function that translates the tensors of a folder that timm wrote."""
    try:
        name = str(config["architecture"])
        preparation = from_pretrained_cfg(config.get("pretrained_cfg", config), CONFIG)
        arguments = dict(config.get("model_args", {}))
    except (LookupError, TypeError, ValueError) as error:
        raise PoiseError(f"{file}: does not describe a timm model: {error!r}") from None
    layout = timm_named(partial(from_arguments, name, arguments))

    def read(located: Located) -> Translation:
        translation = translate(layout, located, Wishes())
        reading = replace(translation.reading, preparation=preparation)
        return replace(translation, reading=reading)

    return read


def _transformers_model(
    file: Path, config: dict[str, Any], asked: Wishes
) -> Callable[[Located], Translation]:
    """Returns a function that translates the tensors of a folder that transformers wrote."""
    hub = HubConfig.of(file, config)
    wishes = hub.wishes(asked)

    def read(located: Located) -> Translation:
        translation = translate(recognise(located), located, wishes)
        return replace(translation, reading=hub.applied(translation.reading))

    return read


def _load(translation: Translation, options: Options) -> Imported:
    reading = translation.reading
    prepared = given(reading.preparation, options.mean, options.std)
    translation = replace(translation, reading=replace(reading, preparation=prepared))
    return load(translation, options.evaluation_px)


def _refuse(options: Options, names: Iterable[str], why: str) -> None:
    """Raises an error for options that would have no effect.

    ``why`` names the source that already contains the facts, such as the header of the file.
    """
    wishes = options.wishes
    values = {option: getattr(wishes, name) for option, name in _OF_WEIGHTS.items()} | {
        "--architecture": wishes.architecture,
        "--prefix": wishes.prefix,
        "--checkpoint-key": options.checkpoint_key,
        "--mean": options.mean,
        "--std": options.std,
        "--image-px": options.evaluation_px,
    }
    for name in names:
        if values[name] is not None:
            raise PoiseError(f"{name}: has no effect, because {why} decides; leave it out")


def _sha256(files: Iterable[Path]) -> str:
    """Computes the SHA-256 of the concatenated contents of files."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while part := file.read(2**20):
                digest.update(part)
    return digest.hexdigest()
