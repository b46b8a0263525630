"""Numeric precision of training: bf16 if the hardware supports it, else fp32.

In: a recipe's training settings and a device. Out: an autocast context. Next:
``poise.training.loop``.
"""

from contextlib import AbstractContextManager

import torch

from poise.config.recipe import TrainingConfig


def computes_bf16(device: torch.device) -> bool:
    """Returns True if the hardware computes bf16 matrix products. Only then autocast saves time."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(config: TrainingConfig, device: torch.device) -> AbstractContextManager[None]:
    """Makes an autocast context with the recipe's precision on this device.

    It is bf16 if the recipe asks for it and the hardware supports it, else fp32.
    """
    enabled = config.precision == "bf16" and computes_bf16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
