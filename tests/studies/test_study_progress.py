"""What a report says of a study that is not over."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poise.config.files import write_json
from poise.config.loading import override_space
from poise.reports.study.markdown import render_markdown
from poise.reports.study.page import render_page
from poise.studies.analysis.cost import cost
from poise.studies.findings.caveats import notes_on
from poise.studies.findings.comparison import compare
from poise.studies.findings.findings import find
from poise.studies.records import TrialRecord
from poise.studies.study import Study
from poise.studies.study_progress import as_they_stand, resume_words, standing
from poise.studies.time_budget import CLOCK_FILE
from tests.studies.builders import TEMPERATURE, make_space, make_study
from tests.studies.samples import SINGLE, answered, seeded, trial_record

VALUES = [0.04, 0.05, 0.06, 0.07]


def study(seeds: int = 2, **changes: Any) -> Study:
    """An ablation of four settings."""
    parameters = {TEMPERATURE: {"grid_search": VALUES}}
    return make_study(make_space(parameters, seeds=range(seeds), **changes), "ablate")


def interrupted(setting: int, seed: int) -> TrialRecord:
    return trial_record(setting, seed, None, None, state="interrupted", step=16)


def test_what_is_left_is_counted_and_how_to_go_on_is_told() -> None:
    records = [*seeded(0, [20.0, 21.0]), *seeded(1, [20.0, 21.0]), trial_record(2, 0, 20.0)]
    begun = [*records, interrupted(2, 1), interrupted(3, 0)]
    assert standing(study(), begun).sentence == (
        "5 of 8 trials are complete. Of the other trials, 2 were interrupted and 1 has not begun. "
        "To continue, run `poise ablate --resume s`."
    )
    over = [*records, trial_record(2, 1, 20.0), *seeded(3, [20.0, 21.0])]
    assert standing(study(), over).is_over and standing(study(), over).sentence == ""
    failed = [*over[:-1], trial_record(3, 1, None, None, state="failed")]
    assert (
        "7 of 8 trials are complete. Of the other trials, 1 ended with an error. To continue"
        in standing(study(), failed).sentence
    )
    assert standing(study(), failed).is_over


def test_of_a_study_that_runs_nothing_was_interrupted_and_nobody_is_told_to_go_on() -> None:
    # Asked for a report while it ran, it was called interrupted, with a command that was refused.
    records = [*seeded(0, [20.0, 21.0]), replace(interrupted(1, 0), state="running")]
    running = standing(study(), records, is_running=True)
    assert running.sentence == (
        "The study is running. 2 of 8 trials are complete. Of the other trials, 1 is running and 5 "
        "have not begun."
    )
    notes = notes_on(study(), records, compare(study(), records, is_running=True))
    assert (
        "1 of 8 trials is running (t02-s0). The means and differences use the other trials."
        in notes
    )
    assert records[-1].outcome == "running"
    (*_, found) = as_they_stand(records, is_running=False)
    assert (found.state, found.outcome) == ("interrupted", "interrupted")


def test_a_study_that_is_between_two_trials_runs_as_well() -> None:
    over = [record for setting in range(4) for record in seeded(setting, [20.0, 21.0])]
    assert standing(study(), over, is_running=True).sentence == (
        "The study is running. 8 of 8 trials are complete."
    )


def test_a_budget_that_is_spent_is_raised_to_go_on() -> None:
    found = standing(study(budget={"trials": 1}), [trial_record(0, 0, 20.0)])
    assert found.go_on == "poise ablate --resume s budget.trials=8"


def test_of_steps_it_takes_what_is_done_and_all_that_is_planned_for_the_rest() -> None:
    records = [trial_record(0, 0, 20.0, SINGLE, state="stopped", step=60), interrupted(1, 0)]
    assert standing(study(budget={"steps": 200}), records).go_on.endswith(" budget.steps=760")
    assert standing(study(budget={"steps": 760}), records).go_on == "poise ablate --resume s"


def test_a_limit_of_which_nobody_knows_how_much_is_enough_is_lifted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It said budget.hours=MORE, which is no number.
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    limited, records = study(budget={"hours": 1}), [trial_record(0, 0, 20.0)]
    assert standing(limited, records).go_on == "poise ablate --resume s"
    words = resume_words(limited, records, lacks="budget.hours=1")
    assert words == "ablate --resume s budget.hours=null"
    assert override_space(limited.space, words.split()[3:], "").budget.hours is None
    limited.folder.mkdir()
    write_json(limited.folder / CLOCK_FILE, {"seconds": 3600})
    assert standing(limited, records).go_on == f"poise {words}"


@pytest.mark.parametrize("render", [render_markdown, render_page])
def test_a_report_of_an_unfinished_study_begins_with_that(render: Any) -> None:
    text = render(find(study(), [trial_record(0, 0, 20.0)], {}))
    place = text.index("7 have not begun")
    assert "poise ablate --resume s" in text[place : place + 120]
    assert place < text.index("The best setting so far is t01")


def told(records: list[TrialRecord]) -> tuple[str, str]:
    return answered(study(), records)


def test_what_has_not_happened_yet_is_no_result() -> None:
    _, best = told([trial_record(0, 0, 20.0), interrupted(0, 1)])
    assert best.startswith(
        "The best setting so far is t01 (teacher_temp=0.04), the baseline. Its k-NN accuracy is 20"
    )
    _, best = told([interrupted(0, 0)])
    assert best == "So no setting can be recommended yet."
    collapse, best = told([trial_record(0, 0, 20.0, SINGLE)])
    assert best == "No setting is healthy in all its seeds yet, so none is recommended."
    assert collapse == "So far, the only trial collapsed to a single prototype."
    collapse, _ = told([trial_record(0, 0, 20.0, SINGLE), trial_record(1, 0, 20.0)])
    assert collapse.startswith("So far, the only trial with teacher_temp = 0.04 collapsed")


def test_failures_are_told_from_interruptions() -> None:
    failed = trial_record(0, 1, None, None, state="failed")
    records = [trial_record(0, 0, 20.0), failed, interrupted(1, 0)]
    told = " ".join(notes_on(study(), records, compare(study(), records)))
    assert (
        "1 of 8 trials ended with an error (t01-s1) and 1 was interrupted (t02-s0). The means and"
        in told
    )


def test_all_trials_of_the_study_are_planned_not_only_those_that_began() -> None:
    records = [trial_record(0, 0, 20.0), replace(interrupted(0, 1), total_steps=0)]
    found = cost(study(), records)
    assert (found.steps, found.total_steps) == (116, 800)
