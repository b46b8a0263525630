"""The benchmark of one GPU runs, says what failed, and computes its ratios rightly."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.benchmarks.bench_dino_step import our_steps
from tests.benchmarks.gpu import bench_gpu, workloads
from tests.benchmarks.gpu.peaks import peak_flops
from tests.benchmarks.gpu.table import report
from tests.benchmarks.gpu.training_steps import settings_of

SCRIPT = Path(bench_gpu.__file__)
MISSING_THERE = ("ray", "mlflow", "pydantic", "pydantic_core")

MACHINE = {
    "kind": "machine", "device": "NVIDIA H200", "precision": "bf16", "peak_flops": 1e15,
    "matmul_flops": 8e14, "torch": "2", "cuda": "13", "timm": "1", "python": "3.12",
}  # fmt: skip


def step(side: str, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "step", "part": "DINO ViT-S/16", "side": side, "images": 64, "model_flops": 8e12,
        "counted_flops": 7e12, "s_per_step": 0.02, "first_step_s": 1.0, "peak_bytes": 2**30,
    } | changes  # fmt: skip


def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | variables,
    )


def test_a_ratio_compares_images_per_second_when_batches_differ() -> None:
    told = [MACHINE, step("published"), step("ours", images=256, s_per_step=0.04)]
    assert "| DINO ViT-S/16, ours | 256 | 40.00 | 6400 | 2.00 |" in report(told, 60, False)


def test_utilisation_is_model_flops_over_the_peak() -> None:
    table = report([MACHINE, step("published"), step("ours", s_per_step=0.016)], 60, False)
    assert "| 50.0% | 43.8% |" in table
    assert "Goal 50.0% MFU, DINO ViT-S/16: 50.0%, met" in table
    assert "over the published step, DINO ViT-S/16: 1.25×, missed" in table


def test_an_unknown_device_has_no_utilisation_and_the_table_says_why() -> None:
    table = report([MACHINE | {"peak_flops": None}, step("published"), step("ours")], 60, False)
    assert "its peak is not known, so no MFU" in table
    assert "% MFU" not in table


def test_failures_stand_below_the_table() -> None:
    failure = {"kind": "failure", "what": "dino-vit-b", "why": "took longer than 130 s"}
    assert "- Failed: dino-vit-b: took longer than 130 s" in report([MACHINE, failure], 60, False)


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10", 125),
        ("NVIDIA L40S", 362),
        ("NVIDIA L40", None),
        ("CPU", None),
    ],
)
def test_a_peak_is_found_by_whole_words(name: str, tflops: float | None) -> None:
    assert peak_flops(name) == (tflops and tflops * 1e12)


def operations(steps: Iterator[object]) -> float:
    with FlopCounterMode(display=False) as counter:
        next(steps)
    return float(counter.get_total_flops())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dino-vit-s", "mae-vit-b"])
def test_the_formula_lies_between_the_operations_of_both_sides(name: str) -> None:
    workload, device = workloads.workloads(tiny=True)[name], torch.device("cpu")
    published = operations(workload.published(workload.size, "fp32", device))
    ours = operations(our_steps(workload.size.recipe("fp32"), device))
    assert 0.85 * workload.size.matmul_flops() < ours < workload.size.matmul_flops()
    assert workload.size.matmul_flops() < 1.01 * published  # of pixels nobody needs a gradient


def arguments(**changes: Any) -> argparse.Namespace:
    return argparse.Namespace(device="cpu", tiny=True, **changes)


def test_a_part_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_gpu, "_LEAST_S", 0)
    (told,) = bench_gpu.run_part("dino-vit-s", 0.05, arguments())
    assert told == {"kind": "failure", "what": "dino-vit-s", "why": "took longer than 0 s"}


def test_a_part_without_time_is_left_out() -> None:
    (told,) = bench_gpu.run_part("dino-vit-s", 3, arguments())
    assert told["why"] == "left out, because the time is up"


def test_the_published_sizes_are_refused_on_a_cpu() -> None:
    result = run("--device", "cpu")
    assert result.returncode == 2
    assert "--device cpu needs --tiny" in result.stderr


@pytest.mark.slow
def test_a_part_that_fails_is_named() -> None:
    (told,) = bench_gpu.run_part("dino-vit-z", 600, arguments())
    assert told == {"kind": "failure", "what": "dino-vit-z", "why": "KeyError: 'dino-vit-z'"}


@pytest.mark.heavy
@pytest.mark.slow
def test_small_models_run_without_ray_mlflow_and_pydantic(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({MISSING_THERE}))\n", encoding="utf-8"
    )
    out = tmp_path / "out"
    result = run(
        "--device", "cpu", "--tiny", "--budget-s", "1500", PYTHONPATH=str(tmp_path), OUT=str(out)
    )
    assert result.returncode == 0, result.stderr
    assert "Failed" not in result.stdout
    assert result.stdout == (out / "bench-gpu.md").read_text(encoding="utf-8")
    told = json.loads((out / "bench-gpu.json").read_text(encoding="utf-8"))
    kinds = [each["kind"] for each in told]
    assert kinds.count("step") == 10
    assert {"machine", "photometry", "diagnostics", "kernels", "note"} <= set(kinds)
    made = {each["part"]: each["settings"] for each in told if each["kind"] == "recipe"}
    for workload in workloads.workloads(tiny=True).values():
        if workload.title in made:  # the stand-in gives the settings that pydantic gives
            recipe = workload.size.recipe(told[0]["precision"])
            assert made[workload.title] == json.loads(json.dumps(settings_of(recipe)))
