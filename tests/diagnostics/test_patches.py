"""Patches whose likeness and norms are known."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from poise.diagnostics.patches import norm_bimodality, outlier_share, patch_metrics
from poise.models.last_tokens import LastTokens


def gaussian(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def log_normal(share_of_outliers: float = 0, factor: float = 10) -> Tensor:
    """Norms [8, 500] around 30, some of them longer."""
    norms = 30 * (0.25 * gaussian(8, 500)).exp()
    norms.view(-1)[: round(share_of_outliers * norms.numel())] *= factor
    return norms


def numbers_of(tokens: LastTokens) -> dict[str, float]:
    found = patch_metrics(tokens)
    assert all((value.ndim, value.dtype) == (0, torch.float32) for value in found.values())
    return {name: value.item() for name, value in found.items()}


def cosines(patches: Tensor, class_tokens: Tensor | None = None) -> dict[str, float]:
    """How alike tokens after the last norm are, whatever their norms before it."""
    numbers = numbers_of(LastTokens(patches, torch.ones(patches.shape[:2]), class_tokens))
    named = {name.removeprefix("patches/"): value for name, value in numbers.items()}
    return {name: value for name, value in named.items() if name.endswith("cosine")}


def test_cosines_are_means_over_pairs_within_an_image() -> None:
    patches, class_tokens = gaussian(3, 5, 7), gaussian(3, 7) + 1
    x, c = normalize(patches, dim=-1), normalize(class_tokens, dim=-1)
    gram = x @ x.mT
    pairs = torch.stack([gram[:, i, j] for i in range(5) for j in range(5) if i != j])
    numbers = cosines(patches, class_tokens)
    assert numbers["cosine"] == pytest.approx(pairs.mean().item(), abs=1e-6)
    expected = (x * c[:, None]).sum(-1).mean().item()
    assert numbers["cls_cosine"] == pytest.approx(expected, abs=1e-6)


def test_patches_that_repeat_the_class_token_are_all_alike() -> None:
    class_tokens = gaussian(4, 16)
    patches = class_tokens[:, None] * torch.arange(1, 10)[:, None]
    numbers = cosines(patches, class_tokens)
    assert numbers == pytest.approx({"cosine": 1, "cls_cosine": 1}, abs=1e-6)


def test_patches_at_right_angles_have_no_cosine() -> None:
    patches = torch.eye(8).expand(3, -1, -1)
    numbers = cosines(patches, torch.ones(3, 8))
    assert numbers == pytest.approx({"cosine": 0, "cls_cosine": 1 / math.sqrt(8)}, abs=1e-6)


def test_images_are_not_compared_with_each_other() -> None:
    alike_within = gaussian(5, 1, 64).expand(-1, 6, -1)
    assert cosines(alike_within)["cosine"] == pytest.approx(1)


def test_quantiles_are_those_of_all_patches() -> None:
    norms = torch.arange(101.0)[torch.randperm(101)].view(1, 101)
    numbers = numbers_of(LastTokens(gaussian(1, 101, 4), norms))
    quantiles = [numbers[f"patches/norm_{name}"] for name in ("q50", "q90", "q99", "max")]
    assert quantiles == pytest.approx([50, 90, 99, 100])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.024, 0.1])
def test_outliers_are_counted_whatever_their_share_and_scale(share: float) -> None:
    for scale in (1e-3, 1.0, 1e3):
        assert outlier_share(scale * log_normal(share)).item() == pytest.approx(share, abs=1e-3)


def test_patches_nearly_alike_have_no_outliers() -> None:
    tight = 30 + 1e-3 * gaussian(8, 500)
    tight[0, 0] = 55  # under twice the median, though a thousand deviations away
    assert outlier_share(tight).item() == 0
    tight[0, 0] = 65
    assert outlier_share(tight).item() == pytest.approx(1 / 4000)
    assert outlier_share(torch.full((2, 9), 7.0)).item() == 0
    assert outlier_share(torch.zeros(2, 9)).item() == 0


def test_a_broad_distribution_has_no_outliers() -> None:
    assert outlier_share((0.6 * gaussian(8, 500)).exp()).item() == 0


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        (gaussian(8, 4000), 1 / 3),
        (torch.linspace(-1, 1, 8000).view(8, 1000), 5 / 9),
        (torch.tensor([0.0, 1.0]).repeat(4, 50), 1),
        (torch.tensor([0.0] * 97 + [3.0] * 3).repeat(4, 1), 1),
    ],
    ids=["normal", "uniform", "two values", "two values, one of them rare"],
)
def test_bimodality_of_known_distributions_at_any_scale(logs: Tensor, expected: float) -> None:
    for scale in (1e-3, 1.0, 1e3):
        assert norm_bimodality(scale * logs.exp()).item() == pytest.approx(expected, abs=5e-3)


def test_two_humps_are_told_from_one() -> None:
    assert norm_bimodality(log_normal()).item() == pytest.approx(1 / 3, abs=0.03)
    for share in (0.024, 0.1, 0.5):  # the first is that of the publication
        assert norm_bimodality(log_normal(share)).item() > 5 / 9
    assert norm_bimodality(log_normal(0.002)).item() < 1 / 3, "few outliers make a tail, no hump"


def test_norms_that_are_all_equal_have_no_humps() -> None:
    for norms in (torch.zeros(2, 9), torch.full((2, 9), 7.0), torch.full((1, 1), 3.0)):
        assert norm_bimodality(norms).item() == 0
    assert norm_bimodality(30 + 1e-5 * gaussian(8, 500)).item() == 0


def test_the_class_token_and_registers_have_lengths_of_their_own() -> None:
    tokens = LastTokens(
        gaussian(2, 3, 4),
        torch.ones(2, 3),
        class_norms=torch.tensor([2.0, 4.0]),
        register_norms=torch.tensor([[10.0, 20.0], [30.0, 40.0]]),
    )
    numbers = numbers_of(tokens)
    assert (numbers["tokens/cls_norm"], numbers["tokens/register_norm"]) == (3, 25)
    assert numbers["patches/norm_max"] == 1


def test_what_there_is_nothing_to_take_from_is_left_out() -> None:
    of_norms = {f"patches/norm_{name}" for name in ("q50", "q90", "q99", "max", "bimodality")}
    of_norms.add("patches/outlier_share")
    assert set(numbers_of(LastTokens(gaussian(2, 1, 4), torch.ones(2, 1)))) == of_norms
    of_two = set(numbers_of(LastTokens(gaussian(2, 2, 4), torch.ones(2, 2))))
    assert of_two == {*of_norms, "patches/cosine"}


def test_tokens_that_are_not_finite_give_nan() -> None:
    for broken in (torch.nan, torch.inf):
        patches = gaussian(2, 3, 4)
        patches[1, 2, 0] = broken
        numbers = patch_metrics(LastTokens(patches, patches.norm(dim=-1), gaussian(2, 4)))
        finite = {name for name, value in numbers.items() if value.isfinite()}
        assert finite <= {"patches/norm_q50"} and numbers["patches/outlier_share"].isnan()
