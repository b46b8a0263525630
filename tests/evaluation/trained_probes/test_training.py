import pytest
import torch
from torch import Tensor

from poise.config import Recipe
from poise.config.probes import AbmilpConfig
from poise.evaluation.trained_probes.hits import best_answers, count_hits
from poise.evaluation.trained_probes.training import train_heads
from poise.models.heads.abmilp import Abmilp
from poise.models.heads.grid import HeadGrid, ProbeHeads
from tests.builders import tiny_recipe

GRID = (0.1, 1.0, 10.0)
NUM_CLASSES = 3


def recipe_of(multipliers: tuple[float, ...], optimizer: str) -> Recipe:
    tree = tiny_recipe().model_dump(mode="json")
    tree["objective"] = {"name": "probe", "model": "none", "lr_multipliers": multipliers}
    tree["data"]["views"] |= {"global_count": 1, "local_count": 0}
    tree["optimizer"] |= {
        "name": optimizer, "base_lr": 0.1, "weight_decay": 0, "final_weight_decay": None,
        "clip_grad": 0,
    }  # fmt: skip
    tree["training"] |= {"epochs": 5, "batch_size": 32}
    return Recipe.model_validate(tree)


def separable(num_images: int, tokens: int | None) -> tuple[Tensor, Tensor]:
    """Each class is a direction, in a feature or in one of several tokens."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(NUM_CLASSES, (num_images,), generator=generator)
    shape = (num_images, 8) if tokens is None else (num_images, tokens, 8)
    features = torch.randn(shape, generator=generator)
    where = features if tokens is None else features[:, 2]
    where += 12 * torch.eye(8)[labels]
    return features, labels


def trained(multipliers: tuple[float, ...], optimizer: str, pools: bool) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    pool = Abmilp(8, (2, 2), 1, AbmilpConfig()) if pools else None
    grid = HeadGrid(8, NUM_CLASSES, len(multipliers), 0.01, batch_norm=True, pool=pool)
    heads = ProbeHeads({"x": grid})
    features, labels = separable(200, 5 if pools else None)
    rows = torch.arange(160)
    train_heads(heads, {"x": features}, labels, rows, recipe_of(multipliers, optimizer))
    scores: Tensor = heads({"x": features})["x"]
    return scores.detach(), labels


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
@pytest.mark.parametrize("pools", [False, True], ids=["linear", "attentive"])
def test_a_head_of_a_grid_ends_where_it_would_have_ended_alone(optimizer: str, pools: bool) -> None:
    together, _ = trained(GRID, optimizer, pools)
    for head, multiplier in enumerate(GRID):
        alone, _ = trained((multiplier,), optimizer, pools)
        torch.testing.assert_close(together[:, head], alone[:, 0], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(together[:, 0], together[:, 2], atol=1e-2)


@pytest.mark.parametrize("pools", [False, True], ids=["linear", "attentive"])
def test_separable_features_are_told_apart_without_a_mistake(pools: bool) -> None:
    scores, labels = trained(GRID, "sgd", pools)
    unseen = slice(160, 200)
    hits = count_hits([(best_answers({"x": scores[unseen]}), labels[unseen])])["x"]
    assert hits.num_images == 40
    assert hits.top1[hits.best] == 40
    assert hits.top5 == (40, 40, 40), "there are three classes"


def test_images_without_a_label_count_for_nothing() -> None:
    scores = torch.tensor([[[3.0, 2, 1]], [[1, 2, 3]], [[3, 2, 1]]])
    hits = count_hits([(best_answers({"x": scores}), torch.tensor([0, 0, -1]))])["x"]
    assert (hits.num_images, hits.top1, hits.top5) == (2, (1,), (2,))
