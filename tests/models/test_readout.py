from pathlib import Path

import pytest
import torch

from poise.config.errors import PoiseError
from poise.models.backbone import VitBackbone
from poise.models.block_traces import trace
from poise.models.package import load_backbone
from poise.models.pooling import pool
from poise.models.readout import Readout, check_feature, default_feature
from tests.packages import save_package, save_resnet

IMAGES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_features_read_in_one_pass_are_those_read_one_by_one(tmp_path: Path) -> None:
    backbone, _ = load_backbone(save_package(tmp_path / "vit"))
    names = ("cls", "mean", "cls_mean", "last_2", "cp2", "attn_lcte", "attn_mn", "abmilp")
    together = Readout(backbone, names, 16)(IMAGES)
    assert set(together) == set(names)
    for name in names:
        alone = Readout(backbone, [name], 16)
        torch.testing.assert_close(together[name], alone(IMAGES)[name], rtol=1e-5, atol=1e-6)
        assert together[name].shape[-1] == alone.dim(name)
    assert isinstance(backbone, VitBackbone)
    last = [backbone.timm_model.norm(x) for x in backbone.block_outputs(IMAGES, 2)]
    torch.testing.assert_close(together["cls"], last[-1][:, 0])
    torch.testing.assert_close(together["last_2"], torch.cat([x[:, 0] for x in last], dim=1))
    (block,) = trace(backbone, IMAGES, first=-1)
    wanted = pool(block.outputs, block.attention, 1, (4, 4), "attn_mn")
    torch.testing.assert_close(together["attn_mn"], wanted)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ("clss", "did you mean 'cls'"),
        ("last_3", "has 2 blocks"),
        ("cp4", None),
        ("pooled", "only residual networks have it"),
    ],
)
def test_a_feature_that_is_not_there_is_refused_with_what_is(
    tmp_path: Path, feature: str, message: str | None
) -> None:
    backbone, _ = load_backbone(save_package(tmp_path / "vit"))
    if message is None:
        check_feature(backbone, feature, 16)
        return
    with pytest.raises(PoiseError, match=message):
        check_feature(backbone, feature, 16)


def test_a_residual_network_has_one_feature(tmp_path: Path) -> None:
    backbone, _ = load_backbone(save_resnet(tmp_path / "resnet"))
    assert default_feature(backbone) == "pooled"
    assert Readout(backbone, ["pooled"], 32)(torch.zeros(2, 3, 32, 32))["pooled"].ndim == 2
    with pytest.raises(PoiseError, match="has no tokens"):
        check_feature(backbone, "mean", 32)
