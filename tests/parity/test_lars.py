"""LARS against a recording of the published optimiser."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from poise.training.optimizer import Lars


def test_lars_moves_matrices_and_biases_as_published(golden_dir: Path) -> None:
    path = golden_dir / "lars.npz"
    if not path.is_file():
        pytest.skip(f"no recording {path}")
    case = np.load(path, allow_pickle=False)
    weight = nn.Parameter(torch.from_numpy(case["w0"]))
    bias = nn.Parameter(torch.from_numpy(case["b0"]))
    options = {
        ours: float(case[theirs])
        for ours, theirs in {
            "lr": "lr",
            "weight_decay": "weight_decay",
            "momentum": "momentum",
            "trust": "trust_coefficient",
        }.items()
        if theirs in case
    }
    optimizer = Lars([weight, bias], **options)
    steps = sum(key.startswith("grad_w_") for key in case)
    assert steps > 0
    for step in range(steps):
        weight.grad = torch.from_numpy(case[f"grad_w_{step}"])
        bias.grad = torch.from_numpy(case[f"grad_b_{step}"])
        optimizer.step()
        torch.testing.assert_close(
            weight.detach(), torch.from_numpy(case[f"w_{step}"]), rtol=1e-6, atol=1e-6
        )
        torch.testing.assert_close(
            bias.detach(), torch.from_numpy(case[f"b_{step}"]), rtol=1e-6, atol=1e-6
        )
