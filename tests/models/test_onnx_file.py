from pathlib import Path

import pytest

from poise.models.published.onnx_file import write_onnx
from poise.models.published.timm_folder import write_timm_folder
from tests.backbone_kinds import made

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("kind", "px"),
    [
        pytest.param("vit", 48, marks=pytest.mark.heavy),  # registers have all of it and more
        ("registers", 48),
        ("eva", 48),
        ("beit", 64),
        ("resnet", None),
        ("timm's positions", None),
    ],
)
def test_onnxruntime_computes_what_torch_computes_for_any_number_of_images(
    tmp_path: Path, kind: str, px: int | None
) -> None:
    backbone, config = made(kind)
    write_timm_folder(tmp_path, backbone, config)
    written = write_onnx(tmp_path / "model.onnx", tmp_path, backbone, config["evaluation_px"])
    assert written.px == px
    assert 0 <= written.difference < 1e-3
    assert (tmp_path / "model.onnx").is_file()
