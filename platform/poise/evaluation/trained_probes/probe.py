"""Carries out probes and fine-tuning, from a recipe to a report.

In: a recipe whose objective learns from labels. Out: a ``ProbeReport``. Next: ``poise evaluate``.

For each feature, one head is trained for each learning rate. The head with the best accuracy on
held-out training images is chosen. Only the chosen heads are scored on the test images, once.
"""

from collections.abc import Callable, Iterator, Mapping

import psutil
import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.recipe import Recipe
from poise.data.manifest import Manifest
from poise.data.views.color_augmentation import Photometry
from poise.data.views.normalization import normalization
from poise.evaluation.answers_per_image import Answers as AnswersPerImage
from poise.evaluation.answers_per_image import digest_of, packed
from poise.evaluation.reading.dataset_pass import image_pass
from poise.evaluation.reading.finite import not_finite
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Answers, Bench
from poise.evaluation.trained_probes.hits import Hits, RightAnswers, best_answers, count_hits
from poise.evaluation.trained_probes.protocols import ProtocolUse
from poise.evaluation.trained_probes.report import ProbeReport, report_row
from poise.evaluation.trained_probes.sets import ProbeSets
from poise.evaluation.trained_probes.training import train_heads
from poise.objectives import build_objective
from poise.objectives.labelled import LabelledObjective, is_held_out
from poise.objectives.probe import Probe

_CHUNK = 1024  # cached images that are scored at once
_SPARE = 0.4  # share of free memory for cached features, which exist twice while they are joined


class _Answers(nn.Module):
    """Module that ranks the classes of images, once for each head. It returns ``best_answers``."""

    def __init__(self, objective: LabelledObjective, folder: Location) -> None:
        super().__init__()
        self.objective = objective
        self.folder = folder

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        answers = best_answers(self.objective.scores(images))
        for name, answer in answers.items():
            if bool((answer < 0).all()):  # every head failed, so the feature is not finite
                raise not_finite(f"scores of {name}", self.folder)
        return answers


def _answers(objective: LabelledObjective, images: EvaluationImages, bench: Bench) -> Answers:
    """Yields ``best_answers`` of all heads, and the labels, batch by batch."""
    return image_pass(_Answers(objective, images.folder), images, bench)


def untrained(recipe: Recipe, device: torch.device) -> LabelledObjective:
    """Builds the recipe's objective at step 0. The same seed gives the same heads.

    Raises:
        PoiseError: the objective does not learn from labels.
    """
    torch.manual_seed(recipe.seed)
    mean, std = normalization(recipe.data.views, Manifest.read(recipe.data.dataset))
    objective = build_objective(recipe, Photometry(recipe.data.views, mean, std)).to(device)
    if not isinstance(objective, LabelledObjective):
        raise PoiseError(f"objective.name={recipe.objective.name}: does not learn from labels")
    return objective


