"""The numeric precision of training: bf16 where the hardware computes it, else fp32.

In: a recipe's training settings and a device. Out: an autocast context. Next:
``poise.training.loop``.
"""

from contextlib import AbstractContextManager

import torch

from poise.config.recipe import TrainingConfig


def computes_bf16(device: torch.device) -> bool:
    """Whether the hardware computes bf16 matrix products, so that autocast saves time."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(config: TrainingConfig, device: torch.device) -> AbstractContextManager[None]:
    """The recipe's precision on this device: bf16 where it is computed in hardware, else fp32."""
    enabled = config.precision == "bf16" and computes_bf16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
