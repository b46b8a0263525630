"""The answers of a trained start are kept beside its run and compared query by query."""

from pathlib import Path

import torch

from poise.evaluation.forgetting_baseline import StartAnswers

BEFORE = torch.tensor([True, True, True, False, False, True, False, True, True, False])
NOW = torch.tensor([True, False, True, True, False, False, False, True, False, False])


def test_what_was_forgotten_and_learned_is_counted_in_percent(tmp_path: Path) -> None:
    answers = StartAnswers(tmp_path / "run" / "answers.json", "question")
    assert dict(answers.compare(NOW)) == {}, "the start was never asked"
    assert dict(answers.keep(BEFORE)) == {"knn_queries": 10}
    found = dict(answers.compare(NOW))
    assert found == {"knn_forgotten": 30.0, "knn_learned": 10.0, "knn_queries": 10}
    before, now = (10.0 * int(each.sum()) for each in (BEFORE, NOW))
    assert found["knn_forgotten"] - found["knn_learned"] == before - now


def test_answers_to_another_question_are_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    list(StartAnswers(path, "question").keep(BEFORE))
    assert dict(StartAnswers(path, "another").compare(NOW)) == {}
    assert dict(StartAnswers(path, "question").compare(NOW[:9])) == {}
    path.write_text("{")
    assert dict(StartAnswers(path, "question").compare(NOW)) == {}
