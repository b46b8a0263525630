"""Tokens of some images, kept for the questions where outliers are and what they hold.

In: outputs of ``TokenReader``. Out: a ``TokenSample`` of bounded size. Next:
``poise.evaluation.outliers.places`` and ``contents``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.evaluation.outliers.reader import Drawn
from poise.evaluation.outliers.threshold import Threshold, outlier_mask

SAMPLE_IMAGES = 2048
"""Largest number of images whose tokens are kept, evenly spread over the dataset."""

_TOKENS = 8192  # of a kind, enough for a linear probe of 384 numbers
_TOKEN_BYTES = 2**25  # of a kind, which holds for wide models


@dataclass(frozen=True)
class Tokens:
    """m tokens of one kind, with what they should hold."""

    vectors: Tensor
    """After the last norm, float32 [m, D]."""

    images: Tensor
    """Row of each token's image in the sample, int64 [m]."""

    places: Tensor
    """Patch of each token, row-major, int64 [m]."""

    pixels: Tensor
    """Normalised pixels of the patch, float32 [m, 3·p·p]."""

    def __len__(self) -> int:
        return len(self.vectors)

    def only(self, rows: Tensor) -> "Tokens":
        """Takes some of the tokens, by a mask or by indices."""
        return Tokens(self.vectors[rows], self.images[rows], self.places[rows], self.pixels[rows])


@dataclass(frozen=True)
class TokenSample:
    """What ``TokenReader`` read of n images, on the CPU."""

    outputs: Mapping[str, Tensor]
    """By the names of its outputs; ``norms`` are those after the last block alone, [n, T]."""

    labels: Tensor
    """int64 [n], −1 where unknown."""

    sample_ids: NDArray[np.int64]
    """Ids of the images in the dataset, ascending, [n]."""

    num_prefix: int
    """[cls] and registers."""

    num_registers: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def prefix_names(self) -> tuple[str, ...]:
        """Names of the tokens before the patches, such as ``cls`` and ``register_1``."""
        registers = (f"register_{number + 1}" for number in range(self.num_registers))
        has_class_token = self.num_prefix > self.num_registers
        return (*["cls"] * has_class_token, *registers)

    @property
    def norms(self) -> Tensor:
        """Norms of patches after the last block, [n, N]."""
        return self.outputs["norms"][:, self.num_prefix :]

    def outliers(self, threshold: Threshold) -> Tokens:
        """Longest outliers of each image, in a row; few images have more than are kept."""
        return self._tokens("longest", outlier_mask(self.norms, threshold))

    def ordinary(self, threshold: Threshold) -> Tokens:
        """Tokens of each image that were drawn at random, without outliers."""
        return self._tokens("drawn", ~outlier_mask(self.norms, threshold))

    def _tokens(self, name: str, wanted: Tensor) -> Tokens:
        places = self.outputs[f"{name}_places"]  # [n, k]
        kept = wanted.gather(1, places)
        rows = torch.arange(len(self))[:, None].expand_as(places)
        return Tokens(
            vectors=self.outputs[f"{name}_tokens"][kept],
            images=rows[kept],
            places=places[kept],
            pixels=self.outputs[f"{name}_pixels"][kept].float(),
        )


def sampled_positions(num_images: int) -> NDArray[np.int64]:
    """Positions of the images whose tokens are kept, evenly spread and ascending."""
    count = min(num_images, SAMPLE_IMAGES)
    return np.unique(np.linspace(0, num_images - 1, count).round().astype(np.int64))


def tokens_per_image(num_images: int, num_patches: int, token_bytes: int) -> Drawn:
    """How many tokens of an image to keep, so that the sample's memory is bounded.

    Args:
        num_images: images of the sample.
        num_patches: N.
        token_bytes: bytes of a token with its pixels.
    """
    tokens = min(_TOKENS, _TOKEN_BYTES // token_bytes)
    count = min(num_patches, max(1, tokens // num_images))
    return Drawn(longest=count, drawn=count)


def gather(
    batches: Iterator[tuple[Mapping[str, Tensor], Tensor]],
) -> tuple[dict[str, Tensor], Tensor]:
    """Puts the outputs and the labels of batches one behind the other, on the CPU."""
    outputs: dict[str, list[Tensor]] = {}
    labels = []
    for found, of_batch in batches:
        labels.append(of_batch)
        for name, values in found.items():
            outputs.setdefault(name, []).append(values.cpu())
    return {name: torch.cat(values) for name, values in outputs.items()}, torch.cat(labels)
