from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poise.cli.study.output import print_forecast
from poise.studies.records import TRIAL_FILE
from poise.studies.study import Study
from poise.sweeps.forecast import forecast
from poise.sweeps.planning import request_study
from poise.sweeps.resumption import find_study
from poise.sweeps.step_time import kind_of, paces_of
from tests.builders import tiny_recipe
from tests.studies.builders import make_record

STEPS = 4  # of every trial


def ablation(space_file: Path, *words: str, name: str = "a") -> Study:
    return request_study(str(space_file), ["seeds=[0,1]", *words], name, "ablate")


@pytest.mark.slow
def test_where_nothing_is_known_a_few_steps_are_carried_out_here(space_file: Path) -> None:
    study = ablation(space_file)
    expected = forecast(study)
    assert [each.steps for each in expected.trials] == [STEPS] * 4
    (pace,) = expected.paces  # a temperature costs nothing
    assert pace.seconds_per_step is not None and pace.seconds_per_step > 0
    assert pace.source.startswith("as 3 steps of 8 images took here on 1 of this machine")
    assert expected.worker_hours == pytest.approx(pace.seconds_per_step * 4 * STEPS / 3600)
    assert not study.folder.exists(), "a forecast leaves something behind"


@pytest.mark.slow
def test_finished_trials_of_its_kind_tell_how_long_a_step_takes(space_file: Path) -> None:
    study = ablation(space_file)
    study.save()
    study.write(make_record("t01-s0", step=STEPS, seconds=8.0))
    expected = forecast(find_study("a", None, command="ablate"))
    assert [each.trial.name for each in expected.trials] == ["t02-s0", "t01-s1", "t02-s1"]
    (pace,) = expected.paces
    assert pace.seconds_per_step == 2.0 and "a finished trial of its kind" in pace.source

    other = forecast(ablation(space_file, name="b"))
    assert other.paces == (pace,), "whichever study they are of"


