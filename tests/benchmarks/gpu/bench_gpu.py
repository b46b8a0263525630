"""Training steps on one GPU against the published ones: one command, one table, eight minutes.

Run as ``make bench-gpu`` or ``python tests/benchmarks/gpu/bench_gpu.py``. It needs torch with
torchvision, timm, pyarrow, SciPy and PyYAML, and neither Ray, MLflow nor pydantic. It asks nothing
and goes on after a failure. It prints a table in Markdown. If the variable ``OUT`` names a folder,
the table and every figure are written there too, as ``bench-gpu.md`` and ``bench-gpu.json``.

DINO and MAE, ViT-S/16 and ViT-B/16, 64 images, bf16. Both sides begin with the same weights, and
must report the same losses. Ours is ``train_steps``, as a run uses it. The published step is
transcribed in ``published_dino_step`` and ``published_mae_step``. Its data loader changes the
colours, so it receives finished images; ours changes the colours within its step.

Each part runs in a process of its own with a time limit, the most important parts first. Model
FLOPs are those of ``Size.matmul_flops``: 2 per multiply-add, in every block for every token that
reaches it; a backward pass costs twice its forward pass, and a teacher has none. MFU is model FLOPs
per second over the GPU's peak. It does not credit what is computed twice. But our DINO step
computes the last block for [cls] alone, and MFU credits it with the whole block. So the table also
has the utilisation by the operations that torch counted in a step.

``--device cpu --tiny`` runs every part on small models, to see that nothing is broken.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # run as a script, not as a module

from tests.benchmarks.gpu.table import report

ROOT = Path(__file__).resolve().parents[3]

PARTS = {
    "machine": 60,
    "dino-vit-s": 130,
    "mae-vit-b": 90,
    "other-costs": 60,
    "dino-vit-b": 130,
    "mae-vit-s": 90,
}
"""Parts in their order, with the most seconds that each may take of the budget."""

BUDGET_S = 450
_IN_SMOKE_TEST = ("machine", "dino-vit-s", "mae-vit-b", "other-costs")  # small models are the same
_LEAST_S = 15  # a process needs this long to import torch

Told = dict[str, Any]
"""One object that a part told."""


def main() -> None:
    """Runs every part, and prints and writes the table."""
    arguments = _arguments()
    start_s, told = time.monotonic(), list[Told]()
    for name in _IN_SMOKE_TEST if arguments.tiny else PARTS:
        left_s = arguments.budget_s - (time.monotonic() - start_s)
        limit_s = PARTS[name] * arguments.budget_s / BUDGET_S
        for each in run_part(name, min(limit_s, left_s), arguments):
            told.append(each)
            print(f"{name}: {_in_short(each)}", file=sys.stderr, flush=True)
        if name == "machine" and told[-1]["kind"] != "machine":
            raise SystemExit(told[-1]["why"])
    table = report(told, time.monotonic() - start_s, is_smoke_test=arguments.tiny)
    print(table)
    if folder := os.environ.get("OUT"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "bench-gpu.md").write_text(table + "\n", encoding="utf-8")
        (Path(folder) / "bench-gpu.json").write_text(json.dumps(told, indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small models and few steps")
    parser.add_argument("--budget-s", type=float, default=BUDGET_S, help="seconds for all parts")
    arguments = parser.parse_args()
    if arguments.device == "cpu" and not arguments.tiny:
        parser.error("--device cpu needs --tiny: the published sizes would take hours")
    return arguments


def run_part(name: str, limit_s: float, arguments: argparse.Namespace) -> Iterator[Told]:
    """Runs a part in its own process, and yields what it tells.

    If it ends with an error or takes too long, the last object says so.
    """
    if limit_s < _LEAST_S:
        yield {"kind": "failure", "what": name, "why": "left out, because the time is up"}
        return
    command = [sys.executable, "-m", "tests.benchmarks.gpu.part", name, arguments.device]
    path = os.pathsep.join([str(ROOT), str(ROOT / "platform"), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        command + ["--tiny"] * arguments.tiny,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)},
        start_new_session=True,  # so that a compiler's processes end with it
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        errors: deque[str] = deque(maxlen=20)
        reading = threading.Thread(target=errors.extend, args=(process.stderr,))
        timer = threading.Timer(limit_s, _end, (process,))
        reading.start()
        timer.start()
        yield from (json.loads(line) for line in process.stdout if line.startswith('{"kind"'))
        process.wait()
        is_late = not timer.is_alive()
        timer.cancel()
        reading.join()
    if is_late:
        yield {"kind": "failure", "what": name, "why": f"took longer than {limit_s:.0f} s"}
    elif process.returncode:
        last = next((line.strip() for line in reversed(errors) if line.strip()), "no message")
        yield {"kind": "failure", "what": name, "why": last}


def _end(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)


def _in_short(told: Told) -> str:
    if told["kind"] == "step":
        return f"{told['side']}, {told['images']} images, {told['s_per_step'] * 1e3:.1f} ms"
    if told["kind"] == "failure":
        return f"{told['what']} failed: {told['why']}"
    return str(told["kind"])


if __name__ == "__main__":
    main()
