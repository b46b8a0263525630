"""`poise judge`: judges the log of a run that another program trained.

In: a log, and facts about the run from its owner. Out: the verdict, and a picture of the curves.
Next: ``poise.cli.judge_output``, which prints the verdict.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from poise.cli.judge_output import described, lines
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.diagnostics.logs.judging import LogVerdict
    from poise.diagnostics.logs.log import Log

_RUN = re.compile(r"(?:runs:/)?([0-9a-f]{32})/?")


@dataclass(frozen=True)
class JudgeRequest:
    """Arguments and options of `poise judge`."""

    log: Annotated[
        str,
        typer.Argument(
            metavar="LOG",
            help="File, folder with one log, or runs:/RUN_ID of an MLflow run.",
        ),
    ]
    objective: Annotated[
        Literal["dino", "mae"] | None,
        typer.Option(
            help="Objective of the run. Default: the names of the columns decide. If they "
            "do not, the command ends with an error."
        ),
    ] = None
    prototypes: Annotated[
        int | None,
        typer.Option(
            min=2, help="K, the outputs of the head: out_dim of DINO, head_n_prototypes of DINOv2."
        ),
    ] = None
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Number of images in a batch, over all workers.")
    ] = None
    planned_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Planned length of the run, in the unit of the log (steps or epochs). If you "
            "leave it out, Poise assumes that the run has ended.",
        ),
    ] = None
    unit: Annotated[
        Literal["epoch", "step"] | None,
        typer.Option(
            help="Whether the log counts steps or epochs. Default: the names of the columns "
            "decide. For TensorBoard and MLflow, it is step."
        ),
    ] = None
    norm_pix_loss: Annotated[
        bool,
        typer.Option("--norm-pix-loss", help="MAE predicted normalised patches."),
    ] = False
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN",
            help="Column of a metric, such as loss=train_loss, or of the steps: step=iteration. "
            "If a column is in percent, in bits or a log10, write NAME=COLUMN[percent], [bits] or "
            "[log10], and Poise converts it. May be given several times.",
        ),
    ] = None
    store: Annotated[
        str | None,
        typer.Option(help="MLflow store of the run. Default: MLFLOW_TRACKING_URI, or Poise's own."),
    ] = None
    plot: Annotated[Path | None, typer.Option(help="PNG file to draw the judged curves to.")] = None


@prints
@options_of(JudgeRequest)
def command(request: JudgeRequest) -> Output:
    """Check the log of another program's run for collapse.

    The answer says whether the run collapsed, and since when. The command reads log.txt of DINO and
    MAE, training_metrics.json of DINOv2, CSV, metrics.csv of Lightning, TensorBoard's event files
    and MLflow runs. The answer also lists what the log does not show. The exit status is 0 for
    every verdict. With --quiet, the command prints only the verdict.

    Example: poise judge log.txt --prototypes 65536

    Example: poise judge lightning_logs/version_0 --prototypes 4096 --metric loss=train_dino_loss
    """
    from poise.diagnostics.logs.facts import Facts
    from poise.diagnostics.logs.judging import judge_log
    from poise.diagnostics.logs.meaning.sources import read_given

    sources, step = read_given(request.metric or ())
    _check_plot(request.plot)
    facts = Facts(
        objective=request.objective,
        prototypes=request.prototypes,
        batch_size=request.batch_size,
        planned_steps=request.planned_steps,
        normalized_targets=request.norm_pix_loss,
        sources=sources,
    )
    log = _open(request, step)
    judged = judge_log(replace(log, unit=request.unit or log.unit), facts)
    if request.plot is not None:
        _draw(request.plot, judged)
    return Output(
        document=lambda: described(judged),
        result=[str(judged.verdict.kind)],
        show=lambda: print("\n".join(lines(judged))),
    )


def _open(request: JudgeRequest, step: str | None) -> "Log":
    match = _RUN.fullmatch(request.log)
    if match and not Path(request.log).exists():
        from poise.tracking.run_as_log import read_run

        if step is not None:
            raise PoiseError(
                f"{request.log}: --metric step={step}: an MLflow run has its own steps"
            )
        return read_run(match[1], request.store)
    if request.store is not None:
        raise PoiseError(
            f"{request.log}: --store is for an MLflow run; write runs:/RUN_ID, or leave --store out"
        )
    from poise.diagnostics.logs.reading.opening import open_log

    return open_log(request.log, step)


def _check_plot(path: Path | None) -> None:
    if path is not None and path.suffix != ".png":
        raise PoiseError(
            f"--plot {path}: the picture is a PNG file; write {path.with_suffix('.png')}"
        )
    if path is not None and not path.absolute().parent.is_dir():
        raise PoiseError(f"--plot {path}: there is no folder {path.parent}; make it first")


def _draw(path: Path, judged: "LogVerdict") -> None:
    from poise.runs.curves import draw_curves

    try:
        draw_curves(path, {"run": judged.history}, {"run": judged.verdict.onset_step})
    except ValueError:
        raise PoiseError(f"--plot {path}: the log has none of the metrics that are drawn") from None
