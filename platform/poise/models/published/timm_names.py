"""Imports models by their timm name, with the weights that timm publishes.

In: a name such as ``vit_small_patch16_224.dino``. Out: a ``Reading`` (architecture and weights).
Next: ``poise.models.published.sources``.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from poise.config.errors import PoiseError
from poise.models.published.architecture import describe
from poise.models.published.prefixes import Located
from poise.models.published.preparation import from_pretrained_cfg, from_timm
from poise.models.published.shapes import Wishes
from poise.models.published.translation import (
    HEADS,
    Layout,
    Reading,
    Tensors,
    Translation,
    translate,
)
from poise.models.timm_models import family


def fetch(name: str) -> Translation:
    """Downloads a pretrained model, with timm's own download function and cache.

    Raises:
        PoiseError: timm has no such model or no weights for it, or the download fails.
    """
    import timm

    base = name.partition(".")[0]
    if family(base) == "other":
        raise PoiseError(f"{name}: cannot be a backbone")
    if not timm.is_model_pretrained(name):
        tags = ", ".join(timm.list_pretrained(f"{base}.*")) or "none"
        raise PoiseError(f"{name}: timm publishes no such weights; of {base} it has: {tags}")
    try:
        with _without_waiting():
            model: Any = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # downloads raise many kinds of errors
        raise PoiseError(
            f"{name}: its weights cannot be fetched ({type(error).__name__}); with no network, "
            f"import a file of them with --architecture {base}"
        ) from None
    reading = describe(model, model.state_dict())
    prepared = from_pretrained_cfg(model.pretrained_cfg, f"timm's pretrained_cfg of {name}")
    reading = replace(reading, preparation=replace(prepared, evaluation_px=None))
    return Translation("timm", reading, len(reading.tensors), 0, {})


@contextmanager
def _without_waiting() -> Iterator[None]:
    """Makes timm use only its cache if there is no network.

    Otherwise the client of the Hugging Face Hub would retry for a minute.
    """
    from huggingface_hub import constants

    known = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = known or not _reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = known


def _reachable(endpoint: str) -> bool:
    if getproxies():
        return True  # the proxy resolves names
    try:
        socket.getaddrinfo(urlsplit(endpoint).hostname, None)
    except OSError:
        return False
    return True


def read_as(architecture: str, located: Located) -> Translation:
    """Reads a file with timm's tensor names, for an architecture that the user names.

    Args:
        architecture: timm's name, with or without a tag; its ``pretrained_cfg`` decides the
            normalisation.
        located: tensors of the file.

    Raises:
        PoiseError: timm has no such model or tag, or the model cannot be a backbone.
    """
    import timm

    base = architecture.partition(".")[0]
    try:
        kind = family(base)
    except PoiseError as error:
        raise PoiseError(str(error).replace("backbone.name=", "--architecture ")) from None
    if kind == "other":
        raise PoiseError(f"--architecture {architecture}: cannot be a backbone")
    preparation = from_timm(architecture)
    model = timm.create_model(architecture, num_classes=0)
    translation = translate(timm_named(partial(describe, model)), located, Wishes())
    reading = replace(translation.reading, preparation=replace(preparation, evaluation_px=None))
    return replace(translation, reading=reading)


def timm_named(describe_with: Callable[[Tensors], Reading]) -> Layout:
    """Makes a layout with timm's names, for a model that the weights alone do not determine."""

    def read(kept: Tensors, _: Wishes) -> Reading:
        return describe_with(kept)

    return Layout("timm", "a model in timm's own names", lambda _: True, HEADS, read)
