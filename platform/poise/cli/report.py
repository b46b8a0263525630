"""``poise report``: writes the report of a study as one HTML page."""

from typing import Annotated

import typer


def command(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.")],
) -> None:
    """Write the report of a STUDY, finished, running or interrupted.

    The report is one HTML file with interactive charts. It works offline and prints well. A
    Markdown file has the same content, and a CSV file has a table of all trials. All three are in
    the study's folder and among the artifacts of its run in MLflow. Every study writes them at its
    end.

    Example: poise report dino-collapse-20260101-120000
    """
    from poise.reports import report_study

    report = report_study(study)
    unfinished = report.findings.comparison.standing.sentence
    for sentence in (*([unfinished] if unfinished else []), *report.findings.answer):
        print(sentence)
    for path in report.files:
        print(f"wrote {path}")
