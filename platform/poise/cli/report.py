"""``poise report``: writes the report of a study as one HTML page."""

from typing import Annotated

import typer

from poise.cli.completion import complete_study
from poise.cli.output import Output, prints


@prints
def command(
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="Name of the study.", autocompletion=complete_study),
    ],
) -> Output:
    """Write the report of a STUDY.

    The study may be finished, running or interrupted. The report is one HTML file with interactive
    charts. It works offline and can be printed. A Markdown file has the same content, and a CSV
    file has a table of all trials. The three files are in the study's folder and among the
    artifacts of its run in MLflow. Every study writes these files at its end. With --quiet, the
    command prints only the path of the HTML file.

    Example: poise report dino-collapse-20260101-120000
    """
    from poise.reports import report_study

    report = report_study(study)
    unfinished = report.findings.comparison.standing.sentence
    sentences = [*([unfinished] if unfinished else []), *report.findings.answer]

    def show() -> None:
        for sentence in sentences:
            print(sentence)
        for path in report.files:
            print(f"wrote {path}")

    return Output(
        document=lambda: {
            "study": study,
            "answer": sentences,
            "page": str(report.page),
            "files": list(map(str, report.files)),
        },
        result=[str(report.page)],
        show=show,
    )
