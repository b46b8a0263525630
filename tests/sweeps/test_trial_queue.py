import builtins
import logging
import re
from typing import Any

import pytest

from poise.config import PoiseError
from poise.config.values import canonical
from poise.diagnostics.judge import VerdictKind
from poise.studies.records import TrialRecord
from poise.studies.study import count_trials
from poise.sweeps.trial_queue import trial_queue
from tests.studies.builders import TEMPERATURE, make_record, make_space, make_study


def test_optuna_learns_the_mean_over_seeds_also_of_what_was_measured_before() -> None:
    pytest.importorskip("optuna")
    space = make_space(
        {TEMPERATURE: {"uniform": [0.02, 0.1]}}, trials=3, seeds=[0, 1], searcher={"name": "optuna"}
    )
    source: Any = trial_queue(make_study(space), [])
    first, second = source.next_trial(), source.next_trial()
    assert (first.settings, first.seed, second.seed) == (second.settings, 0, 1)
    records = [
        make_record("t01-s0", 20.0, trial=first),
        make_record("t01-s1", trial=second, state="running", verdict=None),
    ]

    resumed: Any = trial_queue(make_study(space), records)
    names = [trial.name for trial in iter(resumed.next_trial, None)]
    assert names == ["t01-s1", "t02-s0", "t02-s1", "t03-s0", "t03-s1"]
    resumed.learn(make_record("t01-s1", 30.0, trial=second))
    (told,) = [trial for trial in resumed._sampler.study.trials if trial.value is not None]
    assert told.value == 25.0
    assert told.params == first.settings


def test_a_searcher_that_is_not_installed_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = builtins.__import__

    def without_optuna(name: str, *arguments: Any) -> Any:
        if name == "optuna":
            raise ModuleNotFoundError(name)
        return found(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_optuna)
    with pytest.raises(PoiseError, match=re.escape("pip install 'poise[optuna]'")):
        trial_queue(make_study(make_space(searcher={"name": "optuna"})), [])


def test_optuna_weighs_several_goals_also_of_what_was_measured_before() -> None:
    pytest.importorskip("optuna")
    goals = {"metric": ["eval/knn_top1", "throughput/s_per_step"], "mode": ["max", "min"]}
    space = make_space(
        {TEMPERATURE: {"uniform": [0.02, 0.1]}}, trials=4, searcher={"name": "optuna"}, **goals
    )
    study = make_study(space)
    source: Any = trial_queue(study, [])
    first, second = source.next_trial(), source.next_trial()
    records = [
        make_record(
            first.name, trial=first, metrics=dict(zip(goals["metric"], (40, 2), strict=True))
        ),
        make_record(second.name, trial=second, metrics={}),
    ]
    resumed: Any = trial_queue(study, records)
    assert resumed.next_trial().setting == 2
    told = resumed._sampler.study.trials
    assert [trial.params for trial in told[:2]] == [first.settings, second.settings]
    assert told[0].values == [40, 2]
    assert [trial.state.name for trial in told] == ["COMPLETE", "FAIL", "RUNNING"]
    assert [trial.number for trial in resumed._sampler.study.best_trials] == [0]


def test_a_setting_that_was_lost_before_it_left_a_record_is_suggested_anew() -> None:
    # A process killed while its second trial imported its libraries once left the study with one
    # setting fewer for ever, and with the offer to resume it.
    pytest.importorskip("optuna")
    points = [{TEMPERATURE: value} for value in (0.03, 0.04, 0.05)]
    searcher = {"name": "optuna", "options": {"points_to_evaluate": points}}
    space = make_space({TEMPERATURE: {"uniform": [0.02, 0.1]}}, trials=5, searcher=searcher)
    study = make_study(space)
    source: Any = trial_queue(study, [])
    first, second, lost, fourth = (source.next_trial() for _ in range(4))
    assert lost.settings == points[2]
    records = [make_record(trial.name, 20.0, trial=trial) for trial in (first, second, fourth)]

    resumed: Any = trial_queue(study, records)
    again, fifth = iter(resumed.next_trial, None)
    assert (again.name, again.settings) == (lost.name, points[2])
    resumed.learn(make_record(again.name, 50.0, trial=again))
    assert resumed._sampler.study.best_trial.params == lost.settings

    records += [make_record(trial.name, 20.0, trial=trial) for trial in (again, fifth)]
    assert trial_queue(study, records).next_trial() is None


def test_a_resumed_study_draws_other_settings_than_those_that_it_has_tried() -> None:
    # Optuna draws nothing for what it is asked to suggest first: with the study's own seed, the
    # third setting of a resumed study was its first one once more.
    pytest.importorskip("optuna")
    space = make_space(
        {TEMPERATURE: {"uniform": [0.02, 0.1]}}, trials=6, searcher={"name": "optuna"}
    )
    records: list[TrialRecord] = []
    for _ in range(3):  # resumed after every second trial
        source = trial_queue(make_study(space), records)
        for _ in range(2):
            trial = source.next_trial()
            assert trial is not None
            records.append(make_record(trial.name, 20.0, trial=trial))
    assert len({record.trial.settings[TEMPERATURE] for record in records}) == 6


