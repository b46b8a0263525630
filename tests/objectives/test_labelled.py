from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from poise.config import Recipe
from poise.config.errors import PoiseError
from poise.data.batch import ViewBatch
from poise.evaluation.trained_probes.protocols import PROTOCOLS, probe_recipe
from poise.models.checksums import read_config
from poise.models.package import load_backbone
from poise.objectives.base import RunPosition
from poise.objectives.finetune import Finetune, check_tunable
from poise.objectives.labelled import LabelledObjective, is_held_out
from poise.training.checkpoint import load_checkpoint, save_checkpoint
from poise.training.loop import TrainingState, new_state, train_steps
from poise.training.schedule import Timetable
from tests.builders import random_batch
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.packages import save_package, save_resnet

__all__ = ["make_dataset"]  # a fixture

CPU = torch.device("cpu")
START = RunPosition(0, 10, 100)


def recipe_of(
    protocol: str,
    make_dataset: MakeDataset,
    tmp_path: Path,
    backbone: Any = None,
    **settings: Any,
) -> Recipe:
    model = save_package(tmp_path / "vit", **(backbone or {}))
    train = make_dataset("train", [0, 1, 2] * 20)
    changes = {"training.batch_size": 16, "training.epochs": 2, "optimizer.warmup_epochs": 0.5}
    changes |= settings
    package = read_config(model)
    return probe_recipe(PROTOCOLS[protocol], model, package, train, settings=changes)


def labelled_batch(recipe: Recipe, seed: int = 0) -> ViewBatch:
    batch = random_batch(recipe, seed=seed)
    return replace(batch, labels=batch.sample_ids % 3, sample_ids=batch.sample_ids + 100 * seed)


def begin(recipe: Recipe) -> tuple[TrainingState, LabelledObjective]:
    state = new_state(recipe, CPU)
    assert isinstance(state.objective, LabelledObjective)
    return state, state.objective


def test_held_out_and_unlabelled_images_teach_nothing(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    recipe = recipe_of("linear/dino-v1", make_dataset, tmp_path, **{"objective.held_out": 0.4})
    _, probe = begin(recipe)
    batch = labelled_batch(recipe)
    assert batch.labels is not None
    loss = probe(batch, START).loss
    silent = torch.from_numpy(is_held_out(batch.sample_ids.numpy(), 0.4))
    assert 2 <= int(silent.sum()) <= 12
    batch.global_views[:, silent] = 0
    torch.testing.assert_close(probe(batch, START).loss, loss)
    batch.labels[~silent] = -1
    nothing = probe(batch, START).loss
    nothing.backward()
    assert nothing.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in probe.trainable.parameters())
    assert all(p.grad is None for p in probe.backbone.parameters())


