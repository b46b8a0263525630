"""How long a person, and a sweep, wait for the first step.

Run as ``python tests/benchmarks/bench_start.py [--before CHECKOUT] [--rounds N]``. Three ratios,
each of two things measured in turns in the same run:

- ``poise models list`` on a store with a registered backbone, against ``import mlflow``;
- ``poise pretrain``, from the command to the end of its first step, against ``bare_start.py``,
  which imports PyTorch and timm, starts Ray, makes one step on a Ray Train worker, and ends;
- a sweep of short trials, one at a time: the mean time from a trial's last step to the next
  trial's first; against the same of another checkout of Poise, where one is named.

When a step was over is read from MLflow's timestamps, so every step is logged.
"""

import argparse
import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPE = REPOSITORY / "pipelines" / "recipes" / "dino_scenes_demo.yaml"
BARE = Path(__file__).with_name("bare_start.py")
STEPS, TRIALS = 8, 4
SHORT = (
    f"training.stop_after_steps={STEPS}",
    "training.log_every_steps=1",
    "training.device=cpu",
)
SPACE = """
name: start
recipe: {recipe}
question: How long does a trial wait?
published: Nowhere.
metric: eval/knn_top1
parameters:
  objective.teacher_temp: {{grid_search: [0.04, 0.05, 0.06, 0.07]}}
seeds: [0]
concurrency: 1
"""


def poise(checkout: Path, home: Path, *words: object) -> str:
    """Runs a command of a checkout; returns what it printed."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout / "platform"),
        "POISE_HOME": str(home),
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        [sys.executable, "-m", "poise.cli.main", *map(str, words)],
        env=environment, cwd=home.parent, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"poise {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout


def step_ends_s(home: Path) -> dict[tuple[str, str], list[float]]:
    """When each step of each run was over, in seconds since the epoch; by the run's name and id.

    Trials of two sweeps have the same names.
    """
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiments = [each.experiment_id for each in client.search_experiments()]
    ends = {}
    for run in client.search_runs(experiments):
        logged = client.get_metric_history(run.info.run_id, "loss/total")
        steps = sorted((metric.step, metric.timestamp / 1e3) for metric in logged)
        ends[str(run.info.run_name), run.info.run_id] = [at_s for _, at_s in steps]
    return ends


def list_s(checkout: Path, home: Path) -> float:
    """Seconds that ``poise models list`` takes."""
    begun_s = time.perf_counter()
    poise(checkout, home, "models", "list")
    return time.perf_counter() - begun_s


def mlflow_s() -> float:
    """Seconds that importing MLflow takes."""
    begun_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import mlflow"], check=True)
    return time.perf_counter() - begun_s


def first_step_s(checkout: Path, home: Path) -> float:
    """Seconds from the command to the end of a run's first step."""
    name, begun_s = f"first-{time.time_ns()}", time.time()
    poise(checkout, home, "pretrain", RECIPE, *SHORT, "--name", name)
    ends = {run: ends for (run, _), ends in step_ends_s(home).items()}
    return ends[name][0] - begun_s


def bare_step_s() -> float:
    """Seconds from the command to the end of the floor's first step."""
    begun_s = time.time()
    done = subprocess.run([sys.executable, str(BARE)], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1]) - begun_s


def between_trials_s(checkout: Path, home: Path) -> float:
    """Mean seconds from a trial's last step to the next trial's first."""
    name = f"sweep-{time.time_ns()}"
    space = home.parent / f"{name}.yaml"
    space.write_text(SPACE.format(recipe=RECIPE), encoding="utf-8")
    known = set(step_ends_s(home))
    poise(checkout, home, "ablate", space, *SHORT, "--name", name)
    found = step_ends_s(home).items()
    trials = sorted(
        ends
        for run, ends in found
        if ends and run not in known and re.fullmatch(r"t\d+-s\d+", run[0])
    )
    waits = [after[0] - before[-1] for before, after in itertools.pairwise(trials)]
    return statistics.mean(waits)


def in_turns(rounds: int, **ways: Callable[[], float]) -> dict[str, list[float]]:
    """Measures each way once a round, so that a busy machine is as unkind to one as to another."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            taken[name].append(way())
            print(f"  {name:28s} {taken[name][-1]:6.2f} s", flush=True)
    return taken


def tell(what: str, taken: dict[str, list[float]], goal: float) -> None:
    """Prints the ratio of the first way to the last, round by round."""
    ours, *_, floor = taken.values()
    ratios = [a / b for a, b in zip(ours, floor, strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{what}: {statistics.median(ratios):.2f}× ({spread}); the goal is at most {goal}×\n")


def prepare(folder: Path, checkout: Path) -> Path:
    """Prepares the demo's datasets by a checkout, whose format the newer ones read too.

    Returns:
        The folder of runs.
    """
    home = folder / "runs"
    home.mkdir()
    for name, images, seed in (("scenes-train", 4096, 0), ("scenes-test", 1000, 1)):
        poise(checkout, home, "data", "prepare", "scenes", folder / "data" / name,
              "--num-images", images, "--seed", seed)  # fmt: skip
    return home


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--before", type=Path, help="another checkout, to compare sweeps with")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rounds, before = arguments.rounds, arguments.before
    with tempfile.TemporaryDirectory() as scratch:
        home = prepare(Path(scratch), before or REPOSITORY)
        mine = in_turns(rounds, pretrain=lambda: first_step_s(REPOSITORY, home), floor=bare_step_s)
        tell("first step of `poise pretrain`, against the floor", mine, 1.4)
        mine = in_turns(
            rounds, models_list=lambda: list_s(REPOSITORY, home), import_mlflow=mlflow_s
        )
        tell("`poise models list`, against importing MLflow", mine, 1.5)
        ways = {"between_trials": lambda: between_trials_s(REPOSITORY, home)}
        if before is not None:
            ways["between_trials_before"] = lambda: between_trials_s(before, home)
            tell("between two trials, against before", in_turns(rounds, **ways), 0.5)
        else:
            in_turns(rounds, **ways)


if __name__ == "__main__":
    main()
