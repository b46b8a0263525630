"""Backbones that are found wherever a training framework put them."""

from typing import Any

import pytest
import torch

from poise.config import PoiseError
from poise.models.published.shapes import Wishes
from tests.models.conftest import HEADS, Import, Tensors
from tests.models.test_published_layouts import dino_head, prefixed, vit_tensors

PREFIXES = (
    "model.",
    "net.",
    "module.",
    "backbone.",
    "teacher_backbone.",
    "momentum_backbone.",
    "base_encoder.",
    "module.encoder_q.",
    "student.module.backbone.",
)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_one_backbone_is_taken_from_under_any_prefix_and_the_prefix_is_said(
    import_file: Import, prefix: str
) -> None:
    tensors = vit_tensors()
    others = {"queue": torch.zeros(4), f"{prefix}head.weight": torch.zeros(3, 32)}
    imported = import_file({**prefixed(prefix, tensors), **others})
    assert imported.prefix == prefix
    assert imported.dropped == {"head": 1, "outside the backbone": 1}
    assert same_values(imported, tensors)


def same_values(imported: Any, tensors: Tensors) -> bool:
    taken = imported.backbone.timm_model.state_dict()
    return all(torch.equal(taken[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    "content",
    [
        lambda tensors: {"state_dict": prefixed("model.", tensors), "epoch": 3},
        lambda tensors: {"net": {"trunk": tensors}},
        lambda tensors: {"checkpoint": {"model": prefixed("module.", tensors)}, "args": None},
        lambda tensors: {"model": dino_head(), "ema": tensors},
    ],
)
def test_nested_entries_are_searched_too(import_file: Import, content: Any) -> None:
    tensors = vit_tensors()
    assert same_values(import_file(content(tensors)), tensors)


def test_student_and_teacher_in_one_file_are_refused_until_one_is_chosen(
    import_file: Import,
) -> None:
    teacher = vit_tensors()
    student = {name: tensor + 1 for name, tensor in teacher.items()}
    content = {
        "state_dict": {
            **prefixed("student.backbone.", student),
            **prefixed("teacher.backbone.", teacher),
        }
    }
    refusal = "2 backbones, under 'student.backbone.', 'teacher.backbone.'; .* --prefix student"
    with pytest.raises(PoiseError, match=refusal):
        import_file(content)
    for prefix, wanted in (("teacher", teacher), ("student.backbone.", student)):
        chosen = import_file(content, wishes=Wishes(num_heads=HEADS, prefix=prefix))
        assert same_values(chosen, wanted)
        assert chosen.dropped == {"outside the backbone": len(teacher)}


def test_a_bare_backbone_beside_a_prefixed_one_is_chosen_by_an_empty_prefix(
    import_file: Import,
) -> None:
    tensors = vit_tensors()
    other = {name: tensor + 1 for name, tensor in tensors.items()}
    content = {**tensors, **prefixed("momentum_encoder.", other)}
    with pytest.raises(PoiseError, match=r"2 backbones, under '', 'momentum_encoder.'"):
        import_file(content)
    assert same_values(import_file(content, wishes=Wishes(num_heads=HEADS, prefix="")), tensors)


def test_a_prefix_that_is_not_there_lists_those_that_are(import_file: Import) -> None:
    with pytest.raises(PoiseError, match=r"--prefix ema: no backbone is there; .* under 'model.'"):
        content = prefixed("model.", vit_tensors())
        import_file(content, wishes=Wishes(num_heads=HEADS, prefix="ema"))


def test_two_residual_networks_are_refused_like_two_transformers(import_file: Import) -> None:
    stages = {"layer1.0.conv1.weight": torch.zeros(1)}
    content = {**prefixed("encoder_q.", stages), **prefixed("encoder_k.", stages)}
    with pytest.raises(PoiseError, match=r"under 'encoder_q.', 'encoder_k.'"):
        import_file(content)
