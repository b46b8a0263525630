"""What a file cannot say is said as an assumption, can be given, or is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from poise.config import PoiseError
from poise.models.published.grids import read_grid
from poise.models.published.loading import Fact, Imported
from poise.models.published.shapes import Wishes
from poise.models.published.sources import Options, import_backbone
from tests.models.conftest import DEPTH, HEADS, WIDTH, Import, Tensors, randomized
from tests.models.test_published_layouts import decoder, dino_head, vit_tensors

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}
FULL_SIZE = "vit_tiny_patch16_224"

ImportNamed = Callable[..., Imported]


def fact(imported: Imported, name: str) -> Fact:
    return {each.name: each for each in imported.facts}[name]


@pytest.fixture
def import_named(tmp_path: Path) -> ImportNamed:
    """Saves a timm model's weights, and imports them as one that a person names."""

    def write_and_import(name: str, **options: Any) -> Imported:
        model = timm.create_model(name.partition(".")[0], num_classes=0)
        torch.save(model.state_dict(), tmp_path / "weights.pth")
        wishes = Wishes(architecture=name)
        return import_backbone(str(tmp_path / "weights.pth"), Options(wishes=wishes, **options))[0]

    return write_and_import


def test_heads_of_a_published_width_are_an_assumption_that_can_be_replaced(tmp_path: Path) -> None:
    options = {"img_size": 32, "patch_size": 16, "embed_dim": 384, "depth": 1, "num_heads": 12}
    model = timm.create_model("vit_small_patch16_224", num_classes=0, **options).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    images = torch.randn(1, 3, 32, 32)
    found = {}
    for heads in (None, 12):
        wishes = Wishes(num_heads=heads, depth=1)
        found[heads], _ = import_backbone(str(tmp_path / "weights.pth"), Options(wishes=wishes))
    assert (fact(found[None], "heads").value, fact(found[12], "heads").value) == ("6", "12")
    assert fact(found[None], "heads").basis.option == "--heads"
    assert fact(found[12], "heads").basis.option is None
    with torch.no_grad():
        expected = model(images)
        assert torch.allclose(found[12].backbone(images), expected, atol=1e-5)
        assert not torch.allclose(found[None].backbone(images), expected, atol=1e-3)


def test_heads_that_a_tensor_shows_are_known_and_not_contradicted(import_file: Import) -> None:
    tensors = dict(
        randomized(FULL_SIZE, img_size=32, patch_size=8, qk_norm=True).state_dict()
    )  # q_norm has one value for each of the dimensions of a head
    known = import_file(tensors, wishes=Wishes())
    assert fact(known, "heads").value == str(HEADS)
    assert fact(known, "heads").basis.option is None
    with pytest.raises(PoiseError, match=r"4 attention heads, but .*q_norm.weight is for 2"):
        import_file(tensors, wishes=Wishes(num_heads=4))


@pytest.mark.parametrize(
    ("positions", "prefix", "offered"),
    [
        (14 * 16 + 1, 1, ("--grid 14 16", "--grid 16 14", "--grid 15 15")),
        (14 * 14, 1, ("--grid 13 15", "--grid 14 14")),
        (10 * 20 + 1, 1, ("--grid 10 20", "--grid 20 10")),
        (2 * 7, 0, ("--grid ROWS COLUMNS",)),
    ],
)
def test_a_grid_that_can_be_read_in_two_ways_is_refused_with_those_that_fit(
    positions: int, prefix: int, offered: tuple[str, ...]
) -> None:
    with pytest.raises(PoiseError) as error:
        read_grid(positions, prefix, Wishes())
    for option in offered:
        assert option in str(error.value)


@pytest.mark.parametrize(
    ("positions", "prefix", "wanted"),
    [
        (14 * 14 + 1, 1, (14, 14, True)),
        (37 * 37 + 1, 1, (37, 37, True)),
        (14 * 14 + 5, 5, (14, 14, True)),  # timm's rule of models with registers
        (16 * 16, 4, (16, 16, False)),  # the rule of the registers paper
        (7 * 7, 0, (7, 7, False)),
    ],
)
def test_the_usual_square_grids_are_read_and_said_as_an_assumption(
    positions: int, prefix: int, wanted: tuple[int, int, bool]
) -> None:
    grid = read_grid(positions, prefix, Wishes())
    assert (grid.rows, grid.columns, grid.covers_prefix) == wanted
    assert grid.basis.option == "--grid"


def test_a_given_grid_that_is_not_square_keeps_the_features(import_file: Import) -> None:
    size = {"img_size": (14 * 4, 16 * 4), "patch_size": 4}
    model = randomized(FULL_SIZE, **size)
    tensors = dict(model.state_dict())
    assert tensors["pos_embed"].shape[1] == 225
    with pytest.raises(PoiseError, match=r"225 positions .* several grids"):
        import_file(tensors)
    images = torch.randn(2, 3, 14 * 4, 16 * 4)
    imported = import_file(tensors, wishes=Wishes(num_heads=HEADS, grid=(14, 16)))
    with torch.no_grad():
        tokens: Tensor = model.forward_features(images)  # type: ignore[operator]
        assert torch.allclose(imported.backbone(images), tokens[:, 0], atol=1e-5)
    assert fact(imported, "grid").value == "14 × 16 patches"
    turned = import_file(tensors, wishes=Wishes(num_heads=HEADS, grid=(16, 14)))
    with torch.no_grad():
        assert not torch.allclose(turned.backbone(images), tokens[:, 0], atol=1e-3)
    with pytest.raises(PoiseError, match=r"--grid 9 9: .* 9 × 9 patches, which do not match"):
        import_file(tensors, wishes=Wishes(num_heads=HEADS, grid=(9, 9)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "wanted", "option"),
    [
        ("vit_tiny_patch16_224", HALF, None),  # all of timm's tags agree
        ("vit_small_patch16_224", HALF, "--architecture vit_small_patch16_224.TAG"),
        ("vit_small_patch16_224.dino", IMAGENET, None),
        ("vit_small_patch16_224.augreg_in21k", HALF, None),
    ],
)
def test_the_pretrained_cfg_of_a_named_architecture_decides_the_normalisation(
    import_named: ImportNamed, name: str, wanted: dict[str, Any], option: str | None
) -> None:
    imported = import_named(name)
    assert imported.config["normalization"] == wanted
    found = fact(imported, "mean").basis.option
    assert found is None if option is None else (found or "").startswith(option)


