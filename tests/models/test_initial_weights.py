"""A trained backbone's weights in a new backbone: the same features, or a refusal."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from poise.config import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.initial_weights import adaptations, take_over
from poise.models.same_architecture import Described, check_same_architecture
from tests.packages import OPTIONS

NAME = "vit_tiny_patch16_224"


def described(image_px: int = 16, called: str = "the recipe", **changes: Any) -> Described:
    fields: dict[str, Any] = {"name": NAME, "drop_path": 0, "options": OPTIONS}
    return Described(BackboneConfig(**fields | changes), image_px, called)


def built(seed: int, of: Described) -> Any:
    """A backbone whose every tensor has values of its own, those that begin at 0 as well."""
    torch.manual_seed(seed)
    backbone = build_backbone(of.config, of.image_px).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return backbone


def started(source: Described, recipe: Described) -> tuple[Any, Any]:
    trained, new = built(0, source), built(1, recipe)
    check_same_architecture(source, recipe)
    take_over(trained, new)
    return trained, new


def images(px: int = 16) -> torch.Tensor:
    return torch.randn(3, 3, px, px, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def largest_difference(trained: Any, new: Any, px: int) -> float:
    return float((trained(images(px)) - new(images(px))).abs().max())


@pytest.mark.parametrize("resampling", ["dino", "timm"])
@pytest.mark.parametrize("px", [16, 24, 8])
def test_a_start_computes_the_features_that_the_trained_backbone_has_at_that_size(
    resampling: str, px: int
) -> None:
    source = described(16, position_resampling=resampling)
    trained, new = started(source, described(px, position_resampling=resampling))
    assert new.timm_model.pos_embed.shape[1] == 1 + (px // 4) ** 2
    assert largest_difference(trained, new, px) < 1e-5


@pytest.mark.parametrize("options", [OPTIONS, OPTIONS | {"no_embed_class": True}])
def test_the_position_of_cls_moves_into_its_token_where_registers_are_added(
    options: dict[str, Any],
) -> None:
    source, recipe = described(options=options), described(num_registers=2)
    trained, new = built(0, source), built(1, recipe)
    random = new.timm_model.reg_token.detach().clone()
    take_over(trained, new)
    assert torch.equal(new.timm_model.reg_token, random), "they are new"
    old_prefix, old_positions = trained.prefix_and_positions()
    prefix, positions = new.prefix_and_positions()
    torch.testing.assert_close(prefix[:, :1], old_prefix)
    torch.testing.assert_close(positions, old_positions)


def test_registers_that_are_there_are_taken_over_and_only_the_others_are_new() -> None:
    trained, new = built(0, described(num_registers=2)), built(1, described(num_registers=5))
    ours, theirs = (model.timm_model.reg_token.detach().clone() for model in (new, trained))
    take_over(trained, new)
    found = new.timm_model.reg_token
    assert torch.equal(found[:, :2], theirs) and torch.equal(found[:, 2:], ours[:, 2:])
    said = list(adaptations(trained, new))
    assert said == ["3 of 5 registers are new and begin at random"]


@pytest.mark.parametrize("covered", [(False, True), (True, False)])
def test_a_model_whose_cls_has_a_position_and_one_without_compute_the_same(
    covered: tuple[bool, bool],
) -> None:
    source, recipe = (
        described(options=OPTIONS | {"no_embed_class": not covers}) for covers in covered
    )
    trained, new = started(source, recipe)
    assert largest_difference(trained, new, 16) < 1e-5


def test_registers_with_positions_keep_what_they_add_up_to() -> None:
    source = described(num_registers=2, options=OPTIONS | {"no_embed_class": False})
    trained, new = started(source, described(num_registers=2))
    assert largest_difference(trained, new, 16) < 1e-5


def test_a_residual_network_starts_with_its_statistics_too() -> None:
    source = described(32, name="resnet10t", options={})
    trained = built(0, source)
    trained.train()(images(32))
    trained.eval()
    new = built(1, source)
    take_over(trained, new)
    assert largest_difference(trained, new, 32) == 0


def test_what_is_adapted_is_said() -> None:
    said = check_same_architecture(described(16), described(24, num_registers=1))
    assert said == (
        "positions are resampled from 4 × 4 to 6 × 6 patches as dino does",
        "1 of 1 register is new and begins at random",
        "the position of [cls] is added to its token",
    )
    assert check_same_architecture(described(16), described(16)) == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"options": OPTIONS | {"embed_dim": 48}}, "the width (embed_dim) is 24 there and 48"),
        ({"options": OPTIONS | {"depth": 3}}, "the number of blocks (depth) is 2 there and 3"),
        ({"options": OPTIONS | {"num_heads": 4}}, "attention heads (num_heads) is 2 there and 4"),
        ({"options": OPTIONS | {"patch_size": 8}}, "the patch size is 4 px there and 8 px"),
        ({"options": OPTIONS | {"init_values": 1e-5}}, "LayerScale is absent there and present"),
        ({"options": OPTIONS | {"norm_eps": 1e-5}}, "(norm_eps) is 1e-06 there and 1e-05"),
        ({"options": OPTIONS | {"mlp_ratio": 2}}, "the MLP (mlp_ratio) is 96 there and 48"),
        ({"options": OPTIONS | {"class_token": False, "global_pool": "avg"}},
         "[cls] is present there and absent"),
        ({"options": OPTIONS | {"global_pool": "avg"}},
         "the pooling (global_pool) is token there and the norm of the mean patch (fc_norm)"),
        ({"options": OPTIONS | {"qk_norm": True}}, "a layer is blocks.0.attn.q_norm: Identity()"),
        ({"options": OPTIONS | {"qkv_bias": False}}, "a layer is blocks.0.attn.qkv: Linear("),
        ({"name": "resnet10t", "options": {}}, "the family is VisionTransformer there and ResNet"),
    ],
)  # fmt: skip
def test_another_architecture_is_refused_with_both_values_and_the_settings_that_fit(
    changes: dict[str, Any], expected: str
) -> None:
    source = described(called="models:/m/1")
    with pytest.raises(PoiseError) as error:
        check_same_architecture(source, described(**changes))
    line = str(error.value)
    assert line.startswith("backbone.initial_weights=models:/m/1: ") and "\n" not in line
    assert expected in line
    assert f"backbone.name={NAME} " in line and '"embed_dim": 24' in line


@pytest.mark.parametrize(("px", "others"), [(24, ()), (16, (16, 8))])
def test_another_resampling_of_positions_is_refused_where_sizes_differ(
    px: int, others: tuple[int, ...]
) -> None:
    source = described(16, "models:/m/1", position_resampling="timm")
    recipe = replace(described(px), other_px=others)
    with pytest.raises(PoiseError, match=r"; set backbone\.position_resampling=timm$"):
        check_same_architecture(source, recipe)


def test_another_resampling_of_positions_is_accepted_where_nothing_is_resampled() -> None:
    source = described(16, "models:/m/1", position_resampling="timm")
    assert check_same_architecture(source, described(16)) == ()


def test_positions_are_resampled_as_the_trained_model_does_it() -> None:
    source = described(16, "models:/m/1", position_resampling="timm")
    (phrase,) = check_same_architecture(source, replace(described(24), config=source.config))
    assert "positions" in phrase


def test_trained_registers_are_not_dropped() -> None:
    source = described(num_registers=4, called="models:/m/1")
    with pytest.raises(PoiseError, match=r"has 4 registers and the recipe 2; .*num_registers=4"):
        check_same_architecture(source, described(num_registers=2))


def test_relative_positions_keep_their_size() -> None:
    source = described(32, name="beit_base_patch16_224", options={"depth": 1}, called="m")
    check_same_architecture(source, replace(source, called="the recipe"))
    with pytest.raises(PoiseError, match=r"for 32 px alone; set data\.views\.global_px=32"):
        check_same_architecture(source, replace(source, image_px=48))
