"""Writes the results of `poise evaluate` for people, for scripts and for programs.

In: a report, and the id of the run that it was logged to. Out: text on stdout, lines or plain
values. Next: ``poise.cli.output``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from poise.cli.console import print_table

if TYPE_CHECKING:
    from poise.evaluation.measurement import Accuracy
    from poise.evaluation.neighbours.report import KnnReport, KnnRow
    from poise.evaluation.report import EvaluationReport
    from poise.evaluation.tokens.attention import AttentionReport
    from poise.evaluation.trained_probes.report import ProbeReport, ProbeRow


def accuracies_document(
    model: str, run_id: str | None, report: KnnReport | ProbeReport
) -> dict[str, Any]:
    """Returns a report as a dict, with the model and the id of its run."""
    return {"model": model, "run_id": run_id, **asdict(report)}


def value_lines(model: str, report: KnnReport | ProbeReport | EvaluationReport) -> list[str]:
    """Writes each value of a report on one line: model, metric and value."""
    return [f"{model} {name} {found.value:.6g}" for name, found in report.measured.items()]


def print_origin(
    model: str,
    run_id: str | None,
    report: KnnReport | ProbeReport | AttentionReport | EvaluationReport,
    changed: Iterable[str] = (),
) -> None:
    """Prints the first lines of every report: protocol, model and run.

    Args:
        model: reference of the model, as the user typed it.
        run_id: id of the run that made the model, or None if this store does not have the run.
        report: report to print.
        changed: settings that differ from those of the protocol.
    """
    settings = " ".join(changed)
    changes = f" with {settings}" if settings else ""
    size = f"images of {report.image_px} px" if report.image_px else "images of their own size"
    print(f"protocol  {report.protocol}{changes}, {size}")
    print(f"model     {model}")
    print(f"run       {run_id or 'not in this store; nothing was logged'}")


def print_knn(model: str, run_id: str | None, report: KnnReport) -> None:
    """Prints a k-NN report as text."""
    print_origin(model, run_id, report, report.changed)
    print(f"queries   {report.query_images} images of {report.dataset}")
    voting = ", each image without itself (leave-one-out)" if report.leave_one_out else ""
    print(f"bank      {report.bank_images} images of {report.bank}{voting}")
    _print_accuracies("k", [(row, row.k) for row in report.rows], report.num_classes)
    if report.rows[-1].k > report.bank_images:
        print(f"\nif k is above {report.bank_images}, the whole bank votes")


def print_probe(model: str, run_id: str | None, report: ProbeReport) -> None:
    """Prints the report of a probe or of fine-tuning as text."""
    print_origin(model, run_id, report, report.changed)
    print(f"learned   {report.epochs} epochs of {report.train}, {report.batch_size} images a step")
    if report.held_out_images:
        print(f"chosen    by {report.held_out_images} of its images, held out")
    print(f"scored    {report.test_images} images of {report.dataset}")
    rates = [(row, float(f"{row.base_lr:.3g}")) for row in report.rows]
    _print_accuracies("base lr", rates, report.num_classes)
    for row in report.rows:
        if row.at_edge:
            print(
                f"\n{row.feature}: the chosen learning rate is at the grid's edge; "
                "widen objective.lr_multipliers"
            )


def _print_accuracies(
    choice: str, rows: Iterable[tuple[KnnRow | ProbeRow, float]], num_classes: int
) -> None:
    """Prints a table of accuracies. Each row shows its k or its chosen learning rate."""
    print(f"classes   {num_classes}, chance {100 / num_classes:.2f} %\n")
    print_table(
        ("feature", choice, "top-1 %", "95 % interval", "top-5 %", "95 % interval"),
        [(row.feature, chosen, *_cells(row.top1), *_cells(row.top5)) for row, chosen in rows],
    )


def _cells(accuracy: Accuracy) -> tuple[float, str]:
    return round(accuracy.percent, 2), f"{accuracy.low:.2f} – {accuracy.high:.2f}"
