"""Checks that the tensors of a checkpoint can be weights of a backbone.

In: a backbone's tensors, as loaded from a file. Out: nothing, or an error that names the first
tensor that cannot be a weight. Next: ``poise.models.published.layouts``, which reads their shapes.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from poise.config.errors import PoiseError

_READ = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_DIMENSIONS = (
    (r"patch_embed\.proj\.weight|embeddings\.patch_embeddings\.(projection\.)?weight", 4),
    (r"(embeddings\.)?(cls_token|reg_token|register_tokens|storage_tokens)", 3),
    (r"(blocks|encoder\.layer|layer)\..*\.(qkv|proj|fc1|fc2|w12|w3|dense|query)\.weight", 2),
    (r".*relative_position_bias_table", 2),
)
"""Patterns of tensor names whose shapes are used, each with the required number of dimensions."""


def check_stored(tensors: Mapping[str, Tensor]) -> None:
    """Raises an error about the first tensor that cannot be a backbone's weight.

    Args:
        tensors: tensors of a backbone, with names without prefix.

    Raises:
        PoiseError: a tensor has no values, is empty, is not dense, or has the wrong type or number
            of dimensions.
    """
    for name, tensor in tensors.items():
        if why := _why_not(name, tensor):
            raise PoiseError(f"{name}: {why}")


def check_type(name: str, tensor: Tensor, wanted: Tensor) -> None:
    """Raises an error if a tensor has integers where the model has floating-point numbers.

    Raises:
        PoiseError: the tensor contains integers, because the weights were quantised.
    """
    if wanted.is_floating_point() and not tensor.is_floating_point():
        raise PoiseError(
            f"{name}: holds {_shown(tensor)} numbers, but the model has {_shown(wanted)}; import "
            "the file of before the weights were quantised"
        )


def _why_not(name: str, tensor: Tensor) -> str | None:
    if tensor.is_meta:
        return (
            "has a shape and no values (PyTorch's device 'meta'); save the model after its weights "
            "were loaded"
        )
    if tensor.is_quantized or tensor.layout != torch.strided:
        kind = "quantised" if tensor.is_quantized else str(tensor.layout).removeprefix("torch.")
        return f"is a {kind} tensor; save it as a dense tensor of float32"
    if (tensor.is_floating_point() or tensor.is_complex()) and tensor.dtype not in _READ:
        kinds = ", ".join(str(each).removeprefix("torch.") for each in _READ)
        return f"holds {_shown(tensor)} numbers; Poise reads {kinds}"
    if not tensor.numel():
        return f"is empty ({list(tensor.shape)}); the file is damaged"
    num = next((num for pattern, num in _DIMENSIONS if re.fullmatch(pattern, name)), None)
    if num is not None and tensor.dim() != num:
        return (
            f"is {list(tensor.shape)}, and an image backbone has {num} dimensions there; the file "
            "is damaged, or of another kind of model"
        )
    return None


def _shown(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
