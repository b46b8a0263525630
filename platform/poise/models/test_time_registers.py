"""Register token that is added to a trained transformer, without further training.

In: a vision transformer and its register neurons. Out: the same transformer with one more token,
which receives the activations of these neurons instead of the patches. Next:
``poise.models.package`` and the evaluations, which use the result like any other backbone.

Source: N. Jiang et al., "Vision Transformers Don't Need Trained Registers" (arXiv 2506.08010). A
few neurons in the MLPs (register neurons) cause the large norms of outlier patches. For each of
these neurons, the added token gets the activation that has the largest absolute value among all
tokens. The activations of patches become 0. The activations of [cls] and trained registers do not
change. The added token starts as zeros, so it contains no content of the image.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.models.backbone import VitBackbone, norms_after_pooling

Neuron = tuple[int, int]
"""Index of a block, and index of a hidden unit of the block's MLP; both from 0."""

CONFIG_KEY: Final = "added_register"
"""Key of the register neurons in a package's config."""


def with_test_time_registers(backbone: nn.Module, neurons: Sequence[Neuron]) -> "AddedRegister":
    """Makes a copy of a backbone, with an added register that receives some neurons' activations.

    Args:
        backbone: a vision transformer (``VitBackbone``), with or without registers, which is not
            changed.
        neurons: the register neurons, from
            ``poise.evaluation.outliers.register_neurons.find_register_neurons``.

    Returns:
        The copy. The added token is the last token before the patches, so other code treats the
        token as a register.

    Raises:
        PoiseError: the backbone is of another kind, or ``neurons`` is empty or has an invalid
            index.
    """
    if isinstance(backbone, AddedRegister):
        raise PoiseError("the backbone has an added register already; start from the original")
    if not isinstance(backbone, VitBackbone):
        raise PoiseError(
            f"{type(backbone).__name__}: only a vision transformer whose positions are added to "
            "its patches can get a register without training"
        )
    if not neurons:
        raise PoiseError("no register neurons, so there is nothing to move to an added register")
    for block, neuron in neurons:
        _check_neuron(backbone, block, neuron)
    return AddedRegister(deepcopy(backbone.timm_model), backbone.position_resampling, neurons)


def describe_added_register(backbone: nn.Module) -> dict[str, Any]:
    """Returns the config entry that describes an added register; empty for other backbones."""
    if not isinstance(backbone, AddedRegister):
        return {}
    return {CONFIG_KEY: {"neurons": [list(neuron) for neuron in backbone.neurons]}}


def with_added_register(backbone: nn.Module, config: Mapping[str, Any], folder: Path) -> nn.Module:
    """Adds the register that a package's config describes.

    Without this entry, returns the backbone.

    Raises:
        PoiseError: the description does not fit the backbone.
    """
    if CONFIG_KEY not in config:
        return backbone
    try:
        neurons = [(int(block), int(neuron)) for block, neuron in config[CONFIG_KEY]["neurons"]]
        return with_test_time_registers(backbone, neurons)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{CONFIG_KEY} has no pairs of block and neuron ({error})"
    except PoiseError as error:
        reason = str(error)
    raise PoiseError(f"{folder}: its added register does not fit its backbone: {reason}")


def output_layer(backbone: VitBackbone, block: int) -> nn.Linear:
    """Finds the layer of a block's MLP that reads the activations of its neurons.

    Raises:
        PoiseError: the MLP is of an unknown kind.
    """
    mlp: Any = getattr(backbone.timm_model.blocks[block], "mlp", None)
    layer = getattr(mlp, "fc2", None)
    if not isinstance(layer, nn.Linear):
        raise PoiseError(
            f"block {block}: its MLP ({type(mlp).__name__}) has no linear output layer, so it has "
            "no neurons to read"
        )
    return layer


class AddedRegister(VitBackbone):
    """Vision transformer with a register that was added without training.

    Tokens are in the order [cls], trained registers, the added register, patches. Weights and names
    of weights are the same as in the original model.
    """

    def __init__(self, timm_model: Any, position_resampling: str, neurons: Sequence[Neuron]):
        """Adds the register to a timm model. The model is changed, so no other code may use it."""
        super().__init__(timm_model, position_resampling)
        self.neurons = tuple(sorted({(int(block), int(neuron)) for block, neuron in neurons}))
        self.register_index = self.num_prefix_tokens
        self.num_prefix_tokens += 1
        for block, group in groupby(self.neurons, key=lambda neuron: neuron[0]):
            move = partial(_move, [neuron for _, neuron in group], self.register_index)
            output_layer(self, block).register_forward_pre_hook(move)

    def forward(self, images: Tensor) -> Tensor:
        """Computes features [B, D] from images [B, 3, h, w]."""
        if norms_after_pooling(self):
            return self.pooled(self.block_outputs(images, 1)[0])
        return self.feature(self.tokens(images))

    def pooled(self, outputs: Tensor) -> Tensor:
        """Pools tokens [B, prefix + N, D] of the last block to features [B, D], as timm does."""
        at = self.register_index
        return super().pooled(torch.cat([outputs[:, :at], outputs[:, at + 1 :]], dim=1))

    def _embed(self, images: Tensor) -> Tensor:
        tokens = super()._embed(images)
        at = self.register_index
        empty = tokens.new_zeros(len(tokens), 1, tokens.shape[2])
        return torch.cat([tokens[:, :at], empty, tokens[:, at:]], dim=1)


def _move(
    neurons: list[int], register: int, layer: nn.Module, inputs: tuple[Tensor]
) -> tuple[Tensor]:
    """Moves the activations of the register neurons from all tokens to the added register.

    The activations [B, T, hidden] are the input of the MLP's output layer. The register gets the
    activation with the largest absolute value, because a gated MLP also has large negative ones.
    """
    (hidden,) = inputs
    moved = hidden.clone()
    given = hidden[:, :, neurons]
    largest = given.abs().argmax(dim=1, keepdim=True)
    moved[:, register, neurons] = given.gather(1, largest)[:, 0]
    moved[:, register + 1 :, neurons] = 0
    return (moved,)


def _check_neuron(backbone: VitBackbone, block: int, neuron: int) -> None:
    depth = len(backbone.timm_model.blocks)
    if not 0 <= block < depth:
        raise PoiseError(f"register neuron {block}/{neuron}: the backbone has {depth} blocks")
    width = output_layer(backbone, block).in_features
    if not 0 <= neuron < width:
        raise PoiseError(f"register neuron {block}/{neuron}: the block's MLP has {width} neurons")