@pytest.mark.slow
def test_the_pace_is_of_trials_that_trained_to_their_end_and_long_enough(space_file: Path) -> None:
    # An early end divides the start by a few steps: 0.66 s a step where it was 0.36.
    study = ablation(space_file)
    study.save()
    study.write(make_record("t01-s0", state="stopped", step=1, seconds=20.0))
    study.write(make_record("t01-s1", step=STEPS // 2 - 1, seconds=20.0))
    (pace,) = forecast(study).paces
    assert "3 steps of 8 images took here" in pace.source
    study.write(make_record("t02-s0", step=2 * STEPS, seconds=24.0))
    (pace,) = forecast(study).paces
    assert pace.seconds_per_step == 3.0
    assert pace.source.endswith("took, starts and evaluations included")


@pytest.mark.slow
def test_a_trial_that_cannot_be_read_hides_no_other(space_file: Path) -> None:
    study = ablation(space_file)
    study.save()
    for name in ("t01-s0", "t02-s0"):
        study.write(make_record(name, step=STEPS, seconds=8.0))
    (study.trial_folder("t01-s0") / TRIAL_FILE).write_text("{}")
    (pace,) = forecast(ablation(space_file, name="b")).paces
    assert pace.source.startswith("as a finished trial of its kind")


@pytest.mark.slow
def test_a_gpu_that_trials_are_to_use_is_not_tried(
    space_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = ablation(space_file, "training.device=any")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    (pace,) = paces_of([study.recipe], may_use_gpu=False).values()
    assert pace.seconds_per_step is None and "the GPU is left to the trials" in pace.source


@pytest.mark.slow
def test_what_each_kind_of_trial_takes_is_measured_for_itself(space_file: Path) -> None:
    local_views = "parameters.data.views.local_count={choice: [0, 2]}"
    assert len(forecast(ablation(space_file, local_views)).paces) == 2
    prototypes = "parameters.objective.num_prototypes={choice: [32, 64]}"
    assert len(forecast(ablation(space_file, prototypes)).paces) == 2


@pytest.mark.slow
def test_what_decides_how_long_a_step_takes_tells_kinds_of_trials_apart() -> None:
    kind = kind_of(tiny_recipe())
    for alike in ({"objective__student_temp": 0.2}, {"objective__freeze_last_layer_epochs": 0}):
        assert kind_of(tiny_recipe(**alike)) == kind
    for other in (
        {"objective__head": {"num_layers": 1}},
        {"training__precision": "bf16"},
        {"training__compile": True},
        {"training__cpus_per_worker": 2},
    ):
        assert kind_of(tiny_recipe(**other)) != kind


@pytest.mark.slow
def test_what_the_budget_has_no_room_for_is_told_and_nothing_is_written(space_file: Path) -> None:
    for budget, fitting in (
        ("budget.trials=3", 3),
        (f"budget.steps={2 * STEPS + 3}", 2),
        ("budget.trials=4", 4),
    ):
        study = ablation(space_file, budget)
        expected = forecast(study)
        assert (len(expected.trials), len(expected.waiting)) == (fitting, 4 - fitting)
        assert expected.lacks == (budget if fitting < 4 else "")
        assert expected.steps == fitting * STEPS, "sums are of what would run"
        assert not study.folder.exists()


@pytest.mark.slow
def test_hours_that_no_trial_fits_into_are_told_before_any_begins(space_file: Path) -> None:
    # A new study once knew of no pace when it counted, and everything fitted.
    expected = forecast(ablation(space_file, "budget.hours=0.000001"))
    assert (expected.trials, len(expected.waiting)) == ((), 4)
    assert expected.lacks == "budget.hours=1e-06" and expected.steps == 0


@pytest.mark.slow
def test_trials_at_once_share_the_hours_and_the_clock(
    space_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    study = ablation(space_file)
    study.save()
    study.write(make_record("t01-s0", step=STEPS, seconds=360.0))  # a tenth of an hour
    for hours, begin, clock_hours in ((0.05, 0, 0.0), (0.15, 2, 0.1), (1, 3, 0.2)):
        conduct = [f"budget.hours={hours}"]
        expected = forecast(find_study("a", None, conduct, "ablate"))
        assert len(expected.trials) == begin and len(expected.waiting) == 3 - begin
        assert expected.clock_hours == pytest.approx(clock_hours), "the last of three runs alone"
        assert expected.worker_hours == pytest.approx(begin * 0.1)
    alone = forecast(find_study("a", None, ["budget.trials=2", "concurrency=2"], "ablate"))
    assert (len(alone.trials), alone.at_once) == (1, 1), "one of the two began before"
    assert alone.worker_hours == alone.clock_hours == pytest.approx(0.1)


@pytest.mark.slow
def test_it_says_so_where_it_cannot_be_known_here(
    space_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    expected = forecast(ablation(space_file, "training.device=cuda"))
    assert expected.worker_hours is None and expected.clock_hours is None
    assert "this machine has no GPU to try it on" in expected.paces[0].source
    assert expected.steps == 4 * STEPS and expected.disk_bytes > 0


@pytest.mark.slow
def test_disk_is_the_checkpoints_that_are_kept_and_one_registered_package(
    space_file: Path,
) -> None:
    for every, kept in ((1, 2), (STEPS, 1)):
        expected = forecast(ablation(space_file, f"training.checkpoint_every_steps={every}"))
        size = expected.footprint
        assert expected.disk_bytes == 4 * kept * size.checkpoint_bytes + size.package_bytes


@pytest.mark.slow
def test_a_dry_run_tells_what_would_run_what_would_wait_and_how_long_a_step_of_each_kind_takes(
    space_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    views = "parameters.data.views.local_count={choice: [0, 2]}"
    study = ablation(space_file, views, "budget.trials=3")
    study.save()
    for trial, seconds in zip(study.trials[:2], (STEPS, 3 * STEPS), strict=True):
        record = make_record(trial.name, step=STEPS, seconds=seconds)
        study.write(replace(record, trial=trial))
    study = find_study("a", None, command="ablate")
    print_forecast(study, forecast(study))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("waits")] == [
        trial.name for trial in study.trials[3:]
    ]
    told = dict(line.split(maxsplit=1) for line in lines[lines.index("") + 1 :])
    assert told["1"].startswith("to 3 s a step, by settings, as a finished trial of its kind in ")
    assert told["trials"] == "1 of 6, because of the budget, 1 at once"
    assert told["steps"] == f"{STEPS} of 8 images"
    assert told["budget"].startswith("budget.trials=3: 1 of 6 trials fit, 5 would wait for more")