def test_a_tag_that_timm_does_not_have_is_refused_with_those_it_has(
    import_named: ImportNamed,
) -> None:
    with pytest.raises(PoiseError, match=r"timm has no such tag; it has .*\.augreg_in21k"):
        import_named("vit_tiny_patch16_224.dinosaur")


def test_the_normalisation_of_a_bare_file_is_an_assumption_and_of_a_layout_it_is_known(
    import_file: Import,
) -> None:
    bare = import_file(vit_tensors())
    assert bare.config["normalization"] == IMAGENET
    assert fact(bare, "mean").basis.option == "--mean and --std"
    for known in ({**vit_tensors(), **dino_head()}, {**vit_tensors(), **decoder()}):
        assert fact(import_file({"teacher": known}), "mean").basis.option is None


def test_beit_is_normalised_by_a_half_as_timm_says(import_file: Import) -> None:
    options = {"img_size": 32, "patch_size": 8, "init_values": 0.1}
    tensors = dict(randomized("beit_base_patch16_224", **options).state_dict())
    imported = import_file(tensors, wishes=Wishes())
    assert imported.config["normalization"] == HALF
    assert fact(imported, "heads").basis.option is None, "its table of positions shows them"
    # BEiT v2 has the same tensors and ImageNet's statistics, and this was said as known.
    assert "BEiT v2" in fact(imported, "mean").basis.text
    assert fact(imported, "mean").basis.option == "--architecture, or --mean and --std"


def test_mean_and_std_are_given_together_and_of_values_from_0_to_1(import_file: Import) -> None:
    given = import_file(vit_tensors(), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    assert given.config["normalization"] == {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    assert fact(given, "mean").basis.option is None
    with pytest.raises(PoiseError, match=r"--mean is given without --std"):
        import_file(vit_tensors(), mean=(0.1, 0.2, 0.3))
    with pytest.raises(PoiseError, match=r"--mean 123.7 116.3 103.5: .* divide .* by 255"):
        import_file(vit_tensors(), mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4))
    with pytest.raises(PoiseError, match=r"--std 0 0.5 0.5"):
        import_file(vit_tensors(), mean=(0.1, 0.2, 0.3), std=(0.0, 0.5, 0.5))


@pytest.mark.slow
def test_options_that_something_else_decides_are_refused_and_not_ignored(
    tmp_path: Path, import_named: ImportNamed
) -> None:
    import_named(FULL_SIZE)
    wishes = Wishes(architecture=FULL_SIZE, num_heads=4)
    with pytest.raises(PoiseError, match=r"--heads: has no effect, because --architecture"):
        import_backbone(str(tmp_path / "weights.pth"), Options(wishes=wishes))
    with pytest.raises(PoiseError, match=r"--image-px 225: is not a multiple of .* 16 px; use 224"):
        import_named(FULL_SIZE, evaluation_px=225)


def test_options_out_of_range_or_about_another_kind_of_model_are_refused(
    import_file: Import, tmp_path: Path
) -> None:
    for eps in (-1.0, 0.0, float("nan"), 2.0):
        with pytest.raises(PoiseError, match=r"--norm-eps .*: needs a number between 0 and 1"):
            import_file(vit_tensors(), wishes=Wishes(num_heads=HEADS, norm_eps=eps))
    with pytest.raises(PoiseError, match=r"--grid -4 -4: rows and columns must be at least 1"):
        import_file(vit_tensors(), wishes=Wishes(num_heads=HEADS, grid=(-4, -4)))
    with pytest.raises(PoiseError, match=r"--architecture vit_huge_idea: timm has no such model"):
        import_file(vit_tensors(), wishes=Wishes(architecture="vit_huge_idea"))
    residual = timm.create_model("resnet18").state_dict()
    with pytest.raises(PoiseError, match="--heads: has no effect on a residual network"):
        import_file(residual, wishes=Wishes(num_heads=HEADS))


def test_a_model_of_another_architecture_is_refused_with_the_option_that_names_it(
    import_file: Import,
) -> None:
    clip = dict(randomized("vit_base_patch16_clip_224", img_size=32).state_dict())
    with pytest.raises(PoiseError, match=r"proj\.bias\); .* norm_pre.weight.* --architecture"):
        import_file(clip)


def test_a_file_that_pools_by_mean_has_the_features_of_timm(import_file: Import) -> None:
    for class_token in (True, False):
        options = {"img_size": 32, "patch_size": 8, "global_pool": "avg"}
        model = randomized(FULL_SIZE, **options, class_token=class_token)
        tensors: Tensors = dict(model.state_dict())
        assert "fc_norm.weight" in tensors and "norm.weight" not in tensors
        imported = import_file(tensors)
        images = torch.randn(2, 3, 32, 32)
        with torch.no_grad():
            assert torch.allclose(imported.backbone(images), model(images), atol=1e-5)
        assert imported.config["backbone"]["options"]["depth"] == DEPTH
        assert imported.backbone.feature_dim == WIDTH
