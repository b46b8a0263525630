"""DINO's published training step, transcribed from its description, in plain eager PyTorch.

The yardstick of ``bench_dino_step``. Attention is materialised, crops come as a list, the loss
visits every pair of views, and clipping and the moving average visit every tensor. Parameters
have the names of timm and of the published head, so that one state fits both sides.
"""

import itertools
import math
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPSILON = 1e-6  # of the layer norms, and of clipping


class Attention(nn.Module):
    """Multi-head self-attention with the whole [T, T] matrix in memory."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        qkv = self.qkv(x).reshape(n, t, 3, self.num_heads, d // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1)) * (d // self.num_heads) ** -0.5
        mixed = weights.softmax(dim=-1) @ v
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, t, d))
        return out


class Mlp(nn.Module):
    """The block's two layers."""

    def __init__(self, dim: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=_EPSILON)
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=_EPSILON)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchEmbedding(nn.Module):
    """Patches as tokens."""

    def __init__(self, patch_px: int, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch_px, stride=patch_px)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return out


class VisionTransformer(nn.Module):
    """The published ViT without its drop path: images in, normed [cls] token out."""

    def __init__(self, image_px: int, patch_px: int, dim: int, depth: int, num_heads: int):
        super().__init__()
        self.patch_px, self.native = patch_px, image_px // patch_px
        self.patch_embed = PatchEmbedding(patch_px, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.native**2, dim))
        self.blocks = nn.ModuleList(Block(dim, num_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=_EPSILON)

    def positions(self, side: int) -> Tensor:
        """Position embeddings of a grid of another size, by a scale factor with 0.1 added."""
        if side == self.native:
            return self.pos_embed
        dim = self.pos_embed.shape[-1]
        grid = self.pos_embed[:, 1:].reshape(1, self.native, self.native, dim).permute(0, 3, 1, 2)
        factor = (side + 0.1) / self.native
        resized = F.interpolate(
            grid, scale_factor=(factor, factor), mode="bicubic", recompute_scale_factor=False
        )
        patches = resized.permute(0, 2, 3, 1).reshape(1, -1, dim)
        return torch.cat([self.pos_embed[:, :1], patches], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = x + self.positions(images.shape[-1] // self.patch_px)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)[:, 0]
        return out


class Head(nn.Module):
    """The projection head, its prototypes under torch's weight norm."""

    def __init__(self, dim: int, hidden_dim: int, bottleneck_dim: int, num_prototypes: int):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden_dim), nn.GELU(),
            nn.Linear(hidden_dim, hidden_dim), nn.GELU(),
            nn.Linear(hidden_dim, bottleneck_dim),
        )  # fmt: skip
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            self.last_layer = nn.utils.weight_norm(
                nn.Linear(bottleneck_dim, num_prototypes, bias=False)
            )
        self.last_layer.weight_g.requires_grad = False

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last_layer(F.normalize(self.mlp(x), dim=-1))
        return out


class MultiCrop(nn.Module):
    """A list of crops through the backbone, a pass per resolution, and once through the head."""

    def __init__(self, backbone: nn.Module, head: nn.Module):
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, crops: list[Tensor]) -> Tensor:
        features = [
            self.backbone(torch.cat(list(group)))
            for _, group in itertools.groupby(crops, key=lambda crop: crop.shape[-1])
        ]
        out: Tensor = self.head(torch.cat(features))
        return out


class Loss(nn.Module):
    """Cross-entropy over every pair of views, and the centre it moves."""

    center: Tensor

    def __init__(self, num_prototypes: int, num_crops: int):
        super().__init__()
        self.num_crops = num_crops
        self.register_buffer("center", torch.zeros(1, num_prototypes))

    def forward(self, student_out: Tensor, teacher_out: Tensor, teacher_temp: float) -> Tensor:
        students = (student_out / 0.1).chunk(self.num_crops)
        targets = ((teacher_out - self.center) / teacher_temp).softmax(dim=-1).detach().chunk(2)
        total, pairs = student_out.new_zeros((), dtype=torch.float32), 0
        for i, target in enumerate(targets):
            for v, student in enumerate(students):
                if v != i:
                    entropy = (-target * student.log_softmax(dim=-1)).sum(dim=-1)
                    total, pairs = total + entropy.mean(), pairs + 1
        self._move_center(teacher_out)
        return total / pairs

    @torch.no_grad()
    def _move_center(self, teacher_out: Tensor) -> None:
        mean = teacher_out.sum(dim=0, keepdim=True) / len(teacher_out)
        self.center = self.center * 0.9 + mean * 0.1


class PublishedStep:
    """Student, teacher, loss and optimiser, a step at a time."""

    def __init__(
        self,
        student: MultiCrop,
        teacher: MultiCrop,
        num_crops: int,
        num_prototypes: int,
        autocast_to: torch.dtype | None = None,
    ) -> None:
        device = next(student.parameters()).device
        self.student, self.teacher = student, teacher.requires_grad_(False)
        self.loss = Loss(num_prototypes, num_crops).to(device)
        named = [(name, p) for name, p in student.named_parameters() if p.requires_grad]
        spared = [p for name, p in named if name.endswith(".bias") or p.ndim == 1]
        decayed = [p for name, p in named if not (name.endswith(".bias") or p.ndim == 1)]
        groups: list[dict[str, Any]] = [
            {"params": decayed},
            {"params": spared, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups)
        self._autocast = torch.autocast(device.type, autocast_to, enabled=autocast_to is not None)

    def __call__(
        self, crops: list[Tensor], lr: float, weight_decay: float, momentum: float, temp: float
    ) -> Tensor:
        """One step on normalised crops, the two global ones first; its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.param_groups[0]["weight_decay"] = weight_decay
        with self._autocast:
            teacher_out = self.teacher(crops[:2])
            loss: Tensor = self.loss(self.student(crops), teacher_out, temp)
        if not math.isfinite(loss.item()):
            raise SystemExit("the published step's loss is no number")
        self.optimizer.zero_grad()
        loss.backward()
        self._clip(3.0)
        self.optimizer.step()
        with torch.no_grad():
            for ours, moved in zip(
                self.student.parameters(), self.teacher.parameters(), strict=True
            ):
                moved.mul_(momentum).add_((1 - momentum) * ours.detach())
        return loss.detach()

    def _clip(self, limit: float) -> None:
        for parameter in self.student.parameters():
            if parameter.grad is not None:
                scale = limit / (parameter.grad.norm(2) + _EPSILON)
                if scale < 1:
                    parameter.grad.mul_(scale)
