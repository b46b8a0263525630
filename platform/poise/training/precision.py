"""Numeric precision of training: bf16 if the hardware supports it, else fp32.

In: a recipe's training settings and a device. Out: an autocast context. Next:
``poise.training.loop``.
"""

from contextlib import AbstractContextManager

import torch

from poise.config.training import TrainingConfig


def computes_bf16(device: torch.device) -> bool:
    """Returns True if the hardware has bf16 matrix products.

    Without them, autocast saves no time.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(config: TrainingConfig, device: torch.device) -> AbstractContextManager[None]:
    """Makes an autocast context with the recipe's precision on this device.

    The precision is bf16 if the recipe requests bf16 and the hardware supports it, else fp32.
    """
    dtype = autocast_dtype(config, device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is not None)


def autocast_dtype(config: TrainingConfig, device: torch.device) -> torch.dtype | None:
    """Returns the precision of matrix products on this device; None means fp32."""
    return torch.bfloat16 if config.precision == "bf16" and computes_bf16(device) else None