def test_workers_that_share_a_batch_learn_what_one_would(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    recipe = recipe_of("linear/dino-v1", make_dataset, tmp_path, **{"objective.held_out": 0.2})
    _, probe = begin(recipe)
    whole = labelled_batch(recipe)
    assert whole.labels is not None
    halves = [
        replace(
            whole,
            global_views=whole.global_views[:, part],
            global_photometry=whole.global_photometry[:, part],
            sample_ids=whole.sample_ids[part],
            labels=whole.labels[part],
        )
        for part in (slice(0, 8), slice(8, 16))
    ]
    shares = [probe(half, START).loss for half in halves]
    torch.testing.assert_close(sum(shares) / 2, probe(whole, START).loss)


@pytest.mark.parametrize(
    "protocol", ["linear/dino-v1", "linear/mae-v1", "attentive/abmilp-v1", "finetune/mae-v1"]
)
def test_a_resumed_run_is_the_run_that_was_interrupted(
    protocol: str, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    recipe = recipe_of(protocol, make_dataset, tmp_path)
    timetable = Timetable(recipe, 3)

    def train(state: TrainingState, steps: int) -> None:
        batches = (labelled_batch(recipe, seed) for seed in range(state.step, 100))
        assert len(list(islice(train_steps(timetable, state, batches), steps))) == steps

    whole, _ = begin(recipe)
    train(whole, 4)
    first, _ = begin(recipe)
    train(first, 2)
    save_checkpoint(tmp_path / "checkpoint", first, recipe, [])
    torch.manual_seed(999)
    second, _ = begin(recipe)
    load_checkpoint(tmp_path / "checkpoint", second, recipe)
    train(second, 2)
    wanted = whole.objective.state_dict()
    for name, tensor in second.objective.state_dict().items():
        torch.testing.assert_close(tensor, wanted[name], rtol=0, atol=0, msg=name)
    start = begin(recipe)[1].trainable.state_dict()
    moved = whole.objective.trainable.state_dict()
    assert any(not torch.equal(start[name], moved[name]) for name in start)


@pytest.mark.parametrize(
    ("backbone", "embedding"),
    [
        ({}, ("cls_token", "pos_embed", "patch_embed.proj.weight")),
        ({"num_registers": 2}, ("cls_token", "reg_token", "pos_embed")),
        ({"name": "vit_small_patch16_dinov3", "num_registers": 4}, ("cls_token", "reg_token")),
        ({"name": "vit_small_patch16_rope_mixed_224"}, ("cls_token", "rope.freqs")),
        ({"name": "beit_base_patch16_224"}, ("cls_token", "patch_embed.proj.weight")),
    ],
    ids=["vit", "registers", "eva", "mixed", "beit"],
)
def test_lower_blocks_learn_more_slowly(
    backbone: dict[str, Any],
    embedding: tuple[str, ...],
    make_dataset: MakeDataset,
    tmp_path: Path,
) -> None:
    recipe = recipe_of(
        "finetune/mae-v1", make_dataset, tmp_path, backbone, **{"objective.layer_decay": 0.5}
    )  # fmt: skip
    state, finetune = begin(recipe)
    scale = {
        id(p): group["lr_scale"] for group in state.optimizer.param_groups for p in group["params"]
    }
    learning = {n: p for n, p in finetune.trainable.named_parameters() if p.requires_grad}
    found = {name: scale[id(p)] for name, p in learning.items()}
    assert len(found) == len(scale)
    wanted = {"linear.weight": 1.0, "norm.bias": 1.0}
    wanted |= {f"backbone.timm_model.{name}": 0.125 for name in embedding}
    for name in found:
        for block, rate in ((1, 0.5), (0, 0.25)):
            if name.startswith(f"backbone.timm_model.blocks.{block}."):
                wanted[name] = rate
    for name, rate in wanted.items():
        assert found[name] == pytest.approx(rate), name
    spared = {
        id(p) for g in state.optimizer.param_groups if not g["is_decayed"] for p in g["params"]
    }
    whole = ("_token", "pos_embed", "relative_position_bias_table", "rope.freqs")
    for name, p in learning.items():
        assert (id(p) in spared) == (p.ndim == 1 or name.endswith(whole)), name


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "beit_base_patch16_224"])
def test_fine_tuning_reads_patches_and_teaches_every_parameter(
    name: str, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    recipe = recipe_of("finetune/mae-v1", make_dataset, tmp_path, {"name": name})
    _, finetune = begin(recipe)
    assert isinstance(finetune, Finetune)
    for parameter in finetune.classifier.linear.parameters():
        torch.nn.init.normal_(parameter)  # it begins near 0, which would hide the rest
    backbone: Any = finetune.backbone
    images = torch.randn(2, 3, 16, 16)
    finetune.eval()
    (tokens,) = backbone.block_outputs(images, 1)
    mean = tokens[:, backbone.num_prefix_tokens :].mean(dim=1)
    wanted = finetune.classifier.linear(torch.nn.functional.layer_norm(mean, (24,), eps=1e-6))
    torch.testing.assert_close(finetune.scores(images)["finetune"][:, 0], wanted)
    finetune.train()
    finetune(labelled_batch(recipe), START).loss.backward()
    for parameter_name, parameter in finetune.trainable.named_parameters():
        assert parameter.grad is not None or not parameter.requires_grad, parameter_name


def test_a_residual_network_is_not_fine_tuned_by_a_recipe_for_transformers(tmp_path: Path) -> None:
    backbone, _ = load_backbone(save_resnet(tmp_path / "resnet"))
    with pytest.raises(PoiseError, match=r"resnet: is a residual network, and finetune/mae-v1"):
        check_tunable(backbone, "resnet")


def test_a_dataset_without_labels_teaches_nobody(make_dataset: MakeDataset, tmp_path: Path) -> None:
    recipe = recipe_of("linear/dino-v1", make_dataset, tmp_path)
    unlabelled = make_dataset("unlabelled", [-1] * 20, classes=())
    tree = recipe.model_dump(mode="json")
    tree["data"]["dataset"] = str(unlabelled)
    with pytest.raises(PoiseError, match="has no labels to learn from"):
        begin(Recipe.model_validate(tree))
