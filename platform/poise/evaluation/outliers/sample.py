"""Stores tokens of some images, to measure where outliers are and what they contain.

In: outputs of ``TokenReader``. Out: a ``TokenSample`` of bounded size. Next:
``poise.evaluation.outliers.outlier_positions`` and ``poise.evaluation.outliers.token_content``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.evaluation.outliers.threshold import Threshold, outlier_mask
from poise.evaluation.outliers.token_modules import Drawn

SAMPLE_IMAGES = 2048
"""Largest number of images whose tokens are stored. They are evenly spaced in the dataset."""

_TOKENS = 8192  # of each kind, enough for a linear probe of 384 features
_TOKEN_BYTES = 2**25  # of each kind, which limits the tokens of wide models


@dataclass(frozen=True)
class Tokens:
    """Patch tokens that are all outliers or all ordinary. Their number is m.

    Each token has its image, the position of its patch, and the pixels of its patch.
    """

    vectors: Tensor
    """Tokens after the last norm, float32 [m, D]."""

    images: Tensor
    """Row of each token's image in the sample, int64 [m]."""

    places: Tensor
    """Index of each token's patch in row-major order, int64 [m]."""

    pixels: Tensor
    """Normalised pixels of each token's patch, float32 [m, 3·p·p]."""

    def __len__(self) -> int:
        return len(self.vectors)

    def only(self, rows: Tensor) -> "Tokens":
        """Returns some of the tokens, chosen by a mask or by indices."""
        return Tokens(self.vectors[rows], self.images[rows], self.places[rows], self.pixels[rows])


@dataclass(frozen=True)
class TokenSample:
    """Outputs of ``TokenReader`` for n images, on the CPU."""

    outputs: Mapping[str, Tensor]
    """Maps each output's name to its values. ``norms`` are those after the last block, [n, T]."""

    labels: Tensor
    """Labels of the images, int64 [n], or −1 if a label is unknown."""

    sample_ids: NDArray[np.int64]
    """Ids of the images in the dataset, ascending, [n]."""

    num_prefix: int
    """Number of tokens before the patches: [cls] and registers."""

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
        """Returns the outliers among the stored tokens.

        For each image, the tokens with the largest norms are stored. Few images have more outliers
        than stored tokens.
        """
        return self._tokens("longest", outlier_mask(self.norms, threshold))

    def ordinary(self, threshold: Threshold) -> Tokens:
        """Returns the tokens of patches that were chosen at random, without outliers."""
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
    """Returns the positions of the images whose tokens are stored, evenly spaced and ascending."""
    count = min(num_images, SAMPLE_IMAGES)
    return np.unique(np.linspace(0, num_images - 1, count).round().astype(np.int64))


def tokens_per_image(num_images: int, num_patches: int, token_bytes: int) -> Drawn:
    """Computes how many tokens of an image to keep, so that memory is limited.

    Args:
        num_images: number of images in the sample.
        num_patches: number of patches N of an image.
        token_bytes: bytes of a token with its pixels.
    """
    tokens = min(_TOKENS, _TOKEN_BYTES // token_bytes)
    count = min(num_patches, max(1, tokens // num_images))
    return Drawn(longest=count, drawn=count)


def gather(
    batches: Iterator[tuple[Mapping[str, Tensor], Tensor]],
) -> tuple[dict[str, Tensor], Tensor]:
    """Concatenates the outputs and the labels of batches, on the CPU."""
    outputs: dict[str, list[Tensor]] = {}
    labels = []
    for found, of_batch in batches:
        labels.append(of_batch)
        for name, values in found.items():
            outputs.setdefault(name, []).append(values.cpu())
    return {name: torch.cat(values) for name, values in outputs.items()}, torch.cat(labels)
