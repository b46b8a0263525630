import pytest
import torch
from torch import Tensor

from poise.config.objectives import Signals
from poise.diagnostics.batch_statistics import BatchStatistics
from poise.diagnostics.judge import VerdictKind, judge
from poise.diagnostics.observe import diagnose
from poise.objectives.base import Observation


def observe(predictions: Tensor, targets: Tensor) -> dict[str, float]:
    return dict(diagnose(BatchStatistics.of(Observation(predictions=predictions, targets=targets))))


def patches(count: int = 400, pixels: int = 48) -> Tensor:
    """Patches of different mean colours, with a texture each."""
    generator = torch.Generator().manual_seed(0)
    colors = 2 * torch.randn(count, 1, generator=generator)
    return colors + torch.randn(count, pixels, generator=generator) + 0.7


def test_painting_the_mean_patch_everywhere_costs_all_of_the_variance() -> None:
    targets = patches()
    numbers = observe(targets.mean(dim=0).expand_as(targets), targets)
    assert numbers["loss/over_mean_patch"] == pytest.approx(1, rel=1e-5)
    assert numbers["prediction/std"] == pytest.approx(0, abs=2e-3)
    assert numbers["prediction/std_over_target"] == pytest.approx(0, abs=1e-3)


def test_painting_every_patch_in_its_own_mean_colour_is_the_flat_patch() -> None:
    targets = patches()
    numbers = observe(targets.mean(dim=1, keepdim=True).expand_as(targets), targets)
    assert numbers["loss/over_flat_patch"] == pytest.approx(1, rel=1e-5)
    # colours have variance 4 and textures 1, so a fifth of the variance is left
    assert numbers["loss/over_mean_patch"] == pytest.approx(0.2, rel=0.1)
    assert numbers["prediction/std_over_target"] == pytest.approx(0.8**0.5, rel=0.1)


def test_of_normalised_patches_both_baselines_are_one() -> None:
    targets = torch.nn.functional.layer_norm(patches(), (48,))
    numbers = observe(torch.zeros_like(targets), targets)
    assert numbers["loss/over_flat_patch"] == pytest.approx(1, rel=1e-4)
    assert numbers["loss/over_mean_patch"] == pytest.approx(1, rel=0.01)


def test_a_perfect_decoder_leaves_nothing_and_spreads_as_widely() -> None:
    targets = patches()
    numbers = observe(targets.clone(), targets)
    assert numbers["loss/over_mean_patch"] == numbers["loss/over_flat_patch"] == 0
    assert numbers["prediction/std_over_target"] == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("level", [0.0, 0.7, -2.1])
def test_of_images_without_texture_no_share_is_told_and_no_run_is_condemned(level: float) -> None:
    """Their shares were infinite once, and one such step called the run diverged for good."""
    targets = torch.full((400, 48), level)
    numbers = observe(targets + 0.1 * patches(), targets)
    assert set(numbers) == {"prediction/std"}
    assert 0 < numbers["prediction/std"] < 1
    verdict = judge([(1, numbers)], Signals(reconstructs=True))
    assert verdict.kind is VerdictKind.UNDECIDED


def test_of_flat_patches_only_the_share_of_their_texture_is_missing() -> None:
    targets = patches().mean(dim=1, keepdim=True).expand(-1, 48)
    numbers = observe(targets + 0.1, targets)
    assert "loss/over_flat_patch" not in numbers
    assert 0 < numbers["loss/over_mean_patch"] < 0.1
    diverged = observe(torch.full((4, 48), torch.nan), patches(4))
    assert all(value != value for value in diverged.values()) and len(diverged) == 4
    assert "loss/over_mean_patch" in observe(patches(4), torch.full((4, 48), torch.nan))


def test_what_is_explained_is_the_square_of_the_spread_of_the_best_linear_guess() -> None:
    targets = patches()
    seen = targets + 3 * torch.randn(targets.shape, generator=torch.Generator().manual_seed(1))
    means = seen.mean(dim=0), targets.mean(dim=0)
    slope = ((seen - means[0]) * (targets - means[1])).sum(0) / (seen - means[0]).square().sum(0)
    numbers = observe(means[1] + slope * (seen - means[0]), targets)
    explained = 1 - numbers["loss/over_mean_patch"]
    assert explained == pytest.approx(numbers["prediction/std_over_target"] ** 2, rel=1e-3)
