"""DINO: self-distillation with no labels (arXiv 2104.14294).

Shapes: B images on this worker, G global and L local views, V = G + L, K prototypes, D features.
"""

import copy
import math

import torch
from torch import Tensor, nn

from poise.cluster.collectives import sum_over_workers
from poise.config.objectives import DinoConfig
from poise.config.recipe import Recipe
from poise.data.batch import ViewBatch
from poise.data.views.photometry import Photometry
from poise.models.backbone import build_backbone
from poise.models.heads.dino import DinoHead
from poise.models.initial_weights import take_over
from poise.models.last_tokens import OBSERVED_IMAGES, last_tokens
from poise.objectives.base import Objective, Observation, RunPosition, StepResult
from poise.objectives.loss import dino_loss
from poise.objectives.schedules import cosine, linear_then_constant


class Encoder(nn.Module):
    """Backbone with its head. Views may have several sizes."""

    def __init__(self, backbone: nn.Module, head: DinoHead):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def features(self, *view_groups: Tensor) -> Tensor:
        """Computes features [Σ views, B, D] of groups [views, B, 3, h, w].

        Each group needs one pass of the backbone.
        """
        batch = view_groups[0].shape[1]
        passed = [self.backbone(group.flatten(0, 1)) for group in view_groups if len(group)]
        features: Tensor = torch.cat(passed).unflatten(0, (-1, batch))
        return features

    def forward(self, *view_groups: Tensor) -> Tensor:
        """Computes logits [Σ views, B, K]. The head runs once for all views."""
        features = self.features(*view_groups)
        logits: Tensor = self.head(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        return logits


class Dino(Objective):
    """Student that predicts, from one view, the teacher's answer for another view.

    The teacher is the student's moving average. Two forces prevent trivial answers. Centering
    subtracts the teacher's mean answer. Sharpening (a low ``teacher_temp``) makes the teacher's
    answers narrow. With only one of the two forces, training collapses.
    """

    shares_batch_statistics = True  # as published, in student and teacher
    center: Tensor

    def __init__(self, recipe: Recipe, photometry: Photometry):
        super().__init__()
        assert isinstance(recipe.objective, DinoConfig)
        self.config = recipe.objective
        self.photometry = photometry
        image_px = recipe.data.views.global_px
        backbone = build_backbone(recipe.backbone, image_px)
        head = DinoHead(backbone.feature_dim, self.config.num_prototypes, self.config.head)
        self.student = Encoder(backbone, head)
        self.teacher = Encoder(
            build_backbone(recipe.backbone, image_px, drop_path=0), copy.deepcopy(head)
        )
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.register_buffer("center", torch.zeros(self.config.num_prototypes))
        self._latest: dict[str, Tensor] = {}

    def begin_with(self, backbone: nn.Module) -> None:
        """Takes over the weights of a trained backbone, in student and teacher. The head stays."""
        take_over(backbone, self.student.backbone)
        self.teacher.load_state_dict(self.student.state_dict())

    def step(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """Computes the loss on one batch of uint8 views."""
        return self.compare(
            self.photometry(batch.global_views, batch.global_photometry),
            self.photometry(batch.local_views, batch.local_photometry),
            position,
        )

    def compare(self, globals_: Tensor, locals_: Tensor, position: RunPosition) -> StepResult:
        """Computes the loss on normalised views: [G, B, 3, H, W] and [L, B, 3, h, w]."""
        self._latest = {}  # frees the last step's logits before new ones are made
        with torch.no_grad():
            features = self.teacher.features(globals_)  # [G, B, D]
            teacher_logits = self.teacher.head(features.flatten(0, 1)).float()  # [G·B, K]
            targets = ((teacher_logits - self.center) / self.teacher_temp(position)).softmax(dim=-1)
            targets = targets.unflatten(0, features.shape[:2])  # [G, B, K]
        student_logits = self.student(globals_, locals_)  # [V, B, K]
        loss = dino_loss(student_logits, targets, self.config.student_temp)
        self._latest = {
            "images": globals_[0, :OBSERVED_IMAGES].clone(),  # a slice would keep all of it alive
            "features": features,
            "targets": targets,
            "student_logits": student_logits.detach(),
            "logit_sum": teacher_logits.sum(dim=0),
            "num_rows": teacher_logits.new_tensor([len(teacher_logits)]),
        }
        over_ln_k = loss.detach() / math.log(self.config.num_prototypes)
        return StepResult(loss, {"loss/over_ln_k": over_ln_k})

    def observe(self) -> Observation:
        """Returns tensors of the latest step. All features are the teacher's before its update."""
        return Observation(
            views=self._latest["images"],
            features=self._latest["features"].float(),
            tokens=last_tokens(self.teacher.backbone, self._latest["images"]),
            teacher_probs=self._latest["targets"],
            student_logits=self._latest["student_logits"].float() / self.config.student_temp,
            prototypes=self.teacher.head.last_layer.weight_v,
            center=self.center,
        )

    def before_optimizer(self, position: RunPosition) -> None:
        """Freezes the prototypes in the first epochs.

        The gradient is removed instead of set to zero. Otherwise weight decay and Adam's moments
        would still move the prototypes.
        """
        frozen_steps = self.config.freeze_last_layer_epochs * position.steps_per_epoch
        if position.step < frozen_steps:
            for parameter in self.student.head.last_layer.parameters():
                parameter.grad = None

    @torch.no_grad()
    def after_step(self, position: RunPosition) -> None:
        """Moves the teacher towards the student, and the centre towards the teacher's mean."""
        momentum = self.teacher_momentum(position)
        torch._foreach_lerp_(
            list(self.teacher.parameters()), list(self.student.parameters()), 1 - momentum
        )
        total = sum_over_workers(torch.cat([self._latest["logit_sum"], self._latest["num_rows"]]))
        self.center.lerp_(total[:-1] / total[-1], 1 - self.config.center_momentum)

    def schedules(self, position: RunPosition) -> dict[str, float]:
        """Returns the teacher's momentum and temperature."""
        return {
            "schedule/teacher_momentum": self.teacher_momentum(position),
            "schedule/teacher_temp": self.teacher_temp(position),
        }

    def teacher_momentum(self, position: RunPosition) -> float:
        """Returns the teacher's momentum at this step, from 0 to 1. It follows a cosine."""
        config = self.config
        return cosine(
            position.step, position.total_steps, config.teacher_momentum,
            config.final_teacher_momentum,
        )  # fmt: skip

    def teacher_temp(self, position: RunPosition) -> float:
        """Returns the teacher's temperature.

        During warm-up it changes at the start of each epoch.
        """
        config = self.config
        return linear_then_constant(
            position.epoch, config.warmup_teacher_temp, config.teacher_temp,
            config.warmup_teacher_temp_epochs,
        )  # fmt: skip

    @property
    def trainable(self) -> nn.Module:
        """Student."""
        return self.student

    @property
    def backbone(self) -> nn.Module:
        """Backbone of the teacher, which is better than the student's throughout training."""
        return self.teacher.backbone

    @property
    def reference(self) -> nn.Module:
        """Teacher."""
        return self.teacher
