"""What timm loads from the folder computes what Poise computes, pictures included."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from poise.config import PoiseError
from poise.evaluation.reading.images import resize_and_crop
from poise.evaluation.reading.inference import normalized
from poise.models.published.fit import difference_of
from poise.models.published.sources import Options, import_backbone
from poise.models.published.timm_folder import exact_crop_pct, write_timm_folder
from tests.backbone_kinds import BACKBONES, MORE_BACKBONES, made

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", (*BACKBONES, *MORE_BACKBONES))
def test_timm_prepares_and_computes_as_poise_does(tmp_path: Path, kind: str) -> None:
    backbone, config = made(kind)
    write_timm_folder(tmp_path, backbone, config)
    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    prepare = timm.data.create_transform(**timm.data.resolve_data_config(model=model))
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    px, statistics = config["evaluation_px"], config["normalization"]
    for size in ((90, 61), (61, 200), (48, 48)):
        image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(resize_and_crop(image, px))).permute(2, 0, 1)
        prepared = normalized(pixels[None], (statistics["mean"], statistics["std"]))
        assert torch.allclose(prepare(image)[None], prepared, atol=1e-6)
        with torch.no_grad():
            assert difference_of(backbone(prepared), model(prepare(image)[None])) <= 1e-5


@pytest.mark.parametrize("kind", ["vit", "registers"])
def test_poise_reads_the_folder_again(tmp_path: Path, kind: str) -> None:
    backbone, config = made(kind)
    write_timm_folder(tmp_path, backbone, config)
    imported, _ = import_backbone(str(tmp_path), Options())
    images = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        assert torch.allclose(imported.backbone.eval()(images), backbone(images), atol=1e-5)


def test_every_usual_size_is_resized_to_the_same_pixel() -> None:
    for px in range(16, 1025):
        assert int(px / exact_crop_pct(px)) == round(px * 256 / 224)
    assert exact_crop_pct(224) == 0.875


def test_what_timm_cannot_say_is_refused(tmp_path: Path) -> None:
    backbone, config = made("vit")
    described = json.loads(json.dumps(config))
    described["backbone"]["options"]["norm_eps"] = 1e-5
    with pytest.raises(PoiseError, match="timm reads no norm_eps=1e-05 from a folder"):
        write_timm_folder(tmp_path, backbone, described)
    del described["backbone"]["options"]["norm_eps"], described["normalization"]
    with pytest.raises(PoiseError, match="no normalization"):
        write_timm_folder(tmp_path, backbone, described)


def test_other_weights_than_the_description_says_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, config = made("vit")
    monkeypatch.setattr(
        "poise.models.published.timm_folder.bare_tensors",
        lambda backbone: {
            name: tensor.detach() * 1.01
            for name, tensor in backbone.timm_model.state_dict().items()
        },
    )
    with pytest.raises(PoiseError, match="timm's features differ from Poise's by"):
        write_timm_folder(tmp_path, backbone, config)
