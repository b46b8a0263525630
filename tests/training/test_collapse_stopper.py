"""A condemned run ends early, and whoever follows a run hears of its verdict at once."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing

from poise.config.locations import Location
from poise.config.objectives import Signals
from poise.diagnostics.history import History
from poise.diagnostics.judge import Verdict, VerdictKind, judge
from poise.runs.progress import BoardObserver
from poise.training import logging_and_checkpoints as watching
from poise.training.checkpoint import RUN_FILE
from poise.training.collapse_stopper import CollapseStopper
from poise.training.elastic import Attempt
from poise.training.logging_and_checkpoints import Watch
from poise.training.loop import new_state
from poise.training.observer import FinishedStep
from poise.training.schedule import Timetable
from poise.training.spec import RunSpec
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset

CPU = torch.device("cpu")
COLLAPSED = Verdict(VerdictKind.UNIFORM, 4, "no image differs", "sharpen")
HEALTHY = Verdict(VerdictKind.HEALTHY, None, "images differ", "")
UNDECIDED = Verdict(VerdictKind.UNDECIDED, None, "too early", "")


class Listener:
    """Writes down what it is told, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.heard.append(("log", step))

    def judged(self, step: int, verdict: Verdict) -> None:
        self.heard.append((verdict.kind, step))

    def note(self, step: int, topic: str, text: str) -> None:
        self.heard.append((text, step))

    def show(self, step: int, name: str, picture: Tensor) -> None:
        """Pictures are tested elsewhere."""

    def flush(self) -> None:
        self.heard.append(("flush", -1))

    def close(self) -> None:
        self.heard.append(("close", -1))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(32)])
    return tmp_path / "dataset"


Follow = Callable[..., tuple[Watch, Listener, list[dict[str, Any]]]]


