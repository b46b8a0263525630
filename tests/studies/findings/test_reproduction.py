"""The command that gives a study as it is now."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poise.reports.study.markdown import render_markdown
from poise.reports.study.page import render_page
from poise.studies.findings.findings import RunFacts, find
from poise.studies.findings.reproduction import UsedDataset, reproduction
from poise.sweeps.planning import read_study
from tests.studies.builders import TEMPERATURE, make_space, make_study, watched_recipe
from tests.studies.samples import seeded, trial_record


def command(overrides: tuple[str, ...], num_ended: int, **changes: Any) -> str:
    """Of an ablation of two settings and three seeds."""
    space = make_space({TEMPERATURE: {"grid_search": [0.04, 0.07]}}, seeds=[0, 1, 2], **changes)
    study = replace(make_study(space, "ablate"), overrides=overrides)
    records = [*seeded(0, [20.0] * 3), *seeded(1, [20.0] * 3)][:num_ended]
    return reproduction(study, records, {}, {}).command


def test_a_key_that_was_given_again_is_named_once() -> None:
    seeds = ("seeds=[0,1]", "training.epochs=2", "seeds=[0,1,2]")
    assert command(seeds, 6) == "poise ablate tiny.yaml training.epochs=2 'seeds=[0,1,2]'"
    given = ("parameters.a.b={choice: [1]}", "parameters={a.b: {choice: [2]}}")
    assert command(given, 6) == "poise ablate tiny.yaml 'parameters={a.b: {choice: [2]}}'"


def test_a_budget_that_stops_nothing_is_not_named() -> None:
    given = ("budget.trials=3", "seeds=[0,1,2]")
    assert command(given, 6, budget={"trials": 3}) == "poise ablate tiny.yaml 'seeds=[0,1,2]'"


def test_a_budget_that_left_trials_out_is_named_as_it_is_now() -> None:
    raised = {"trials": 4, "hours": 1.5}
    assert command(("budget.trials=3",), 4, budget=raised) == (
        "poise ablate tiny.yaml budget.trials=4 budget.hours=1.5"
    )


def test_a_budget_of_the_file_that_was_raised_is_named(space_file: Path) -> None:
    text = space_file.read_text()
    space_file.write_text(f"{text}budget: {{trials: 3}}\n")
    study = read_study(str(space_file), ["seeds=[0,1,2]"], "s", "ablate")
    records = [*seeded(0, [20.0] * 3), *seeded(1, [20.0] * 3)]
    assert reproduction(study, records, {}, {}).overrides == ("seeds=[0,1,2]",)
    budget = study.space.budget.model_copy(update={"trials": 6})
    raised = replace(study, space=study.space.model_copy(update={"budget": budget}))
    assert reproduction(raised, records, {}, {}).overrides == ("seeds=[0,1,2]", "budget.trials=6")


def test_seeds_are_those_that_ran() -> None:
    records = [trial_record(0, seed, 20.0) for seed in (2, 0)]
    assert reproduction(make_study(), records, {}, {}).seeds == (0, 2)


def test_every_set_that_figures_depend_on_is_told_with_its_fingerprint() -> None:
    recipe = watched_recipe(evaluation__bank="data/bank")
    study = replace(make_study(), recipe=recipe)
    tags = {"poise.dataset_fingerprint": "1d", "poise.queries_fingerprint": "2d"}
    found = find(study, [trial_record(0, 0, 20.0)], {}, run=RunFacts(tags))
    assert found.reproduction.datasets == (
        UsedDataset("dataset", "nowhere", "1d"),
        UsedDataset("queries", "nowhere", "2d"),
        UsedDataset("bank", "data/bank", ""),
    )
    told, page = render_markdown(found), render_page(found)
    assert "- queries: `nowhere`, fingerprint `2d`\n- bank: `data/bank`\n" in told
    assert "<dt>queries</dt><dd><code>nowhere</code>, fingerprint <code>2d</code></dd>" in page
    assert "<dt>bank</dt><dd><code>data/bank</code></dd>" in page


@pytest.mark.parametrize(("dirty", "words"), [("true", "with"), ("false", "with no")])
def test_the_commit_is_told_and_whether_files_differed_from_it(dirty: str, words: str) -> None:
    tags = {"mlflow.source.git.commit": "40c53", "poise.git_dirty": dirty}
    found = find(make_study(), [trial_record(0, 0, 20.0)], {}, run=RunFacts(tags))
    assert f"- commit: `40c53`, {words} uncommitted changes\n" in render_markdown(found)
    assert f"<code>40c53</code>, {words} uncommitted changes</dd>" in render_page(found)
    unknown = find(make_study(), [trial_record(0, 0, 20.0)], {})
    assert "commit" not in render_markdown(unknown) and "<dt>commit" not in render_page(unknown)


def test_probes_that_are_switched_off_depend_on_no_set() -> None:
    study = replace(make_study(), recipe=watched_recipe(evaluation__every_epochs=None))
    assert [each.role for each in reproduction(study, [], {}, {}).datasets] == ["dataset"]
