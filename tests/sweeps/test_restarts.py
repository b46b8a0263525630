"""Trials whose processes die, in the place of Tune's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle
from ray.exceptions import RayTaskError

from poise.config import PoiseError
from poise.studies.study import Study
from poise.sweeps.restarts import DEATHS_WITHOUT_PROGRESS, Restarts
from poise.training.checkpoint import RUN_FILE, STATE_FILE
from poise.training.progress_watch import Pause
from tests.studies.builders import make_record, make_space, make_study


@dataclass
class TuneTrial:
    """What Tune keeps of a trial, with Tune's rule for a restart."""

    config: dict[str, Any]
    max_failures: int = DEATHS_WITHOUT_PROGRESS
    num_failures: int = 0
    pickled_error_file: str | None = None

    def restarts_after_a_death(self, restarts: Restarts, by_preemption: bool = False) -> bool:
        self.num_failures += 0 if by_preemption else 1
        if self.num_failures > self.max_failures:
            return False
        restarts.on_trial_recover(0, [self], self)
        restarts.on_step_begin(0, [self])
        return True


@pytest.fixture
def study(poise_home: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(Pause, "every_s", 0.0)
    return make_study(make_space())


@pytest.fixture
def trial(study: Study) -> TuneTrial:
    return TuneTrial(make_record("t01-s0").trial.as_config())


def save_checkpoint(study: Study, number: int) -> None:
    folder = study.trial_folder("t01-s0") / f"checkpoint_{number}"
    folder.mkdir(parents=True)
    for file in (RUN_FILE, STATE_FILE):
        (folder / file).touch()


def test_a_trial_restarts_as_often_as_it_makes_progress(study: Study, trial: TuneTrial) -> None:
    # On spot nodes, a trial that lost two nodes in its whole life was taken for one that has too
    # little memory.
    restarts = Restarts(study)
    for number in range(5):
        assert trial.restarts_after_a_death(restarts)
        save_checkpoint(study, number)
        restarts.on_step_begin(0, [trial])
    assert trial.restarts_after_a_death(restarts)


def test_a_trial_that_dies_twice_without_a_new_checkpoint_is_given_up(
    study: Study, trial: TuneTrial
) -> None:
    restarts = Restarts(study)
    save_checkpoint(study, 1)
    assert trial.restarts_after_a_death(restarts)
    assert trial.restarts_after_a_death(restarts, by_preemption=True), "Tune does not count it"
    assert not trial.restarts_after_a_death(restarts)


def test_a_study_ends_if_a_trial_could_not_even_write_its_record(
    study: Study, trial: TuneTrial, tmp_path: Path
) -> None:
    # Each node had a folder of this name on its own disk. The trials were called out of memory.
    cause = PoiseError("/scratch/runs/s: is not shared")
    error = RayTaskError("train", "a traceback", cause).as_instanceof_cause()
    trial.pickled_error_file = str(tmp_path / "error.pkl")
    Path(trial.pickled_error_file).write_bytes(cloudpickle.dumps(error))
    with pytest.raises(PoiseError, match=r"^/scratch/runs/s: is not shared$"):
        trial.restarts_after_a_death(Restarts(study))
    with pytest.raises(PoiseError):
        Restarts(study).on_trial_error(0, [trial], trial)


def test_a_trial_whose_error_cannot_be_read_restarts(
    study: Study, trial: TuneTrial, tmp_path: Path
) -> None:
    trial.pickled_error_file = str(tmp_path / "error.pkl")
    needs_a_library_of_the_node = b"ca_library_of_the_node\nSomeError\n."
    Path(trial.pickled_error_file).write_bytes(needs_a_library_of_the_node)
    with pytest.raises(ModuleNotFoundError):
        cloudpickle.loads(needs_a_library_of_the_node)
    assert trial.restarts_after_a_death(Restarts(study))