@pytest.fixture
def follow(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> Follow:
    """A watch over a run of 8 steps whose verdicts are given by step; what it reported."""

    def make(
        verdicts: Mapping[int, Verdict], history: History | None = None, **changes: Any
    ) -> tuple[Watch, Listener, list[dict[str, Any]]]:
        def rigged(history: History, *_: object) -> Verdict:
            return verdicts[history[-1][0]]

        def report(metrics: dict[str, Any], folder: Path | None) -> None:
            run = None if folder is None else json.loads((folder / RUN_FILE).read_text())
            reported.append(metrics | {"kept": run and [step for step, _ in run["history"]]})

        monkeypatch.setattr(watching, "judge", rigged)
        recipe = tiny_recipe(data__dataset=str(dataset), **changes)
        listener, reported = Listener(), list[dict[str, Any]]()
        job = RunSpec(
            recipe,
            "run",
            Location.of(dataset),
            [lambda: listener],
            probe=lambda *_: [("knn_top1", 50.0)],
        )
        timetable = Timetable(recipe, steps_per_epoch=4)
        state = new_state(recipe, CPU)
        state.step = history[-1][0] if history else 0
        return (
            Watch(job, state, timetable, list(history or ()), CPU, True, report),
            listener,
            reported,
        )

    return make


def at(step: int) -> FinishedStep:
    return FinishedStep(step, step / 4, step * 8, {"loss/total": 1.0})


def test_a_condemned_run_ends_with_an_evaluation_and_a_checkpoint_as_at_a_normal_end(
    follow: Follow,
) -> None:
    verdicts = {2: UNDECIDED, 6: COLLAPSED}
    watch, _, reported = follow(verdicts, training__stop_collapsed=True)
    with watch:
        assert [watch.at_boundary(at(step)) for step in (2, 6)] == [False, True]
    (last,) = reported
    assert (last["step"], last["ends"], last["kept"]) == (6, True, [2, 6])
    assert last["eval/knn_top1"] == watch.history[-1][1]["eval/knn_top1"] == 50.0


def test_a_condemned_run_trains_on_unless_it_may_be_stopped(follow: Follow) -> None:
    watch, listener, _ = follow({6: COLLAPSED, 8: COLLAPSED})
    with watch:
        assert [watch.at_boundary(at(step)) for step in (6, 8)] == [False, True]
    assert ("collapsed: uniform", 6) in listener.heard


def test_observers_of_an_elastic_run_hear_how_many_workers_it_starts_with(follow: Follow) -> None:
    watch, listener, _ = follow({1: UNDECIDED}, training__num_workers=4, training__min_workers=1)
    watch.state.attempts = [Attempt(0, 2)]
    with watch:
        watch.log_start()
    assert listener.heard[0] == ("starts with 2 of 4 workers", 0)


def test_observers_hear_that_data_is_the_bottleneck(follow: Follow) -> None:
    slow = {
        "loss/total": 1.0,
        "throughput/s_per_step": 60.0,
        "throughput/data_wait_share": 0.5,
        "throughput/train_images_per_s": 10.0,
        "throughput/read_images_per_s": 5.0,
        "throughput/cut_images_per_s": 50.0,
    }
    watch, listener, _ = follow({1: UNDECIDED, 2: UNDECIDED, 3: UNDECIDED})
    with watch:
        for step in (1, 2, 3):
            watch.at_boundary(FinishedStep(step, step / 4, step * 8, slow))
    (heard,) = [text for text, _ in listener.heard if "bottleneck" in text]
    assert heard.startswith("step 2: data is the bottleneck: training waits for it 50% of the time")


def test_observers_hear_of_a_verdict_before_the_metrics_and_only_when_its_kind_changes(
    follow: Follow,
) -> None:
    verdicts = {1: UNDECIDED, 2: HEALTHY, 3: HEALTHY, 5: COLLAPSED, 6: UNDECIDED}
    watch, listener, _ = follow(verdicts)
    with watch:
        for step in verdicts:
            watch.at_boundary(at(step))
    assert listener.heard == [
        ("log", 1),
        ("healthy", 2),
        ("log", 2),
        ("log", 3),
        ("collapsed: uniform", 5),
        ("log", 5),
        ("undecided", 6),
        ("log", 6),
        ("close", -1),
    ]


def test_a_resumed_run_says_its_verdict_again_for_nobody_knows_what_was_heard(
    follow: Follow,
) -> None:
    watch, listener, _ = follow({4: UNDECIDED, 6: UNDECIDED}, history=[(4, {"loss/total": 1.0})])
    with watch:
        watch.at_boundary(at(6))
    assert listener.heard[0] == ("undecided", 6)


@pytest.mark.parametrize(
    ("verdict", "may_stop", "ended"),
    [(COLLAPSED, True, True), (COLLAPSED, False, False), (HEALTHY, True, False)],
)
def test_a_run_that_was_stopped_and_lost_its_process_then_does_not_train_on(
    follow: Follow, verdict: Verdict, may_stop: bool, ended: bool
) -> None:
    history: History = [(4, {"loss/total": 1.0})]
    watch, _, _ = follow({4: verdict}, history, training__stop_collapsed=may_stop)
    assert watch.has_ended() is ended


def test_a_run_that_is_no_longer_a_number_is_not_measured(follow: Follow) -> None:
    diverged = Verdict(VerdictKind.DIVERGED, 2, "gradient/norm is nan", "slower")
    watch, _, reported = follow({2: diverged}, training__stop_collapsed=True)
    with watch:
        assert watch.at_boundary(at(2))
    assert reported[0]["kept"] == [2] and "eval/knn_top1" not in reported[0]


def test_a_long_run_is_judged_seldom_but_always_where_it_is_measured(
    follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[int] = []

    def count(history: History, *_: object) -> Verdict:
        judged.append(history[-1][0])
        return UNDECIDED

    # An epoch has 4 steps, so the evaluation is at step 1100.
    every = {"training__epochs": 1000, "evaluation__every_epochs": 275}
    for done, steps in ((0, 100), (1000, 100)):
        history = [(step, {"loss/total": 1.0}) for step in range(1, done + 1)]
        watch, _, _ = follow({}, history, **every)
        monkeypatch.setattr(watching, "judge", count)
        with watch:
            for step in range(done + 1, done + steps + 1):
                watch.at_boundary(at(step))
    assert judged[:100] == list(range(1, 101)), "at first at every logged step"
    assert 9 <= len(judged[100:]) <= 11, "then whenever the history has grown by a hundredth"
    assert judged[100:102] == [1010, 1020], "whether the run was resumed or not"
    assert judged[-1] == 1100, "and where it is measured"


def _ask(rank: int, rendezvous: str, folder: str) -> None:
    dist.init_process_group("gloo", f"file://{rendezvous}", rank=rank, world_size=2)
    stopper = CollapseStopper(True, CPU)
    # The second worker would decide otherwise, if it were asked.
    answers = [
        stopper.ends(COLLAPSED if rank == 0 else None),
        stopper.ends(HEALTHY if rank == 0 else None),
    ]
    Path(folder, str(rank)).write_text(json.dumps(answers))
    dist.destroy_process_group()


@pytest.mark.slow
def test_all_workers_follow_the_first_ones_verdict(tmp_path: Path) -> None:
    arguments = (str(tmp_path / "rendezvous"), str(tmp_path))
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_ask, args=(rank, *arguments)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for rank in "01":
        assert json.loads((tmp_path / rank).read_text()) == [True, False]


def test_a_line_says_what_the_run_was_judged_and_since_when() -> None:
    observer = BoardObserver(None, "t01", 10)
    observer.judged(6, COLLAPSED)
    assert observer.verdict == "collapsed: uniform since step 4"
    observer.judged(8, HEALTHY)
    assert observer.verdict == "healthy"


class Counted(dict[str, float]):
    """Metrics that count how many of their values are read, by all of them together."""

    reads = 0

    def __getitem__(self, name: str) -> float:
        Counted.reads += 1
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        Counted.reads += 1
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        Counted.reads += len(self)
        return super().__iter__()


def test_judging_a_long_run_reads_few_of_its_numbers() -> None:
    teacher = {"teacher/entropy": 2.0, "teacher/mutual_information": 1.0, "teacher/ema_gap": 0.1}
    metrics = Counted(teacher | {f"features/{n}": 1.0 for n in range(60)})
    history = [(step, metrics) for step in range(1, 3001)]
    judge(history, Signals(num_prototypes=1024), 3000)
    assert 0 < Counted.reads < 20 * len(history), "every step has 63 numbers"
