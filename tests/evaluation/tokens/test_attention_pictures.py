"""What is written of attention reports, for programs and for people."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from poise.config.recipe import BackboneConfig
from poise.evaluation.tokens.attention import AttentionReport, Statistic
from poise.evaluation.tokens.attention_pictures import (
    MAX_BLOCKS,
    draw_blocks,
    draw_heads,
    draw_statistics,
)
from poise.evaluation.tokens.files import points, write_statistics
from poise.evaluation.tokens.norm_pictures import draw_norms
from poise.models.backbone import build_backbone

NORMALIZATION = ([0.5] * 3, [0.25] * 3)
CPU = torch.device("cpu")


def report(num_blocks: int, *, registers: int = 0, cls: bool = True) -> AttentionReport:
    """Values that tell block, and heads 0.1 apart."""
    names = ["pos_self_attention", "pos_pos_entropy_over_ln_n", "pos_magnitude"]
    names += ["cls_cls_attention", "pos_cls_attention", "cls_magnitude"] if cls else []
    names += ["pos_register_mass"] if registers else []

    def statistic(name: str, block: int) -> Statistic:
        heads = () if name.endswith("magnitude") else (block / 10, block / 10 + 0.1)
        return Statistic(block / 10 + 0.05, None, heads, (None,) * len(heads))

    blocks = ({name: statistic(name, block) for name in names} for block in range(num_blocks))
    return AttentionReport(
        protocol="attention/x",
        dataset="some",
        num_images=1,
        image_px=16,
        num_patches=9,
        num_registers=registers,
        num_heads=2,
        has_class_token=cls,
        blocks=tuple(blocks),
        norms=tuple(lengths(block, registers, cls) for block in range(num_blocks)),
        num_norm_images=1,
    )


def lengths(block: int, registers: int, cls: bool) -> dict[str, float]:
    """After a block: patches 1 to 4, [cls] 5, registers from 6, each and ten times the block."""
    quantiles = ("q50", "q90", "q99", "max")
    found = {f"pos_norm_{name}": 10.0 * block + n for n, name in enumerate(quantiles, start=1)}
    found |= {"cls_norm": 10.0 * block + 5} if cls else {}
    found |= {f"register_norm_{n}": 10.0 * block + 5 + n for n in range(1, registers + 1)}
    return found | {"pos_norm_bimodality": 1 / 3, "pos_outlier_share": block / 100}


def test_files_hold_every_block_statistic_and_head_and_read_back(tmp_path: Path) -> None:
    found = report(3)
    as_json, as_csv, norms = write_statistics(tmp_path, "models:/vit/1", found)
    content = json.loads(as_json.read_text())
    assert (content["model"], content["protocol"]) == ("models:/vit/1", "attention/x")
    assert content["blocks"][2]["cls_cls_attention"]["head_means"] == pytest.approx([0.2, 0.3])
    with as_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * (6 + 2 * 4)  # magnitudes have no heads
    last = [row for row in rows if row["block"] == "3" and row["statistic"] == "pos_cls_attention"]
    assert [row["head"] for row in last] == ["all", "1", "2"]
    assert [float(row["mean"]) for row in last] == pytest.approx([0.25, 0.2, 0.3])
    assert last[0]["standard_error"] == "", "one image has no error to tell"
    assert content["norms"][2]["cls_norm"] == 25
    with norms.open(newline="") as file:
        of_tokens = list(csv.DictReader(file))
    assert len(of_tokens) == 3 * 7
    assert {"block": "3", "statistic": "pos_norm_q99", "value": "23.0"} in of_tokens


def test_points_run_over_blocks_from_one() -> None:
    found = points(report(2, cls=False), "attention/scenes")
    assert found["attention/scenes/pos_self_attention"] == [(1, 0.05), (2, pytest.approx(0.15))]
    assert found["attention/scenes/pos_norm_max"] == [(1, 4), (2, 14)]
    assert len(found) == 3 + 6


@pytest.mark.slow
def test_models_of_other_depths_with_and_without_class_token_share_a_picture(
    tmp_path: Path,
) -> None:
    path = tmp_path / "statistics.png"
    models = {
        "dino": report(4),
        "registers": report(2, registers=4),
        "pooled": report(3, cls=False),
    }
    draw_statistics(path, models)
    with Image.open(path) as picture:
        columns = 5  # to [cls], to itself, to registers, entropy, magnitude
        assert picture.width == pytest.approx(2.3 * 150 * columns, abs=2)
    draw_statistics(path, {"pooled": report(3, cls=False)})
    draw_heads(tmp_path / "heads.png", report(3, cls=False))
    with Image.open(tmp_path / "heads.png") as picture:
        assert picture.width > picture.height


@pytest.mark.parametrize(
    ("registers", "cls", "lines"),
    [(0, True, ["[cls]"]), (4, True, ["[cls]", "each register"]), (0, False, [])],
    ids=["[cls] alone", "registers", "patches alone"],
)
def test_lengths_are_drawn_of_every_kind_of_token_that_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registers: int, cls: bool, lines: list[str]
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    draw_norms(tmp_path / "norms.png", report(3, registers=registers, cls=cls))
    of_lengths, of_outliers = figures[0].axes
    _, labels = of_lengths.get_legend_handles_labels()
    assert labels == [f"patch {name}" for name in ("max", "q99", "q90", "q50")] + lines
    drawn = [np.asarray(line.get_ydata()).tolist() for line in of_lengths.get_lines()]
    assert drawn[0] == [4, 14, 24] and len(drawn) == 4 + cls + registers
    assert np.asarray(of_outliers.get_lines()[0].get_ydata()).tolist() == [0, 1, 2], "in percent"


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "columns"), [(2, 3), (MAX_BLOCKS + 2, MAX_BLOCKS + 1)])
def test_maps_of_blocks_are_drawn_up_to_a_readable_number(
    tmp_path: Path, depth: int, columns: int
) -> None:
    options = {"patch_size": 8, "embed_dim": 24, "depth": depth, "num_heads": 2}
    config = BackboneConfig(name="vit_tiny_patch16_224", num_registers=1, options=options)
    backbone = build_backbone(config, image_px=32)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    path = tmp_path / "blocks.png"
    draw_blocks(path, backbone, images, NORMALIZATION, CPU, titles=["a", "b"])
    with Image.open(path) as picture:
        assert picture.width == pytest.approx(1.1 * 150 * columns, abs=2)
    assert backbone.training
