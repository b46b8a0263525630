"""An ablation on a real Ray cluster and a real MLflow store."""

from pathlib import Path

import pytest

from poise.sweeps.extension import extend_study
from poise.sweeps.planning import begin_study
from poise.sweeps.runner import run_study
from poise.tracking.store import open_store
from tests.integration.test_sweep import folder, runs_by_name, write_space
from tests.studies.builders import TEMPERATURE

__all__ = ["folder"]  # a fixture

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.mark.heavy
def test_a_budget_ends_an_ablation_and_extending_it_runs_what_is_left_and_what_is_new(
    folder: Path, poise_home: Path, ray_cluster: None
) -> None:
    parameters = {TEMPERATURE: {"grid_search": [0.04, 0.2]}}
    space = write_space(folder, "ablation", parameters=parameters, seeds=[0, 1], concurrency=2)
    first = run_study(begin_study(str(space), ["budget.trials=3"], "a", "ablate"))
    assert [record.trial.name for record in first.records] == ["t01-s0", "t01-s1", "t02-s0"]
    assert (first.lacks, first.num_waiting) == ("budget.trials=3", 1)
    done = {
        record.trial.name: (poise_home / "a" / record.trial.name / "trial.json").read_bytes()
        for record in first.records
        if record.is_done
    }
    assert len(done) == 3

    more = ["seeds=[0,1,2]", "budget.trials=null"]
    second = run_study(extend_study("a", None, more, "ablate"))
    assert [record.trial.name for record in second.records] == [
        f"t0{setting}-s{seed}" for setting in (1, 2) for seed in (0, 1, 2)
    ]
    assert second.num_waiting == 0 and all(record.is_done for record in second.records)
    for name, content in done.items():
        assert (poise_home / "a" / name / "trial.json").read_bytes() == content
    runs = runs_by_name(open_store())
    assert {runs[name][1] for name in done} == {"1"}, "a finished trial began again"
