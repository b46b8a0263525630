"""A register without training, on a transformer whose outliers were planted."""

import json
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.backbone import ResNetBackbone, VitBackbone, build_backbone
from poise.models.block_traces import trace
from poise.models.checksums import CONFIG_FILE, write_checksums
from poise.models.package import load_backbone, save_backbone
from poise.models.published.export import export_backbone
from poise.models.test_time_registers import (
    AddedRegister,
    describe_added_register,
    with_test_time_registers,
)
from poise.objectives.finetune import check_tunable
from tests.planted import BLOCK, NEURON, mark, planted_backbone

IMAGES = 0.1 * torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def norms(backbone: VitBackbone, images: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = torch.linalg.vector_norm(backbone.block_outputs(images, 1)[0], dim=-1)
    return found


def test_outliers_leave_the_patches_and_sit_in_the_added_token() -> None:
    backbone = planted_backbone()
    images = mark(IMAGES, [(0, 5), (1, 5), (1, 12)])
    before = norms(backbone, images)[:, 1:]
    changed = with_test_time_registers(backbone, [(BLOCK, NEURON)])
    after = norms(changed, images)
    ordinary = before[2:].median()
    assert before[0, 5] > 10 * ordinary and before[1, 12] > 10 * ordinary
    assert after[:, 2:].max() < 3 * ordinary, "no patch is an outlier any more"
    assert (after[:2, 1] > 0.8 * before[0, 5]).all(), "the added token took the norm over"
    assert (after[2:, 1] < 3 * ordinary).all(), "without outliers it takes over nothing"


def test_large_negative_activations_move_too() -> None:
    backbone = planted_backbone()
    mlp = backbone.timm_model.blocks[BLOCK].mlp
    mlp.act.register_forward_hook(lambda _, given, output: -output)
    with torch.no_grad():
        mlp.fc2.weight.neg_()  # so the block computes the same as before
    images = mark(IMAGES, [(0, 5), (1, 5)])
    before = norms(backbone, images)[0, 6]
    after = norms(with_test_time_registers(backbone, [(BLOCK, NEURON)]), images)
    assert (after[:2, 1] > 0.8 * before).all(), "the added token took the norm over"


def test_images_without_outliers_keep_their_features() -> None:
    backbone = planted_backbone()
    changed = with_test_time_registers(backbone, [(BLOCK, NEURON)])
    with torch.no_grad():
        before, after = backbone(IMAGES), changed(IMAGES)
    # The empty token takes one of 18 shares of attention. Nothing else changes.
    assert torch.nn.functional.cosine_similarity(before, after).min() > 0.995


def test_the_larger_the_image_the_less_the_empty_token_takes() -> None:
    backbone = planted_backbone()
    changed = with_test_time_registers(backbone, [(BLOCK, NEURON)])
    images = 0.1 * torch.randn(4, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before, after = backbone(images), changed(images)
    assert torch.nn.functional.cosine_similarity(before, after).min() > 0.9999


def test_the_original_stays_as_it_is() -> None:
    backbone = planted_backbone()
    images = mark(IMAGES, [(0, 5)])
    with torch.no_grad():
        before = backbone.tokens(images)
        with_test_time_registers(backbone, [(BLOCK, NEURON)])
        assert torch.equal(backbone.tokens(images), before)


def test_tokens_features_and_traces_count_the_added_token_as_a_register() -> None:
    backbone = planted_backbone(reg_tokens=2, no_embed_class=False)
    changed = with_test_time_registers(backbone, [(BLOCK, NEURON)])
    assert changed.num_prefix_tokens == backbone.num_prefix_tokens + 1 == 4
    with torch.no_grad():
        assert changed.tokens(IMAGES).shape[1] == backbone.tokens(IMAGES).shape[1] + 1
        torch.testing.assert_close(changed(IMAGES), changed.tokens(IMAGES)[:, 0])
    (last,) = trace(changed, IMAGES, first=-1)
    assert last.attention.shape[-1] == 4 + 16


def test_the_activation_moves_and_nothing_else_does() -> None:
    backbone = planted_backbone()
    backbone.timm_model.blocks[BLOCK].mlp.act.register_forward_hook(lambda _, given, out: -out)
    changed = with_test_time_registers(backbone, [(BLOCK, NEURON), (BLOCK, 3)])
    seen: list[Tensor] = []
    layer = changed.timm_model.blocks[BLOCK].mlp.fc2
    mlp = changed.timm_model.blocks[BLOCK].mlp
    mlp.norm.register_forward_hook(lambda _, given, output: seen.append(output))
    layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        changed.tokens(mark(IMAGES, [(0, 5)]))
    before, after = seen
    moved, others = (
        [3, NEURON],
        [each for each in range(before.shape[2]) if each not in (3, NEURON)],
    )
    assert torch.equal(after[..., others], before[..., others])
    assert torch.equal(after[:, 0], before[:, 0]), "[cls] keeps its activations"
    given = before[..., moved]
    largest = given.gather(1, given.abs().argmax(dim=1, keepdim=True))[:, 0]
    assert (largest < 0).any()
    torch.testing.assert_close(after[:, 1, moved], largest)
    assert not after[:, 2:, moved].any()


def test_a_model_that_pools_patches_leaves_the_added_token_out() -> None:
    backbone = planted_backbone(class_token=False, global_pool="avg", fc_norm=True)
    changed = with_test_time_registers(backbone, [(BLOCK, NEURON)])
    with torch.no_grad():
        outputs = changed.block_outputs(IMAGES, 1)[0]
        expected = backbone.timm_model.forward_head(outputs[:, 1:], pre_logits=True)
        torch.testing.assert_close(changed(IMAGES), expected)


def test_a_package_keeps_the_added_register(tmp_path: Path) -> None:
    config = BackboneConfig(options={"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2})
    backbone = build_backbone(config, 32)
    changed = with_test_time_registers(backbone, [(0, 1), (1, 2)]).eval()
    described = {"backbone": config.model_dump(mode="json"), "image_px": 32}
    save_backbone(tmp_path / "model", changed, described | describe_added_register(changed))
    loaded, kept = load_backbone(tmp_path / "model")
    assert isinstance(loaded, AddedRegister) and loaded.neurons == ((0, 1), (1, 2))
    with torch.no_grad():
        assert torch.equal(loaded.tokens(IMAGES), changed.tokens(IMAGES))
    assert describe_added_register(backbone) == {}

    for wrong, message in (
        ({"neurons": [[9, 1]]}, "the backbone has 2 blocks"),
        ({"neurons": [1]}, "no pairs of block and neuron"),
    ):
        kept["added_register"] = wrong
        path = tmp_path / "model" / CONFIG_FILE
        path.write_text(json.dumps(kept))
        (tmp_path / "model" / "checksums.json").unlink()
        write_checksums(tmp_path / "model")
        with pytest.raises(PoiseError, match=message):
            load_backbone(tmp_path / "model")


def test_published_layouts_cannot_say_what_it_does(tmp_path: Path) -> None:
    changed = with_test_time_registers(planted_backbone(), [(BLOCK, NEURON)])
    with pytest.raises(PoiseError, match="no published layout can say"):
        export_backbone(changed, {}, tmp_path / "model.safetensors", "timm")


def test_training_would_change_what_was_not_trained() -> None:
    changed = with_test_time_registers(planted_backbone(), [(BLOCK, NEURON)])
    with pytest.raises(PoiseError, match="fine-tune the package that it was added to"):
        check_tunable(changed, "model")


def test_what_cannot_get_a_register_is_refused() -> None:
    backbone = planted_backbone()
    changed = with_test_time_registers(backbone, [(BLOCK, NEURON)])
    for model, neurons, message in (
        (changed, [(0, 0)], "has an added register already"),
        (backbone, [], "nothing to move"),
        (backbone, [(9, 0)], "has 3 blocks"),
        (backbone, [(0, 10_000)], "MLP has 128 neurons"),
        (ResNetBackbone(timm.create_model("resnet10t")), [(0, 0)], "only a vision transformer"),
        (nn.Identity(), [(0, 0)], "only a vision transformer"),
    ):
        with pytest.raises(PoiseError, match=message):
            with_test_time_registers(model, neurons)
