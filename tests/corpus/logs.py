"""The labelled runs as logs of other programs, and how well `poise judge` reads them.

In: recorded histories. Out: log files in the layouts of DINO, DINOv2, MAE and Lightning, and the
verdicts on them. Run as ``python -m tests.corpus.logs`` it prints the tables of
``docs/results.md``, and with ``--write`` it writes one log. Next:
``tests/diagnostics/logs/test_labelled_logs.py``.

A row of DINO's and MAE's ``log.txt`` is an epoch. The labelled runs have too few epochs for that,
so each logged step is written as one.
"""

import argparse
import csv
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poise.config import Recipe
from poise.diagnostics.history import History
from poise.diagnostics.judge import Verdict, VerdictKind
from poise.diagnostics.logs.facts import Facts
from poise.diagnostics.logs.judging import judge_log
from poise.diagnostics.logs.reading.opening import open_log
from tests.corpus.causes import HEALTHY, LOST, RUNS, LabelledRun
from tests.corpus.histories import read_histories
from tests.corpus.record import recipe_of
from tests.corpus.score import RUINED

Rows = Iterable[Mapping[str, float]]
Writer = Callable[[History, Recipe], Rows]

_LOGGED = "loss/total"


def dino_log(history: History, recipe: Recipe) -> Rows:
    """``log.txt`` of the published DINO."""
    for epoch, (_, metrics) in enumerate(_trained(history)):
        yield {"train_loss": metrics[_LOGGED], "train_lr": 5e-4, "train_wd": 0.04, "epoch": epoch}


def mae_log(history: History, recipe: Recipe) -> Rows:
    """``log.txt`` of the published MAE."""
    for epoch, (_, metrics) in enumerate(_trained(history)):
        yield {"train_lr": 1.5e-4, "train_loss": metrics[_LOGGED], "epoch": epoch}


def dinov2_metrics(history: History, recipe: Recipe) -> Rows:
    """``training_metrics.json`` of the published DINOv2, whose two parts of the loss add up."""
    local = recipe.data.views.local_count
    for step, metrics in _trained(history):
        row = {"iteration": step - 1, "iter_time": 0.5, "data_time": 0.01, "lr": 1e-4, "wd": 0.04}
        mean = metrics[_LOGGED]  # the first recordings have only the mean of all pairs
        whole = {"global": 1 / (1 + local), "local": local / (1 + local)}
        parts = {
            f"dino_{kind}_crops_loss": metrics.get(f"teacher/cross_entropy_{kind}", mean) * share
            for kind, share in whole.items()
            if share
        }
        rest = {"koleo_loss": 0.1, "ibot_loss": 2.5}
        yield row | parts | rest | {"total_loss": sum(parts.values()) + sum(rest.values())}


def all_metrics(history: History, recipe: Recipe) -> Rows:
    """Everything that Poise logs, under its own names, but no k-NN."""
    for step, metrics in _trained(history):
        yield {"step": step} | {
            name: value for name, value in metrics.items() if not name.startswith("eval/")
        }


def entropies(history: History, recipe: Recipe) -> Rows:
    """Loss and entropies as a program might call them. A run of MAE has none."""
    for step, metrics in _trained(history):
        row = {"global_step": step, "train_loss": metrics[_LOGGED]}
        for name in ("teacher/entropy", "teacher/marginal_entropy"):
            if name in metrics:
                row[f"train/{name.replace('/', '_')}"] = metrics[name]
        yield row


def teacher_entropy(history: History, recipe: Recipe) -> Rows:
    """Loss and the teacher's mean entropy, as in Fig. 7 of DINO."""
    for row in entropies(history, recipe):
        yield {name: value for name, value in row.items() if "marginal" not in name}


def loss_alone(history: History, recipe: Recipe) -> Rows:
    """What the published programs of DINOv2 and MAE log."""
    return (mae_log if recipe.objective.name == "mae" else dinov2_metrics)(history, recipe)


def loss_by_epochs(history: History, recipe: Recipe) -> Rows:
    """What the published programs of DINO and MAE log."""
    return (mae_log if recipe.objective.name == "mae" else dino_log)(history, recipe)


@dataclass(frozen=True)
class Variant:
    """A way to log: what is in the log, and the name of its file, which has its format."""

    rows: Writer
    file: str

    def write(self, run: LabelledRun, history: History, path: Path) -> Path:
        """Writes the log of a labelled run."""
        rows = self.rows(history, recipe_of(run))
        return (write_csv if path.suffix == ".csv" else write_json_lines)(path, rows)


VARIANTS: dict[str, Variant] = {
    "all metrics": Variant(all_metrics, "log.jsonl"),
    "entropies only": Variant(entropies, "metrics.csv"),
    "loss, K and the teacher's entropy": Variant(teacher_entropy, "log.jsonl"),
    "loss and K only": Variant(loss_alone, "training_metrics.json"),
    "loss and K only, by epochs": Variant(loss_by_epochs, "log.txt"),
}


def _trained(history: History) -> History:
    return [entry for entry in history if _LOGGED in entry[1]]


