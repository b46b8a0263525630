"""`poise evaluate linear`, `attentive` and `finetune`: what can be learned from a backbone.

In: a model and labelled datasets. Out: accuracies with their protocol, for people or as JSON,
kept with the run that made the model. Nothing comes after it.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.cli.console import print_table
from poise.cli.keeping import (
    accuracy_cells,
    keep_figures,
    other_dataset,
    pretraining_dataset,
    reads_over_ray,
)
from poise.cli.main import resumable
from poise.cli.measuring import image_progress, normalization_of
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.config import Recipe
    from poise.evaluation.probe_report import ProbeReport
    from poise.tracking.probing import ProbePlan

Model = Annotated[
    str | None, typer.Argument(help="Folder of a backbone package, or models:/NAME/VERSION.")
]
Dataset = Annotated[str | None, typer.Argument(help="Labelled prepared dataset to score.")]
Settings = Annotated[
    list[str] | None, typer.Argument(help="Changes to the protocol: training.epochs=20 …")
]
Train = Annotated[
    str | None,
    typer.Option(help="Labelled dataset to learn from; default: what the model was trained on."),
]
Name = Annotated[str | None, typer.Option(help="Of the run, where images are streamed.")]
Resume = Annotated[
    str | None, typer.Option(metavar="NAME", help="Finish the interrupted run of this name.")
]
OverRay = Annotated[
    bool | None,
    typer.Option("--ray/--no-ray", help="Read images over Ray; default: where it pays."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def linear(
    model: Model = None,
    dataset: Dataset = None,
    settings: Settings = None,
    train: Train = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="What to classify: cls, mean, cls_mean, last_4, cp1 … cp4, attn_lcte, attn_mn, "
            "pooled. May be given several times; one pass serves all. Default: what k-NN reads; "
            "for dino-v1, as published, last_4 or, of wide models, cls_mean."
        ),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="cached-v1 (quick), or as published: dino-v1, mae-v1.")
    ] = "cached-v1",
    name: Name = None,
    resume: Resume = None,
    ray: OverRay = None,
    as_json: AsJson = False,
) -> None:
    """Train linear classifiers on the frozen backbone, a grid of learning rates at once.

    The learning rate is chosen on images held out of the training set, never on the test set.

    Example: poise evaluate linear models:/shapes-vit/1 data/shapes-test --features cls
    """
    plan = _planned("linear", protocol, resume, model, dataset, train, features, settings)
    _carry_out(*plan, name, resume, ray, as_json)


def attentive(
    model: Model = None,
    dataset: Dataset = None,
    settings: Settings = None,
    train: Train = None,
    protocol: Annotated[
        str, typer.Option(help="cached-v1 (keeps all tokens), or abmilp-v1 (streams images).")
    ] = "cached-v1",
    name: Name = None,
    resume: Resume = None,
    ray: OverRay = None,
    as_json: AsJson = False,
) -> None:
    """Train AbMILP poolings of the frozen tokens, each with its linear classifier.

    Variants: objective.abmilp.depth=2 objective.abmilp.self_attention=both …

    Example: poise evaluate attentive models:/shapes-mae/1 data/shapes-test
    """
    plan = _planned("attentive", protocol, resume, model, dataset, train, None, settings)
    _carry_out(*plan, name, resume, ray, as_json)


def finetune(
    model: Model = None,
    dataset: Dataset = None,
    settings: Settings = None,
    train: Train = None,
    name: Name = None,
    resume: Resume = None,
    ray: OverRay = None,
    as_json: AsJson = False,
) -> None:
    """Train the whole backbone on labels (protocol finetune/mae-v1).

    Example: poise evaluate finetune models:/shapes-mae/1 data/shapes-test training.epochs=20
    """
    plan = _planned("finetune", "mae-v1", resume, model, dataset, train, None, settings)
    _carry_out(*plan, name, resume, ray, as_json)


def _planned(
    kind: str,
    protocol_name: str,
    resume: str | None,
    model: str | None,
    dataset: str | None,
    train: str | None,
    features: list[str] | None,
    settings: list[str] | None,
) -> tuple[ProbePlan, Recipe]:
    """What was typed, or what is resumed; refuses at once what could not work."""
    from poise.config.loading import parse_overrides
    from poise.evaluation.protocols import find_protocol, probe_recipe, published_feature
    from poise.models.package import load_backbone
    from poise.models.readout import check_feature
    from poise.objectives.finetune import check_tunable
    from poise.tracking.fetch import find_package
    from poise.tracking.probing import ProbePlan

    if resume:
        return _resumed(resume, model)
    if model is None or dataset is None:
        raise PoiseError("name a model and a dataset, or with --resume a run to finish")
    protocol = find_protocol(kind, protocol_name)
    folder = find_package(model)
    backbone, package = load_backbone(folder)
    normalization_of(package, model)
    if kind == "linear":
        features = features or [published_feature(protocol, backbone)]
    if kind == "finetune":
        check_tunable(backbone, model)
    recipe = probe_recipe(
        protocol, folder, package, train or pretraining_dataset(package, model, "--train"),
        features or (), parse_overrides(settings or []),
    )  # fmt: skip
    for feature in getattr(recipe.objective, "features", ()):
        if kind == "linear" and feature == "abmilp":
            raise PoiseError(
                "--features abmilp: a pooling that learns; use poise evaluate attentive"
            )
        check_feature(backbone, feature, recipe.data.views.global_px)
    changed = (*other_dataset(package, "--train", train), *(settings or ()))
    return ProbePlan(protocol.id, model, dataset, changed), recipe


def _resumed(name: str, model: str | None) -> tuple[ProbePlan, Recipe]:
    from poise.tracking.probing import read_plan

    if model is not None:
        raise PoiseError(f"--resume {name}: goes on as the run began and takes nothing else")
    return read_plan(name)


def _carry_out(
    plan: ProbePlan,
    recipe: Recipe,
    name: str | None,
    resume: str | None,
    ray: bool | None,
    as_json: bool,
) -> None:
    import torch

    from poise.evaluation.probe import Bench, report_probe, train_cached
    from poise.evaluation.probe_sets import open_probe_sets
    from poise.evaluation.protocols import PROTOCOLS
    from poise.models.checksums import read_config

    objective_settings: Any = recipe.objective
    package = read_config(objective_settings.model)
    held_out = getattr(objective_settings, "held_out", 0.0)
    image_px = recipe.data.views.global_px
    sets = open_probe_sets(recipe.data.dataset, plan.test, image_px, held_out)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cached = PROTOCOLS[plan.protocol].cached
    objective, hits = None, None
    if not cached:
        objective = _train_streamed(plan, recipe, name, resume, package, device)
    num_images = len(sets.train if cached else sets.held_out) + len(sets.test)
    over_ray = reads_over_ray(ray, num_images)
    with image_progress(num_images) as on_images:
        bench = Bench(normalization_of(package, plan.model), device, over_ray, on_images)
        if objective is None:
            on_epoch = partial(_tell_epoch, recipe.training.epochs)
            objective, hits = train_cached(recipe, sets, bench, on_epoch)
        report = report_probe(objective, recipe, sets, bench, plan.protocol, plan.changed, hits)
    run_id = keep_figures(package, report)
    if as_json:
        print(json.dumps({"model": plan.model, "run_id": run_id, **asdict(report)}, indent=2))
    else:
        _print(plan.model, run_id, report)


def _train_streamed(
    plan: ProbePlan,
    recipe: Recipe,
    name: str | None,
    resume: str | None,
    package: dict[str, Any],
    device: Any,
) -> Any:
    from poise.config.paths import check_run_name
    from poise.data.ray_runtime import start_ray
    from poise.tracking.ending import controlled, reconcile
    from poise.tracking.probing import keep_plan, open_run, train_streamed
    from poise.tracking.store import open_store
    from poise.training.capacity import check_fits
    from poise.training.progress import ProgressDisplay
    from poise.training.schedule import Timetable
    from poise.training.worker import steps_per_epoch

    total_steps = Timetable(recipe, steps_per_epoch(recipe)).total_steps
    run_name = resume or name or f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if resume is None:
        check_run_name(run_name)
        keep_plan(run_name, plan, recipe)
    store = open_store()
    reconcile(store)
    kind = plan.protocol.partition("/")[0]
    with resumable(f"poise evaluate {kind} --resume {run_name}"):
        start_ray()
        check_fits(recipe)
        run = open_run(store, recipe, run_name, package)
        with controlled(run), ProgressDisplay() as display:
            observer = display.observer(run_name, total_steps)
            return train_streamed(recipe, run, run_name, device, [observer])


def _tell_epoch(total: int, done: int) -> None:
    if 4 * (done - 1) // total < 4 * done // total:
        print(f"heads: {done} of {total} epochs", file=sys.stderr, flush=True)


def _print(model: str, run_id: str | None, report: ProbeReport) -> None:
    changed = f" with {' '.join(report.changed)}" if report.changed else ""
    print(f"protocol  {report.protocol}{changed}, images of {report.image_px} px")
    print(f"model     {model}")
    print(f"run       {run_id or 'unknown here; nothing was logged'}")
    print(f"learned   {report.epochs} epochs of {report.train}, {report.batch_size} images a step")
    if report.held_out_images:
        print(f"chosen    by {report.held_out_images} of its images, held out")
    print(f"scored    {report.test_images} images of {report.dataset}")
    print(f"classes   {report.num_classes}, chance {100 / report.num_classes:.2f} %\n")
    headers = ("feature", "base lr", "top-1 %", "95 % interval", "top-5 %", "95 % interval")
    print_table(
        headers,
        [
            (
                row.feature,
                float(f"{row.base_lr:.3g}"),
                *accuracy_cells(row.top1),
                *accuracy_cells(row.top5),
            )
            for row in report.rows
        ],
    )
    for row in report.rows:
        if row.at_edge:
            print(
                f"\n{row.feature}: the chosen learning rate is at the grid's edge; "
                "widen objective.lr_multipliers"
            )
