"""`poise evaluate all`: runs every evaluation that a dataset allows, for several models.

In: models and a prepared dataset. Out: the files of each evaluation, a table of all values, and a
page with the pictures. Next: nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.console import print_table
from poise.cli.evaluate.copies import COPIES
from poise.cli.evaluate.embedding_map import MAP
from poise.cli.evaluate.measured import (
    Evaluation,
    EvaluationOptions,
    MeasuredModel,
    described,
)
from poise.cli.evaluate.models import open_models
from poise.cli.evaluate.objects import MASKS, OBJECTS
from poise.cli.evaluate.output import value_lines
from poise.cli.evaluate.registers import REGISTERS
from poise.cli.evaluate.results import EvaluationsFailedError, Results
from poise.cli.evaluate.segmentation import segmentation_with
from poise.cli.evaluate.video import VIDEO
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints
from poise.cli.streams import note
from poise.config.errors import PoiseError
from poise.evaluation.measurement import as_name

if TYPE_CHECKING:
    from poise.data.dataset import ImageDataset
    from poise.reports.evaluations import Section

PAGE, TABLE = "all.html", "all.md"

_LABELS = "its images have no labels"
_NO_TRAINING_SET = "it learns from a second dataset with masks: name it with --train"


@dataclass(frozen=True)
class AllOptions(EvaluationOptions):
    """Arguments and options of `poise evaluate all`."""

    train: Annotated[
        str | None,
        typer.Option(
            help="Prepared dataset that votes in k-NN and that linear segmentation learns from."
        ),
    ] = None


@prints
@options_of(AllOptions)
def evaluate_all(options: AllOptions) -> Output:
    """Measure models with every evaluation that a dataset allows.

    The evaluations are k-NN, retrieval, copies, registers, objects, masks, segmentation, video and
    map. An evaluation is left out if the dataset or a model lacks what it needs. The command prints
    the reason. If an evaluation fails by an unexpected error, the others still run, and the command
    ends with status 3. Probes that train for long (linear, attentive, finetune) have their own
    commands. Each evaluation has its own folder. all.md contains the tables of all values, and
    all.html also the pictures.

    Example: poise evaluate all models:/shapes-dino/1 data/shapes-test

    Example: poise evaluate all MODEL data/shapes-test --train data/shapes
    """
    from poise.data.dataset import ImageDataset

    dataset = ImageDataset.for_one_pass(options.dataset)
    train = None if options.train is None else ImageDataset.for_one_pass(options.train)
    out = options.out or Path(f"all-{as_name(dataset.manifest.name)}")
    found = Results(dict(_lacking(dataset, train)))
    models = open_models(options.models)
    for evaluation in _evaluations(train, options.max_images):
        if evaluation.name in found.left_out:
            continue
        note(f"{evaluation.name} …")
        wanted = replace(options, out=out / evaluation.name)
        found.add(evaluation, wanted, dataset, models)
    if not found.measured:
        reasons = "; ".join((found.left_out | found.failed).values())
        error = EvaluationsFailedError if found.failed else PoiseError
        raise error(f"{options.dataset}: nothing was measured: {reasons}")
    return _conclude(options, out, found)


def _evaluations(train: ImageDataset | None, max_images: int | None) -> Iterator[Evaluation]:
    """Yields the evaluations in the order of the table."""
    from poise.evaluation.neighbours.knn_evaluation import measure_knn
    from poise.evaluation.neighbours.retrieval import measure_retrieval
    from poise.evaluation.segmentation.report import TrainingSet

    in_bank = 0 if train is None else min(len(train), max_images or len(train))
    passes = partial(operator.add, in_bank)
    yield Evaluation("knn", partial(measure_knn, bank=train), num_passes=passes)
    yield Evaluation("retrieval", measure_retrieval)
    yield from (COPIES, REGISTERS, OBJECTS, MASKS)
    if train is not None:
        yield segmentation_with(TrainingSet(train), max_images)
    yield from (VIDEO, MAP)


def _lacking(dataset: ImageDataset, train: ImageDataset | None) -> Iterator[tuple[str, str]]:
    """Yields the evaluations that the dataset does not allow, each with the reason."""
    from poise.data.annotations import annotation_kinds

    kinds = annotation_kinds(dataset)
    if not dataset.manifest.classes:
        yield from (("knn", _LABELS), ("retrieval", _LABELS))
    needs: Mapping[str, tuple[str, ...]] = {
        "objects": ("boxes",),
        "masks": ("mask",),
        "segmentation": ("mask",),
        "video": ("mask", "sequence"),
    }
    for name, wanted in needs.items():
        missing = [kind for kind in wanted if kind not in kinds]
        if missing:
            words = {"mask": "masks", "boxes": "boxes", "sequence": "sequences"}
            yield name, f"its images have no {' and no '.join(words[kind] for kind in missing)}"
        elif name == "segmentation" and train is None:
            yield name, _NO_TRAINING_SET


def _conclude(options: AllOptions, out: Path, found: Results) -> Output:
    """Writes the table and the page, and returns the output of the command."""
    from poise.reports.evaluations import Content, render_markdown, render_page

    sections = tuple(_sections(out, found.measured))
    content = Content(Path(options.dataset).name, sections, found.left_out, found.failed)
    (out / TABLE).write_text(render_markdown(content), encoding="utf-8")
    (out / PAGE).write_text(render_page(content, out), encoding="utf-8")
    every = [each for models in found.measured.values() for each in models]

    def document() -> dict[str, Any]:
        measured = {
            name: [described(each) for each in models] for name, models in found.measured.items()
        }
        told = {"left_out": found.left_out, "failed": found.failed}
        return {"out": str(out), "measured": measured, **told}

    def show() -> None:
        print_table(("evaluation", "metric", *content.models), content.rows)
        for name, reason in found.left_out.items():
            print(f"\nleft out  {name}: {reason}")
        for name, error in found.failed.items():
            print(f"\nfailed    {name}: {error}")
        print(f"\nfiles     {out / TABLE}, {out / PAGE}")

    lines = [line for each in every for line in value_lines(each.model.reference, each.report)]
    return Output(document, lines, show, found.failure)


def _sections(out: Path, measured: Mapping[str, list[MeasuredModel]]) -> Iterator[Section]:
    from poise.reports.evaluations import Section

    for name, models in measured.items():
        yield Section(
            name=name,
            reports={each.model.label: each.report for each in models},
            folders={each.model.label: str(each.folder.relative_to(out)) for each in models},
        )
