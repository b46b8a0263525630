"""Caches the metrics of an untrained network in a folder, so that several runs measure it once.

In: a probe and a folder. Out: a probe that yields the same metrics. Next: the training loop calls
the probe before the first step. Many trials of a study begin with the same untrained network.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from poise.config.errors import PoiseError
from poise.config.files import read_json, to_json, write_json
from poise.config.recipe import Recipe
from poise.data.manifest import Manifest
from poise.evaluation.reading.inference import no_progress
from poise.training.spec import Probe


class RememberedProbe:
    """Probe that reads its (name, value) pairs from a file if the network was measured before.

    A file is used only for the same network and measurement. The weights must be the same bit for
    bit, and the settings, images and kind of device must be the same. If the file cannot be read,
    the network is measured again.
    """

    def __init__(self, probe: Probe, folder: Path, recipe: Recipe) -> None:
        """Stores the probe and the folder, and opens no file.

        Args:
            probe: probe whose metrics are cached.
            folder: folder of the cache.
            recipe: recipe of the run. It decides the settings and images of the measurement.
        """
        self._probe = probe
        self._folder = folder
        self._measured_by = _measurement_of(recipe)

    def __call__(
        self,
        backbone: nn.Module,
        device: torch.device,
        on_images: Callable[[int], None] = no_progress,
    ) -> Iterator[tuple[str, float]]:
        """Reads the metrics of the backbone from its file, or measures them and writes the file.

        Args:
            backbone: backbone to measure.
            device: device that computes.
            on_images: function that is called after each batch with its number of images.
        """
        path = self._folder / f"{self._digest(backbone, device)}.json"
        if path.exists():
            with suppress(PoiseError, TypeError, ValueError):  # a damaged file: measure again
                yield from [(name, float(value)) for name, value in read_json(path)]
                return
        found = list(self._probe(backbone, device, on_images))
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(path, [(name, to_json(value)) for name, value in found])
        yield from found

    def _digest(self, backbone: nn.Module, device: torch.device) -> str:
        digest = hashlib.sha256(f"{self._measured_by} {device.type}".encode())
        for name, tensor in sorted(backbone.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:32]


def _measurement_of(recipe: Recipe) -> str:
    sets = (recipe.data.dataset, recipe.evaluation.bank, recipe.evaluation.queries)
    manifests = [Manifest.read(folder) for folder in sets if folder]
    fingerprints = [each.fingerprint + each.annotation_fingerprint for each in manifests]
    settings = (recipe.evaluation.model_dump_json(), recipe.data.views.model_dump_json())
    return " ".join([*settings, str(recipe.evaluation_px), *fingerprints])
