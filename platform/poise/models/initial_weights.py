"""Copies the weights of a trained backbone to a new backbone, perhaps for another image size.

In: a trained backbone and a new backbone of the same architecture. Out: the new backbone, which
computes the same features. Next: ``poise.objectives``, whose student, teacher or encoder is the new
backbone.

Three properties may differ. Position embeddings are resampled to the new grid of patches. Registers
that the trained backbone does not have keep their random initial values. If only the trained
backbone has a position for its [cls] token, the position is added to the token, so that features
stay the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.models.backbone import VitBackbone
from poise.models.positions import resample_as_dino

_NAMES_SHOWN = 3


@dataclass(frozen=True)
class Layout:
    """Numbers of a transformer's tokens, and which tokens have a position embedding."""

    grid: tuple[int, int]
    """Rows and columns of patches."""

    num_prefix: int
    """Number of tokens before the patches: [cls] and registers."""

    num_registers: int
    has_positions: bool
    covers_prefix: bool
    """Whether the tokens before the patches also have position embeddings."""


def layout_of(backbone: nn.Module) -> Layout | None:
    """Describes a transformer's tokens; returns None for a residual network."""
    model: Any = backbone.timm_model
    if not hasattr(model, "patch_embed"):
        return None
    rows, columns = model.patch_embed.grid_size
    registers = getattr(model, "reg_token", None)
    positions = getattr(model, "pos_embed", None)
    covers = positions is not None and positions.shape[1] > rows * columns
    return Layout(
        grid=(rows, columns),
        num_prefix=int(model.num_prefix_tokens),
        num_registers=0 if registers is None else int(registers.shape[1]),
        has_positions=positions is not None,
        covers_prefix=covers,
    )


def adaptations(source: nn.Module, target: nn.Module) -> Iterator[str]:
    """Yields a phrase for everything that ``take_over`` would change or add. Reads no weights."""
    old, new = layout_of(source), layout_of(target)
    if old is None or new is None:
        return
    if old.has_positions and old.grid != new.grid:
        yield (
            f"positions are resampled from {_shown(old.grid)} to {_shown(new.grid)} patches as "
            f"{resampling_of(target)} does"
        )
    missing = new.num_registers - old.num_registers
    if missing > 0:
        are = "register is new and begins" if missing == 1 else "registers are new and begin"
        yield f"{missing} of {new.num_registers} {are} at random"
    if old.covers_prefix and _moves_positions(old, new):
        yield "the position of [cls] is added to its token"


def take_over(source: nn.Module, target: nn.Module) -> None:
    """Copies the weights of a trained backbone to a new backbone.

    Args:
        source: the trained backbone, on the CPU.
        target: a new backbone of the same architecture, on any device. If ``target`` has more
            registers than ``source``, the additional registers keep their values.

    Raises:
        PoiseError: ``source`` and ``target`` have different tensors or shapes. Registers may differ
            in number, and positions are resampled.
    """
    given: Mapping[str, Tensor] = source.timm_model.state_dict()  # type: ignore[union-attr]
    model: Any = target.timm_model
    own = model.state_dict()
    state = {**given, **_tokens(source, target, own)}
    _check_names_and_shapes(state, own)
    model.load_state_dict(state)


def _tokens(source: nn.Module, target: nn.Module, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Computes the new model's [cls], registers and positions from those of the trained model.

    Returns an empty dict if both models have the same tokens.
    """
    old, new = layout_of(source), layout_of(target)
    if old is None or new is None or old == new:
        return {}
    model: Any = source.timm_model
    found = _registers(getattr(model, "reg_token", None), old, own)
    if not old.has_positions:
        return found
    covered = old.num_prefix if old.covers_prefix else 0
    positions: Tensor = model.pos_embed.detach()
    prefix, patches = positions.split([covered, positions.shape[1] - covered], dim=1)
    patches = _resampled(patches, old.grid, new.grid, resampling_of(target))
    if _moves_positions(old, new):
        found |= _with_positions(model.cls_token, found.get("reg_token"), prefix, old)
        prefix = patches.new_zeros(1, new.num_prefix if new.covers_prefix else 0, patches.shape[2])
    return found | {"pos_embed": torch.cat([prefix, patches], dim=1)}


def _registers(trained: Tensor | None, old: Layout, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the new model's registers: first the trained registers, then random registers."""
    if "reg_token" not in own:
        return {}
    registers = own["reg_token"].detach().cpu().clone()
    if trained is not None:
        registers[:, : old.num_registers] = trained.detach()
    return {"reg_token": registers}


def _with_positions(
    cls: Tensor | None, registers: Tensor | None, prefix: Tensor, old: Layout
) -> dict[str, Tensor]:
    """Adds position embeddings [1, P, D] to the trained model's [cls] token and registers."""
    found: dict[str, Tensor] = {}
    if cls is not None and prefix.shape[1]:
        found["cls_token"] = cls.detach() + prefix[:, :1]
    if registers is not None and old.num_registers and prefix.shape[1]:
        found["reg_token"] = registers.clone()
        found["reg_token"][:, : old.num_registers] += prefix[:, -old.num_registers :]
    return found


def _moves_positions(old: Layout, new: Layout) -> bool:
    """Returns True if two models have different positions for the tokens before the patches."""
    if not old.has_positions:
        return False
    differ = old.covers_prefix != new.covers_prefix
    return differ or (old.covers_prefix and old.num_prefix != new.num_prefix)


def _resampled(
    positions: Tensor, old: tuple[int, int], new: tuple[int, int], resampling: str
) -> Tensor:
    """Resizes positions of patches [1, N, D] to the new grid."""
    if old == new:
        return positions
    if resampling == "dino":
        return resample_as_dino(positions, new, old)
    from timm.layers import resample_abs_pos_embed

    resized: Tensor = resample_abs_pos_embed(positions, list(new), list(old), num_prefix_tokens=0)
    return resized


def resampling_of(backbone: nn.Module) -> str:
    """Returns the method by which a backbone resamples its positions: ``dino`` or ``timm``."""
    return backbone.position_resampling if isinstance(backbone, VitBackbone) else "timm"


def _check_names_and_shapes(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    wrong = [name for name in own if name not in state or state[name].shape != own[name].shape]
    wrong += [name for name in state if name not in own]
    if wrong:
        more = f" and {len(wrong) - _NAMES_SHOWN} more" if len(wrong) > _NAMES_SHOWN else ""
        raise PoiseError(
            f"backbone.initial_weights: {', '.join(wrong[:_NAMES_SHOWN])}{more} do not fit the "
            "recipe's backbone; give the recipe the backbone of that model"
        )


def _shown(grid: tuple[int, int]) -> str:
    return f"{grid[0]} × {grid[1]}"
