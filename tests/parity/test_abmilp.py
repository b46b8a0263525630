"""AbMILP against recordings of the published pooling, in each of its recorded variants."""

from pathlib import Path

import numpy as np
import pytest
import torch

from poise.config.probes import AbmilpConfig
from poise.models.heads.abmilp import Abmilp, pool_together


def test_abmilp_pools_as_published(golden_dir: Path) -> None:
    paths = sorted(golden_dir.glob("abmilp_*.npz"))
    if not paths:
        pytest.skip(f"no recording abmilp_*.npz in {golden_dir}")
    for path in paths:
        check_recording(path)


def check_recording(path: Path) -> None:
    case = np.load(path, allow_pickle=False)
    config = AbmilpConfig.model_validate(
        {
            "depth": int(case["depth"]),
            "activation": str(case["activation"]),
            "self_attention": str(case["self_attention_apply_to"]),
            "condition": str(case["cond"]),
            "content": str(case["content"]),
        }
    )
    tokens = torch.from_numpy(case["tokens"])
    side = int((tokens.shape[1] - 1) ** 0.5)
    pool = Abmilp(tokens.shape[2], (side, side), tokens.shape[1] - side**2, config)
    wanted = set(pool.state_dict())
    recorded = {
        key.removeprefix("weights/"): torch.from_numpy(case[key])
        for key in case.files
        if key.startswith("weights/") and key.removeprefix("weights/") in wanted
    }
    pool.load_state_dict(recorded)

    out, attention = pool.pool(tokens)
    torch.testing.assert_close(out, torch.from_numpy(case["out"]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(attention, torch.from_numpy(case["attention"]), rtol=1e-5, atol=1e-5)
    together = pool_together([pool, pool], tokens)
    torch.testing.assert_close(together, torch.stack([out, out], 1), rtol=1e-5, atol=1e-6)
