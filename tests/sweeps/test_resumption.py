import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.config.paths import STUDY_FILE
from poise.data.manifest import MANIFEST_FILE
from poise.studies.study_progress import is_finished, keep_conclusion
from poise.sweeps.extension import extend_study
from poise.sweeps.planning import begin_study
from poise.sweeps.resumption import find_study
from tests.studies.builders import make_record


def test_resuming_finds_the_latest_unfinished_sweep_of_the_space(space_file: Path) -> None:
    with pytest.raises(PoiseError, match="no unfinished study of two: there is none"):
        find_study(None, str(space_file))
    study = begin_study(str(space_file), ["training.epochs=3"], "a")
    assert find_study(None, str(space_file), ["training.epochs=3"]) == study
    assert find_study("a", None) == study
    with pytest.raises(PoiseError, match=r"another recipe's training.epochs \(3 there, 2 here\)"):
        find_study(None, str(space_file))
    with pytest.raises(PoiseError, match="holds no such study; it holds a"):
        find_study("b", None)
    with pytest.raises(PoiseError, match="was begun by `poise sweep`; go on with `poise sweep --r"):
        find_study("a", None, command="ablate")

    study.write(make_record("t01-s0"))
    study.write(make_record("t02-s0", state="failed", verdict=None))
    keep_conclusion(study, study.records())
    assert find_study(None, str(space_file), ["training.epochs=3"]) == study, "t02-s0 is left"
    study.write(make_record("t02-s0"))
    assert find_study(None, str(space_file), ["training.epochs=3"]) == study, "it is not compared"
    keep_conclusion(study, study.records())
    with pytest.raises(PoiseError, match="no unfinished study of two: all 1 are finished"):
        find_study(None, str(space_file), ["training.epochs=3"])


def test_a_study_whose_file_names_the_mode_that_its_metric_has_anyway_is_the_same_study(
    space_file: Path,
) -> None:
    study = begin_study(str(space_file), name="a")
    assert find_study(None, str(space_file), ["mode=max"]).name == study.name


def test_how_a_study_is_carried_out_may_change_and_what_it_is_may_not(space_file: Path) -> None:
    study = begin_study(str(space_file), ["budget.trials=1"], "a")
    assert study.space.budget.trials == 1
    larger = ["budget.trials=2", "budget.hours=0.5", "concurrency=1"]
    for found in (find_study("a", None, larger), find_study(None, str(space_file), larger)):
        assert (found.space.budget.trials, found.space.budget.hours) == (2, 0.5)
        assert found.space.concurrency == 1
    with pytest.raises(PoiseError, match=re.escape("takes no seeds, only budget and concurrency")):
        find_study("a", None, ["seeds=[0,1]"])


@pytest.mark.slow
def test_a_study_of_another_version_is_refused_by_its_name_and_passed_over_without(
    space_file: Path,
) -> None:
    for name, missing, message in (
        ("older", "settings", "it has no 'settings'"),
        ("other", "recipe", "data: Field required"),
    ):
        path = begin_study(str(space_file), name=name).folder / STUDY_FILE
        content = json.loads(path.read_text())
        if missing == "recipe":
            del content[missing]["data"]
        else:
            del content[missing]
        path.write_text(json.dumps(content))
        with pytest.raises(PoiseError, match=re.escape(f"{path}: was written by")) as refused:
            find_study(name, None)
        assert message in str(refused.value)
    with pytest.raises(PoiseError, match=r"cannot be read: .*older"):
        find_study(None, str(space_file))
    study = begin_study(str(space_file), name="a")
    assert find_study(None, str(space_file)) == study


def test_a_study_that_was_killed_before_it_compared_its_last_trials_is_not_finished(
    space_file: Path,
) -> None:
    # The report of its first trials, or one that a person had asked for while it trained, once
    # counted as the comparison of all: a better trial that came later was never registered.
    study = begin_study(str(space_file), ["budget.trials=1"], "a")
    study.write(make_record("t01-s0", knn=30.0))
    keep_conclusion(study, study.records())
    study.write(make_record("t02-s0", knn=50.0))
    (study.folder / "report.html").touch()
    assert not is_finished(study)
    assert find_study(None, str(space_file)).name == "a"
    keep_conclusion(study, study.records())
    assert is_finished(study)


@pytest.mark.slow
@pytest.mark.parametrize("replaced", ["train", "test"])
def test_a_study_whose_dataset_was_replaced_is_neither_resumed_nor_extended(
    space_file: Path, replaced: str
) -> None:
    # Its path was compared, and its report then claimed that the new images made every trial.
    begin_study(str(space_file), name="a")
    manifest = space_file.parent / replaced / MANIFEST_FILE
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"fingerprint": "another"}))
    message = f"{replaced}: its images or labels are not those that study a began with"
    with pytest.raises(PoiseError, match=message):
        find_study("a", None)
    with pytest.raises(PoiseError, match=message):
        find_study(None, str(space_file))
    with pytest.raises(PoiseError, match=message):
        extend_study("a", None, ["seeds=[0,1]"])


def test_a_study_of_an_older_version_is_resumed_and_its_datasets_are_known_from_then_on(
    space_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = begin_study(str(space_file), name="a")
    replace(study, datasets={}).save()
    with caplog.at_level(logging.INFO, logger="poise"):
        assert find_study("a", None).datasets == study.datasets
    assert "Poise assumes that its datasets have not changed" in caplog.text


def test_datasets_that_trials_vary_are_known_too(space_file: Path) -> None:
    both = [str(space_file.parent / name) for name in ("train", "test")]
    varied = f"parameters.data.dataset={{grid_search: {both}}}"
    study = begin_study(str(space_file), [varied, "training.batch_size=2"], "a")
    assert set(study.datasets) == set(both)


def test_a_renamed_study_is_resumed_under_its_new_name(space_file: Path) -> None:
    # It was unknown to `report`, and `--resume` trained all of it again.
    study = begin_study(str(space_file), name="before")
    study.write(make_record("t01-s0", checkpoint=str(study.trial_folder("t01-s0") / "c1")))
    study.folder.rename(study.folder.with_name("after"))
    found = find_study("after", None)
    assert (found.name, found.folder) == ("after", study.folder.with_name("after"))
    (record,) = found.records()
    assert record.checkpoint == str(found.trial_folder("t01-s0") / "c1")
    with pytest.raises(PoiseError, match="holds no such study; it holds after"):
        find_study("before", None)