def write_json_lines(path: Path, rows: Rows) -> Path:
    """One JSON object per line."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def write_csv(path: Path, rows: Rows) -> Path:
    """As Lightning's ``CSVLogger``: a gap where a row has no value."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def facts_of(run: LabelledRun, recipe: Recipe) -> Facts:
    """What the run's owner would say."""
    return Facts(
        objective="mae" if run.objective == "mae" else "dino",
        prototypes=recipe.signals.num_prototypes,
        batch_size=recipe.training.batch_size,
    )


@dataclass(frozen=True)
class LogScore:
    """The verdict on the log of a labelled run."""

    run: LabelledRun
    verdict: Verdict
    knn_gain: float

    @property
    def right(self) -> tuple[VerdictKind, ...]:
        """As in ``tests/corpus/score.py``."""
        lost = self.run.right == HEALTHY and self.knn_gain < RUINED
        return LOST if lost else self.run.right

    @property
    def label(self) -> str:
        """The only right verdict, or that several are."""
        return self.right[0] if len(self.right) == 1 else "lost in one of several ways"

    @property
    def answer(self) -> str:
        """right, wrong, or none."""
        kind = self.verdict.kind
        if kind in (VerdictKind.CANNOT_TELL, VerdictKind.UNDECIDED):
            return "none"
        return "right" if {*_NAMED_BY.get(kind, (kind,))} & {*self.right} else "wrong"


_NAMED_BY = {
    VerdictKind.AT_LN_K: (VerdictKind.UNIFORM, VerdictKind.STUCK),
    VerdictKind.NEAR_ZERO: (VerdictKind.SINGLE_PROTOTYPE,),
}
"""Failures that a verdict on a loss stands for, without telling them apart."""


def score_logs(variant: str) -> list[LogScore]:
    """Writes and judges the log of every labelled run."""
    histories, scores = read_histories(), []
    with tempfile.TemporaryDirectory() as folder:
        for run in RUNS:
            recipe, history = recipe_of(run), histories[run.name]
            path = VARIANTS[variant].write(run, history, Path(folder, VARIANTS[variant].file))
            verdict = judge_log(open_log(str(path)), facts_of(run, recipe)).verdict
            knn = [m["eval/knn_top1"] for _, m in history if "eval/knn_top1" in m]
            scores.append(LogScore(run, verdict, knn[-1] - knn[0]))
    return scores


def table(scores: Sequence[LogScore]) -> list[str]:
    """Rows in Markdown: label, how often each verdict was given, and how many are right."""
    by_label: dict[str, list[LogScore]] = {}
    for each in scores:
        by_label.setdefault(each.label, []).append(each)
    kinds = [kind for kind in VerdictKind if any(each.verdict.kind is kind for each in scores)]
    lines = [f"| label | {' | '.join(kinds)} | right | wrong |", "|---" * (len(kinds) + 3) + "|"]
    for label in sorted(by_label, key=lambda label: [*VerdictKind, label].index(label)):
        row = by_label[label]
        counts = Counter(each.verdict.kind for each in row)
        answers = Counter(each.answer for each in row)
        cells = [str(counts[kind] or "") for kind in kinds]
        right = f"{answers['right']} of {len(row)}"
        lines.append(f"| {label} | {' | '.join(cells)} | {right} | {answers['wrong']} |")
    return lines


SUMMARY_HEAD = (
    "| content of the log | failed runs with the right verdict | failed runs called healthy "
    "| healthy runs called failed | healthy runs called healthy |\n|---|---|---|---|---|"
)


def summary_row(variant: str, scores: Sequence[LogScore]) -> str:
    """The row of a variant in the table that summarises all variants."""
    healthy = [each for each in scores if each.label == VerdictKind.HEALTHY]
    lost = [each for each in scores if each not in healthy]
    named = sum(each.answer == "right" for each in lost)
    condemned = sum(each.verdict.condemned for each in healthy)
    acquitted = sum(each.verdict.kind is VerdictKind.HEALTHY for each in lost)
    found = sum(each.verdict.kind is VerdictKind.HEALTHY for each in healthy)
    return (
        f"| {variant} | {named} of {len(lost)} | {acquitted} | {condemned} of {len(healthy)} "
        f"| {found} |"
    )


def main() -> None:
    """Prints the tables, or writes one log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", nargs=3, metavar=("RUN", "VARIANT", "PATH"))
    arguments = parser.parse_args()
    if arguments.write:
        write_log(*arguments.write)
    else:
        print_tables()


def write_log(name: str, variant: str, path: str) -> None:
    """Writes the log of one labelled run."""
    run = next(run for run in RUNS if run.name == name)
    VARIANTS[variant].write(run, read_histories()[name], Path(path))


def print_tables() -> None:
    """Prints the confusion table of every variant."""
    summary = [SUMMARY_HEAD]
    for variant in VARIANTS:
        scores = score_logs(variant)
        summary.append(summary_row(variant, scores))
        print(f"\n**{variant}**\n")
        print("\n".join(table(scores)))
        for each in scores:
            if each.answer == "wrong":
                print(f"wrong: {each.run.name}: {each.verdict.kind}: {each.verdict.evidence}")
    print("\n" + "\n".join(summary))


if __name__ == "__main__":
    main()