def test_optuna_is_handed_what_it_takes_for_a_space_so_that_ray_does_not_warn(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first lines of a study's dry run once said that its space was not fully configured.
    pytest.importorskip("optuna")
    monkeypatch.setattr(logging.getLogger("ray"), "propagate", True)
    parameters = {
        TEMPERATURE: {"loguniform": [0.02, 0.1]},
        "optimizer.weight_decay": {"uniform": [0.0, 0.1]},
        "backbone.depth": {"randint": [2, 6]},
        "objective.center": {"choice": [True, False]},
    }
    space = make_space(parameters, trials=3, searcher={"name": "optuna"})
    trial = trial_queue(make_study(space), []).next_trial()
    assert trial is not None and trial.settings.keys() == parameters.keys()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({TEMPERATURE: {"choice": [0.03, 0.04, 0.05]}}, 3),
        ({TEMPERATURE: {"quniform": [0.03, 0.09, 0.01]}}, 7),
        ({TEMPERATURE: {"choice": [0.03, 0.04]}, "backbone.num_registers": {"randint": [0, 4]}}, 8),
        ({"data.views.local_scale": {"choice": [[0.05, 0.2], [0.1, 0.4]]}}, 2),
    ],
)
@pytest.mark.parametrize("stop_every", [1, 2, 100])
def test_optuna_trains_no_setting_twice_and_all_there_are_where_those_are_few(
    parameters: dict[str, Any], expected: int, stop_every: int
) -> None:
    # Six of ten trials once trained what others had trained before them.
    pytest.importorskip("optuna")
    study = make_study(make_space(parameters, trials=10, searcher={"name": "optuna"}))
    assert count_trials(study) == expected
    records: list[TrialRecord] = []
    while True:
        source = trial_queue(study, records)
        before = len(records)
        for _ in range(stop_every):
            trial = source.next_trial()
            if trial is None:
                break
            figure = float(trial.setting == 1)  # one that Optuna would try again and again
            records.append(make_record(trial.name, figure, trial=trial))
            source.learn(records[-1])
        if len(records) == before:
            break
    tried = [canonical(record.trial.settings) for record in records]
    assert len(tried) == len(set(tried)) == expected


def test_optuna_learns_the_results_of_a_study_that_is_extended() -> None:
    pytest.importorskip("optuna")
    parameters = {TEMPERATURE: {"choice": [0.03, 0.04, 0.05, 0.06]}}
    few = make_study(make_space(parameters, trials=2, searcher={"name": "optuna"}))
    records = [
        make_record(trial.name, 20.0 + trial.setting, trial=trial)
        for trial in iter(trial_queue(few, []).next_trial, None)
    ]
    more = make_study(make_space(parameters, trials=4, searcher={"name": "optuna"}))
    source: Any = trial_queue(more, records)
    assert [trial.value for trial in source._sampler.study.trials] == [20.0, 21.0]
    new = [trial.settings[TEMPERATURE] for trial in iter(source.next_trial, None)]
    known = [record.trial.settings[TEMPERATURE] for record in records]
    assert sorted(known + new) == [0.03, 0.04, 0.05, 0.06]


@pytest.mark.parametrize("goals", [1, 2])
def test_optuna_takes_a_collapse_for_the_worst_however_low_its_loss(goals: int) -> None:
    """Told its loss, it would look for collapses: 29 of the last 40 settings here."""
    pytest.importorskip("optuna")
    space = make_space(
        {TEMPERATURE: {"uniform": [0.02, 0.1]}},
        metric=["loss/total", "throughput/s_per_step"][:goals],
        mode="min",
        trials=50,
        searcher={"name": "optuna"},
    )
    source: Any = trial_queue(make_study(space), [])
    collapses = []
    for trial in iter(source.next_trial, None):
        distance = trial.settings[TEMPERATURE] - 0.06
        collapses.append(distance < 0)
        kind = VerdictKind.SINGLE_PROTOTYPE if collapses[-1] else VerdictKind.HEALTHY
        loss = 0.01 if collapses[-1] else 3 + abs(distance - 0.02)
        figures = {"loss/total": loss, "throughput/s_per_step": loss}
        source.learn(make_record(trial.name, kind=kind, trial=trial, metrics=figures))
    assert 0 < sum(collapses[:10]) < 10
    assert sum(collapses[10:]) <= 10
    assert "COMPLETE" not in {
        told.state.name
        for told, collapsed in zip(source._sampler.study.trials, collapses, strict=True)
        if collapsed
    }
