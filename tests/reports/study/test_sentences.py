"""No sentence of a report is long: somebody tired must understand it at the first reading."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from poise.diagnostics.judge import VerdictKind
from poise.diagnostics.judge.advice import DIVERGED, PREDICTS_MEAN, STUCK, UNDECIDED, collapsed
from poise.diagnostics.judge.teacher_schedule import TeacherSchedule
from poise.reports.page.page_elements import Section
from poise.reports.study.course_sentences import dashes
from poise.reports.study.markdown import render_markdown
from poise.reports.study.sections import SECTIONS
from poise.reports.study.sections.training import training
from poise.reports.study.sentences import advised, as_in_baseline, how_sure, since
from poise.reports.study.terms import terms
from poise.studies.analysis.dose_response import DoseResponse
from poise.studies.findings.advice import Advice
from poise.studies.findings.comparison import compare
from poise.studies.findings.findings import Findings, find
from poise.studies.records import Change, TrialRecord
from poise.studies.study import Study
from tests.studies.builders import TEMPERATURE, make_space, make_study
from tests.studies.invented import (
    CENTERING,
    invented_space,
    invented_study,
    invented_trials,
)
from tests.studies.samples import (
    CENTER,
    METRIC,
    SINGLE,
    UNIFORM,
    entropy_history,
    grid_records,
    grid_study,
    seeded,
    swept,
    trial_record,
)

MOST_WORDS = 30
FOUR = {
    CENTER: [0.9, 0.99, 1.0],
    TEMPERATURE: (0.02, 0.2),
    "objective.teacher_momentum": (0.9, 0.9999),
    "backbone.num_registers": [0, 2, 4, 8],
    "objective.freeze_last_layer_epochs": [0, 1, 2],
}

Invented = tuple[Study, list[TrialRecord]]


def fate(settings: Any) -> bool:
    return bool(settings[CENTER] == 1 or settings[TEMPERATURE] > 0.1)


def mixed(study: Study, records: list[TrialRecord]) -> Invented:
    """Every state and every kind of verdict, one after another."""
    kinds = list(VerdictKind)
    changed = []
    for n, record in enumerate(records):
        assert record.verdict is not None
        changed.append(replace(record, verdict=replace(record.verdict, kind=kinds[n % len(kinds)])))
    changed[0] = replace(changed[0], state="failed", verdict=None, metrics={}, reason="no memory")
    changed[1] = replace(changed[1], state="interrupted", verdict=None, metrics={})
    changed[3] = replace(changed[3], state="stopped", stopped_by="asha")
    return study, changed


def one_at_a_time(num: int) -> Invented:
    values = [0.04, *(0.05 + n / 100 for n in range(num))]
    space = make_space(
        {TEMPERATURE: {"grid_search": values}, CENTER: {"grid_search": [0.9, 1.0]}},
        design="one_at_a_time", baseline={TEMPERATURE: 0.04, CENTER: 0.9}, seeds=[0, 1, 2],
    )  # fmt: skip
    study = make_study(space, "ablate")
    records = []
    for number, settings in enumerate(study.settings):
        lost = settings[TEMPERATURE] > 0.06 or settings[CENTER] == 1
        records += seeded(number, [20.0, 21.0 + number, 22.0], SINGLE if lost else "healthy",  # type: ignore[arg-type]
                          settings=settings)  # fmt: skip
    return study, records


def exchanged() -> Invented:
    study, records = swept(FOUR, fate, 12, 3, scheduler={"name": "pbt"})
    change = Change(40, "t01-s0", "/there", {CENTER: 0.9})
    return study, [replace(record, changes=(change,)) for record in records]


def of_two_goals() -> Invented:
    space = make_space(metric=[METRIC, "eval/rankme"], mode=["max", "max"], seeds=[0, 1, 2])
    records = [
        trial_record(n, seed, metrics={METRIC: 20.0 + n, "eval/rankme": 90.0 - n + seed})
        for n in range(9)
        for seed in range(3)
    ]
    return make_study(space), records


STUDIES: dict[str, Callable[[], Invented]] = {
    "grid": lambda: (grid_study(), grid_records()),
    "grid, one seed": lambda: (grid_study(), grid_records()[::3]),
    "grid, half done": lambda: (grid_study(), grid_records()[:7]),
    "grid with curves": lambda: invented(2, 2, 3),
    "many values": lambda: invented(4, 5, 2),
    "sweep": lambda: swept(FOUR, fate, 24),
    "sweep, three seeds": lambda: swept(FOUR, fate, 12, 3),
    "small sweep": lambda: swept(FOUR, fate, 4),
    "nothing explains it": lambda: swept(FOUR, lambda s: str(s[TEMPERATURE])[7] in "13579", 24),
    "all healthy": lambda: swept(FOUR, lambda s: False, 12, 3),
    "all collapsed": lambda: swept(FOUR, lambda s: True, 12, 3),
    "optuna": lambda: swept(FOUR, fate, 12, 3, searcher={"name": "optuna"}),
    "every kind": lambda: mixed(*swept(FOUR, fate, 12, 3, scheduler={"name": "asha"})),
    "exchanged": exchanged,
    "two goals": of_two_goals,
    "three changes": lambda: one_at_a_time(2),
    "nine changes": lambda: one_at_a_time(8),
    "one setting": lambda: (make_study(), seeded(0, [20.0, 21.0]) + seeded(1, [9.0], UNIFORM)),
    "nothing": lambda: (make_study(), []),
}


def invented(centering: int, temperature: int, seeds: int) -> Invented:
    space = invented_space((centering, temperature), seeds,
                           baseline={CENTERING: 0.9, TEMPERATURE: 0.04})  # fmt: skip
    return invented_study(space), invented_trials(space, 10)[0]


def texts_of(section: Section) -> Iterator[str]:
    yield from (section.title, *section.paragraphs, *section.notes)
    if section.table is not None:
        yield section.table.caption
    for chart in section.charts:
        yield from (chart.caption, chart.table.caption)


def texts(findings: Findings) -> Iterator[str]:
    yield from (*findings.answer, *findings.notes, *map(advised, findings.advice))
    for make in SECTIONS:
        section = make(findings)
        if section is not None:
            yield from texts_of(section)
    for line in render_markdown(findings).partition("## How to reproduce")[0].splitlines():
        if not line.startswith(("|", "#")):
            yield line


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.?!:])\s+(?=[A-Z“0-9])", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_no_sentence_of_a_report_has_more_than_thirty_words(name: str) -> None:
    study, records = STUDIES[name]()
    findings = find(study, records, {})
    found = [sentence for text in texts(findings) for sentence in sentences(text)]
    assert len(found) > 5
    long = [sentence for sentence in found if len(sentence.split()) > MOST_WORDS]
    assert not long
    assert not [text for text in findings.answer if "  " in text or not text.endswith(".")]


def test_no_advice_has_a_sentence_of_more_than_thirty_words() -> None:
    kinds = [kind for kind in VerdictKind if kind.startswith("collapsed")]
    fast = TeacherSchedule(first_momentum=(1, 0.0))
    of_kinds = [
        collapsed(kind, False, schedule)
        for kind in kinds
        for schedule in (TeacherSchedule(), fast)
        if kind is not VerdictKind.PREDICTS_MEAN
    ]
    for text in (DIVERGED, PREDICTS_MEAN, STUCK, UNDECIDED, *of_kinds):
        told = advised(Advice(text, tuple(f"t{n:02d}" for n in range(20))))
        assert all(len(each.split()) <= MOST_WORDS for each in sentences(told)), told


def test_brackets_show_which_values_of_an_advice_belong_to_one_setting() -> None:
    assert advised(Advice("Rest.", ("a=1, b=2", "a=2, b=2"))) == (
        "For the settings (a=1, b=2) and (a=2, b=2): Rest."
    )
    assert advised(Advice("Rest.", ("a=1, b=2",))) == "For the setting a=1, b=2: Rest."
    assert advised(Advice("Rest.", ("t02", "t04"))) == "For the settings t02 and t04: Rest."


def test_an_advice_for_single_trials_names_them() -> None:
    assert advised(Advice("Rest.", (), ("t04-s2",))) == "For the trial t04-s2: Rest."
    assert advised(Advice("Rest.", ("t02",), ("t04-s0", "t04-s1"))) == (
        "For the setting t02 and for the trials t04-s0 and t04-s1: Rest."
    )
    names = tuple(f"t{number:02d}-s0" for number in range(9))
    assert "t05-s0 and 3 more: Rest." in advised(Advice("Rest.", (), names))


def test_a_report_explains_each_of_its_terms_once() -> None:
    study, records = invented(2, 2, 3)
    text = render_markdown(find(study, records, {}))
    for explained in (
        "K is the number of prototypes.",
        "Centering subtracts the average of the teacher's outputs over recent batches",
        "Sharpening divides the teacher's output by a low temperature.",
        "A uniform teacher gives every image nearly the same output.",
        "In a collapse to a single prototype, the teacher uses very few prototypes",
        "The teacher's entropy is the entropy of its output for an image",
        "H is the entropy of this average. The effective number is exp(H).",
        "Mutual information says how much the teacher's output depends on the image.",
        "RankMe is the effective number of directions that the features use.",
        "LiDAR is the effective number of directions",
        "`docs/diagnostics.md` explains all metrics and verdicts.",
    ):
        assert text.count(explained) == 1, explained
    assert "KL(teacher‖student) says" not in text, "no table has it without curves"


def test_terms_follow_from_verdicts_and_metrics() -> None:
    healthy = terms(find(make_study(), seeded(0, [20.0]), {}))
    assert healthy == (
        "Sharpening divides the teacher's output by a low temperature. It works against a uniform "
        "teacher.",
    ), "the study varies the temperature"
    undecided = trial_record(0, 0, 20.0, VerdictKind.UNDECIDED)
    assert undecided.verdict is not None
    evidence = "The metrics have met the rule for “collapsed: partial prototypes”."
    named = replace(undecided, verdict=replace(undecided.verdict, evidence=evidence))
    told = " ".join(terms(find(make_study(), [named], {})))
    assert "“Partial prototypes” means" in told and "A prototype is one output" in told
    assert "A uniform teacher" not in told
    assert terms(find(make_study(), [], {})) == ()


def test_the_interval_of_a_count_is_said_to_estimate_a_share_of_seeds() -> None:
    found = compare(grid_study(), grid_records())
    assert (
        "The range in brackets after a count is a 95 % confidence interval. It estimates the share "
        "of all possible seeds that would collapse." in how_sure(found, "in brackets")
    )
    diverged = [trial_record(1, seed, 1.0, VerdictKind.DIVERGED) for seed in range(3)]
    other = how_sure(compare(make_study(), diverged), "in brackets")
    assert "of all possible seeds that would fail to learn." in other


def test_a_table_says_what_it_varies_before_it() -> None:
    study, records = one_at_a_time(2)
    lines = render_markdown(find(study, records, {})).splitlines()
    place = lines.index(
        "This table varies only teacher_temp. The other hyperparameter, center_momentum, keeps the "
        "value of the baseline."
    )
    assert lines[place + 2].startswith("| teacher_temp |")
    crossed = render_markdown(find(grid_study(), grid_records(), {})).splitlines()
    place = crossed.index("Each row averages over all values of teacher_temp.")
    assert crossed[place + 2].startswith("| center_momentum |")
    three = DoseResponse("a.b", "b", "linear", (), (), ("c", "d"))
    assert as_in_baseline(three, "chart") == (
        " This chart varies only b. The other hyperparameters keep the values of the baseline."
    )


def test_a_dash_is_explained_only_where_there_is_one() -> None:
    def told(last: int, *, over: bool = True) -> str:
        records = seeded(0, [20.0, 21.0], step=100, settings={TEMPERATURE: 0.04})
        records += seeded(1, [20.0, 21.0], step=100, settings={TEMPERATURE: 0.07})
        if not over:
            records[-1] = replace(records[-1], state="interrupted")
        histories = {record.trial.name: entropy_history(0.5) for record in records}
        histories[records[0].trial.name] = entropy_history(0.5, last)
        study = make_study(make_space(seeds=[0, 1], trials=2))
        return render_markdown(find(study, records, histories))

    assert "A dash means" not in told(100) and "only dashes" not in told(100)
    assert "A dash means that at least one trial ended before this point." in told(30)
    assert "at least one trial has not reached this point." in told(30, over=False)


def test_a_dash_of_a_trial_whose_length_is_unknown_is_not_called_an_early_end() -> None:
    records = seeded(0, [20.0, 21.0], total_steps=0)
    histories = {record.trial.name: entropy_history(0.5) for record in records}
    text = render_markdown(find(make_study(), records, histories))
    assert "at least one trial does not record how many steps were planned." in text
    assert "ended before" not in text


def test_a_setting_without_a_metric_is_told_from_a_trial_that_ended() -> None:
    study, records = invented(2, 2, 3)
    found = find(study, records, {records[0].trial.name: entropy_history(0.5, 1000)})
    (with_curves, *_) = found.settings
    metrics = [curve.metric for curve in with_curves.curves]
    assert dashes([with_curves], metrics, True).count("dash") == 0
    assert dashes(found.settings, metrics, True) == (
        " If a setting has only dashes, it did not log this metric."
    )


def test_the_step_of_several_failed_trials_is_called_a_median() -> None:
    text = render_markdown(find(grid_study(), grid_records(), {}))
    assert "collapsed: uniform (since step 40, median of 3 trials)" in text
    one = [*seeded(0, [20.0]), *seeded(1, [9.0], SINGLE)]
    assert "prototype (since step 30) |" in render_markdown(find(make_study(), one, {}))


def test_the_step_of_a_few_failed_trials_is_not_said_of_the_healthy_ones() -> None:
    # "healthy since step 40, median of 2 trials" was said of a setting that was mostly healthy.
    records = seeded(0, [20.0, 21.0, 22.0])
    records += [trial_record(0, seed, 9.0, SINGLE) for seed in (3, 4)]
    histories = {record.trial.name: entropy_history(0.5) for record in records}
    found = find(make_study(), records, histories)
    section = training(found)
    assert section is not None
    (chart,) = section.charts
    told = "2 of 5 failed since step 65, the median"
    assert chart.conclusion == f"{found.settings[0].label}: healthy, {told}"
    assert chart.table.rows[0][1].note == told
    assert f"({told})" in render_markdown(found)
    assert since(30, 1, 3) == "1 of 3 failed since step 30"


def test_how_a_forgetting_run_failed_is_explained_once() -> None:
    records = seeded(0, [9.0, 9.0, 9.0], VerdictKind.FORGETTING)
    text = render_markdown(find(make_study(), records, {}))
    assert text.count("training destroyed much of the k-NN accuracy of its start") == 1
    assert "of all possible seeds that would forget." in text
