"""Runs a probe or fine-tuning for the command line, and prints its accuracies.

In: a request. Out: accuracies with their protocol, as a table or as JSON, logged to the run that
made the model. Next: nothing.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poise.cli.evaluate.options import (
    image_progress,
    keep_figures,
    normalization_of,
    other_dataset,
    pretraining_dataset,
    spread_over_ray,
)
from poise.cli.evaluate.output import accuracies_document, print_probe, value_lines
from poise.cli.evaluate.requests import Asked, ProbeRequest
from poise.cli.main import resumable
from poise.cli.output import Output
from poise.cli.streams import note
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from poise.config import Recipe
    from poise.evaluation.answers_per_image import Answers
    from poise.evaluation.trained_probes.report import ProbeReport
    from poise.objectives.labelled import LabelledObjective
    from poise.runs.probing import ProbePlan


def conduct(asked: Asked) -> Output:
    """Runs a probe, or the rest of an interrupted probe, and returns the output."""
    from poise.models.checksums import read_config

    plan, recipe = _resumed(asked.request) if asked.request.resume else _planned(asked)
    settings: Any = recipe.objective
    package = read_config(settings.model)
    report, answers = _carry_out(asked, plan, recipe, package)
    run_id = keep_figures(Path(settings.model), report, answers)
    return Output(
        document=lambda: accuracies_document(plan.model, run_id, report),
        result=value_lines(plan.model, report),
        show=lambda: print_probe(plan.model, run_id, report),
    )


def _planned(asked: Asked) -> tuple[ProbePlan, Recipe]:
    """Makes the plan and the recipe of a request.

    Raises an error at once if the request cannot work.
    """
    from poise.config.loading import parse_overrides
    from poise.evaluation.trained_probes.protocols import (
        find_protocol,
        probe_recipe,
        published_feature,
    )
    from poise.models.package import load_backbone
    from poise.objectives.finetune import check_tunable
    from poise.runs.probing import ProbePlan
    from poise.tracking.registry.fetch import find_package

    request, features = asked.request, asked.features
    model, settings = request.model, request.settings or ()
    if model is None or request.dataset is None:
        raise PoiseError("name a model and a dataset, or name a run to finish with --resume")
    protocol = find_protocol(asked.kind, asked.protocol)
    folder = find_package(model)
    backbone, package = load_backbone(folder)
    normalization_of(package, model)
    if asked.kind == "linear":
        features = features or [published_feature(protocol, backbone)]
    if asked.kind == "finetune":
        check_tunable(backbone, model)
    train = request.train or pretraining_dataset(package, model, "--train")
    recipe = probe_recipe(
        protocol, folder, package, train, features, parse_overrides(settings)
    )  # fmt: skip
    _check_features(recipe, asked.kind, backbone)
    changed = (*other_dataset(package, "--train", request.train), *settings)
    return ProbePlan(protocol.id, model, request.dataset, changed), recipe


def _check_features(recipe: Recipe, kind: str, backbone: nn.Module) -> None:
    from poise.models.readout import check_feature

    for feature in getattr(recipe.objective, "features", ()):
        if kind == "linear" and feature == "abmilp":
            raise PoiseError(
                "--features abmilp: a pooling that learns; use poise evaluate attentive"
            )
        check_feature(backbone, feature, recipe.data.views.global_px)


def _resumed(request: ProbeRequest) -> tuple[ProbePlan, Recipe]:
    from poise.runs.probing import read_plan

    assert request.resume is not None
    if request.model is not None:
        raise PoiseError(
            f"--resume {request.resume}: continues the run with its own settings; leave out the "
            "model and everything after it"
        )
    return read_plan(request.resume)


def _carry_out(
    asked: Asked, plan: ProbePlan, recipe: Recipe, package: dict[str, Any]
) -> tuple[ProbeReport, Answers]:
    """Trains the heads or the backbone, and scores it.

    Returns the report, and whether the answer to each test image is right.
    """
    import torch

    from poise.evaluation.reading.inference import Bench
    from poise.evaluation.trained_probes.probe import report_probe, train_cached
    from poise.evaluation.trained_probes.protocols import PROTOCOLS, ProtocolUse
    from poise.evaluation.trained_probes.sets import open_probe_sets

    held_out = getattr(recipe.objective, "held_out", 0.0)
    sets = open_probe_sets(recipe.data.dataset, plan.test, recipe.data.views.global_px, held_out)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cached = PROTOCOLS[plan.protocol].cached
    objective, hits = None, None
    if not cached:
        objective = _train_streamed(asked, plan, recipe, package, device)
    num_images = len(sets.train if cached else sets.held_out) + len(sets.test)
    spread = spread_over_ray(asked.request.ray, num_images)
    with image_progress(num_images) as on_images:
        bench = Bench(normalization_of(package, plan.model), device, spread, on_images)
        if objective is None:
            on_epoch = partial(_print_epoch, recipe.training.epochs)
            objective, hits = train_cached(recipe, sets, bench, on_epoch)
        protocol = ProtocolUse(plan.protocol, plan.changed)
        return report_probe(objective, recipe, sets, bench, protocol, hits)


def _train_streamed(
    asked: Asked, plan: ProbePlan, recipe: Recipe, package: dict[str, Any], device: torch.device
) -> LabelledObjective:
    from poise.config.paths import check_run_name, new_name
    from poise.runs.probing import carry_out, keep_plan, resume_command

    request = asked.request
    name = request.resume or request.name or new_name(recipe.name)
    if request.resume is None:
        check_run_name(name)
        keep_plan(name, plan, recipe)
    with resumable(resume_command(plan, name)):
        return carry_out(recipe, name, package, device)


def _print_epoch(total: int, done: int) -> None:
    if 4 * (done - 1) // total < 4 * done // total:
        note(f"heads: {done} of {total} epochs")
