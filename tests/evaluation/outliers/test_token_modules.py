"""What is read of tokens, compared with each token at hand."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from poise.evaluation.outliers.token_modules import (
    Drawn,
    NormReader,
    TokenReader,
    draw_places,
    neighbour_cosines,
    patch_pixels,
)
from tests.evaluation.outliers.conftest import SIDE, small_vit

N = SIDE**2


def some_images(num: int = 5) -> torch.Tensor:
    return torch.randn(num, 3, 4 * SIDE, 4 * SIDE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("options", [{}, {"class_token": False, "global_pool": "avg"}])
def test_norms_and_tokens_are_the_backbones_own(options: dict[str, object]) -> None:
    backbone, images = small_vit(2, **options), some_images()
    prefix = backbone.num_prefix_tokens
    found = TokenReader(backbone, Drawn(longest=3, drawn=4))(images)
    raw = torch.stack(backbone.block_outputs(images, 3), dim=1)
    assert torch.allclose(found["norms"], raw.norm(dim=-1))
    assert torch.equal(NormReader(backbone)(images)["norms"], found["norms"])
    tokens = backbone.last_norm(raw[:, -1])
    assert torch.allclose(found["prefix"], tokens[:, :prefix])
    for name, count in (("longest", 3), ("drawn", 4)):
        places = found[f"{name}_places"]
        assert places.shape == (5, count)
        for image, of_image in enumerate(places):
            assert torch.allclose(
                found[f"{name}_tokens"][image], tokens[image, prefix:][of_image], atol=1e-6
            )
            pixels = patch_pixels(images, 4)[image][of_image]
            assert torch.allclose(found[f"{name}_pixels"][image].float(), pixels, atol=1e-2)
    lengths = raw[:, -1, prefix:].norm(dim=-1)
    assert torch.equal(found["longest_places"][:, 0], lengths.argmax(dim=1))


def test_a_patchs_pixels_are_those_that_the_embedding_sees() -> None:
    backbone, images = small_vit(), some_images()
    projection = backbone.timm_model.patch_embed.proj
    weights = projection.weight.flatten(1)  # [D, 3·p·p]
    own = patch_pixels(images, 4) @ weights.T + projection.bias
    embedded = backbone.timm_model.patch_embed(images).reshape(5, N, -1)
    assert torch.allclose(own, embedded, atol=1e-4)


def test_cosines_are_means_over_direct_neighbours() -> None:
    patches = torch.randn(2, 3, 4, 6)
    found = neighbour_cosines(patches).view(2, 3, 4)
    corner = [
        cosine_similarity(patches[0, 0, 0], patches[0, i, j], dim=0) for i, j in ((0, 1), (1, 0))
    ]
    assert found[0, 0, 0].item() == pytest.approx(torch.stack(corner).mean().item(), abs=1e-6)
    around = ((0, 2), (2, 2), (1, 1), (1, 3))
    inner = [cosine_similarity(patches[1, 1, 2], patches[1, i, j], dim=0) for i, j in around]
    assert found[1, 1, 2].item() == pytest.approx(torch.stack(inner).mean().item(), abs=1e-6)
    assert neighbour_cosines(torch.ones(1, 1, 1, 5)).tolist() == [[1.0]]


def test_an_image_draws_the_same_patches_in_every_batch() -> None:
    images = some_images(6)
    drawn = draw_places(images, N, 10)
    again = torch.cat([draw_places(part, N, 10) for part in images.split([1, 2, 3])])
    assert torch.equal(drawn, again)
    assert all(len(set(row)) == 10 for row in drawn.tolist())
    assert len({tuple(row) for row in drawn.tolist()}) == 6, "other images draw other patches"
