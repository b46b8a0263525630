"""The floor of a run's start: what any program on PyTorch, timm and Ray Train must do first.

Run by ``bench_start.py``. PyTorch and timm are imported once in this process and once in a worker,
Ray starts on this machine, and one Ray Train worker makes one optimiser step of the demo's backbone
on a batch in memory. Prints when that step was over, in seconds since the epoch.
"""

import os

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.2"

import sys
import tempfile
from pathlib import Path

import ray
import ray.train
import timm  # noqa: F401 - importing it is what is measured
import torch
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

PROGRAM = """
import time
import timm
import torch

def step(config):
    torch.set_num_threads(1)
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=0, patch_size=8,
                              embed_dim=128, depth=3, num_heads=4)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.rand(64, 3, 32, 32)).square().mean().backward()
    optimizer.step()
    with open(config["path"], "w") as file:
        file.write(str(time.time()))
"""
"""The worker's program, as a module of its own, which the controlling process does not import."""


def main() -> None:
    """Starts everything once and prints when the first step was over."""
    assert torch.cuda.device_count() >= 0
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bare_worker.py").write_text(PROGRAM, encoding="utf-8")
        sys.path.insert(0, folder)
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
        ray.init(address="local", include_dashboard=False, log_to_driver=False)
        from bare_worker import step  # type: ignore[import-not-found]

        TorchTrainer(
            step,
            train_loop_config={"path": f"{folder}/over"},
            scaling_config=ScalingConfig(num_workers=1),
            run_config=RunConfig(name="bare", storage_path=folder),
        ).fit()
        print((Path(folder) / "over").read_text(encoding="utf-8"))
        ray.shutdown()


if __name__ == "__main__":
    main()