def train_cached(
    recipe: Recipe,
    sets: ProbeSets,
    bench: Bench,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> tuple[Probe, dict[str, Hits]]:
    """Computes the features of all training images once and trains the heads on them.

    Returns:
        The trained objective, and its hits on the held-out images by feature.

    Raises:
        PoiseError: the features do not fit into memory.
    """
    objective = untrained(recipe, bench.device)
    assert isinstance(objective, Probe)
    _check_memory(objective, recipe.data.views.global_px, len(sets.train), bench.device)
    kept: dict[str, list[Tensor]] = {name: [] for name in objective.readout.names}
    all_labels = []
    for outputs, labels in image_pass(objective.readout, sets.train, bench):
        for name, output in outputs.items():
            kept[name].append(output.float())
        all_labels.append(labels)
    features = {name: torch.cat(kept.pop(name)) for name in objective.readout.names}
    labels = torch.cat(all_labels)
    held = torch.from_numpy(is_held_out(sets.train.sample_ids, objective.config.held_out))
    teaching, choosing = (
        torch.nonzero((labels >= 0) & chosen).squeeze(1) for chosen in (~held, held)
    )
    labels = labels.to(bench.device)
    train_heads(objective.heads, features, labels, teaching.to(labels.device), recipe, on_epoch)
    return objective, count_hits(_scored(objective, features, labels, choosing))


@torch.no_grad()
def _scored(
    objective: Probe, features: Mapping[str, Tensor], labels: Tensor, rows: Tensor
) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    for part in rows.to(labels.device).split(_CHUNK):
        scores = objective.heads({name: feature[part] for name, feature in features.items()})
        yield best_answers(scores), labels[part].cpu()


def report_probe(
    objective: LabelledObjective,
    recipe: Recipe,
    sets: ProbeSets,
    bench: Bench,
    protocol: ProtocolUse,
    held_out: Mapping[str, Hits] | None = None,
) -> tuple[ProbeReport, AnswersPerImage]:
    """Chooses among trained heads and scores the chosen heads on the test images.

    Args:
        objective: trained objective on the device of the bench.
        recipe: recipe of the objective.
        sets: images to score.
        bench: device and batch size for the pass over images.
        protocol: protocol, and settings that differ from it.
        held_out: hits on the held-out images. None counts them here.

    Returns:
        The report, and for each row whether the answer to each labelled test image is right.

    Raises:
        NotFiniteError: the backbone gives NaN or infinite values.
    """
    rates = tuple(recipe.optimizer.base_lr * factor for factor in objective.lr_multipliers)
    if held_out is None:
        counted = len(rates) > 1
        held_out = count_hits(_answers(objective, sets.held_out, bench)) if counted else {}
    if len(rates) == 1:
        held_out = {}
    chosen = {name: hits.best for name, hits in held_out.items()}
    right = RightAnswers()
    asked = _answers(objective, sets.test, bench)
    test = count_hits(right.seen(_of_heads(answers, chosen), labels) for answers, labels in asked)
    report = ProbeReport(
        protocol=protocol.id,
        changed=protocol.changed,
        dataset=str(sets.test.folder),
        dataset_name=sets.test.manifest.name,
        train=str(sets.train.folder),
        test_images=next(iter(test.values())).num_images,
        held_out_images=next((hits.num_images for hits in held_out.values()), 0),
        num_classes=sets.num_classes,
        image_px=sets.test.image_px,
        epochs=recipe.training.epochs,
        batch_size=recipe.training.batch_size,
        rows=tuple(report_row(name, rates, held_out, hits) for name, hits in test.items()),
    )
    return report, _per_image(report, sets, right)


def _of_heads(answers: Mapping[str, Tensor], chosen: Mapping[str, int]) -> dict[str, Tensor]:
    """Returns the answers of one head for each feature, [B, 1, 5]. The default is head 0."""
    return {name: one[:, [chosen.get(name, 0)]] for name, one in answers.items()}


def _per_image(report: ProbeReport, sets: ProbeSets, right: RightAnswers) -> AnswersPerImage:
    # A changed training set is in its fingerprint. Its name in ``changed`` depends on the model.
    settings = "".join(f"{each} " for each in report.changed if not each.startswith("--train="))
    both = ((each.manifest.fingerprint, each.sample_ids) for each in (sets.test, sets.train))
    return AnswersPerImage(
        images=report.test_images,
        asked=digest_of(*both, settings=settings),
        right={report.metric(name): packed(found) for name, found in right.by_feature().items()},
    )


def _check_memory(objective: Probe, image_px: int, num_images: int, device: torch.device) -> None:
    readout = objective.readout
    tokens = 1
    if "abmilp" in readout.names:
        patch_px, prefix = objective.loaded.patch_px, objective.loaded.num_prefix_tokens
        tokens = (image_px // int(patch_px)) ** 2 + int(prefix)  # type: ignore[arg-type]
    floats = sum(readout.dim(name) * (tokens if name == "abmilp" else 1) for name in readout.names)
    on_gpu = device.type == "cuda"
    available = torch.cuda.mem_get_info(device)[0] if on_gpu else psutil.virtual_memory().available
    needed, free = 4 * floats * num_images, _SPARE * available
    if needed > free:
        raise PoiseError(
            f"features of {num_images} images take {needed / 2**30:.1f} GiB and {free / 2**30:.1f} "
            "GiB are free for them; read fewer --features, or take a --protocol that keeps none"
        )
