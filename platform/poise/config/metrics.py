"""Names of all logged metrics. No other place lists them.

In: nothing. Out: names, grouped by what a run needs to log them, and for each metric whether high
or low values are better. Next: ``poise.config.objectives``, whose ``Signals.metrics`` says which
metrics a run logs. The functions of ``poise.diagnostics`` explain each metric.

Two families are not listed. ``schedule/…`` are settings. The points of curves
(``features/spectrum_…`` and ``eval/attention/…``) depend in number on the backbone.
"""

from collections.abc import Mapping
from typing import Literal

LABELLED = ("eval/knn_top1", "eval/knn_top5", "eval/linear_top1")
"""Metrics of evaluations. They need labelled queries in the recipe."""

LABEL_FREE = ("eval/rankme", "eval/lidar")
"""Metrics of evaluations, with or without labels."""

ATTENTION = ("eval/cls_pos_entropy_over_ln_n", "eval/cls_cls_attention")
"""Metrics of evaluations of transformers with a [cls] token."""

DENSE = ("eval/dense_miou",)
"""Metrics of evaluations of transformers. They need masks in the bank and in the queries."""

FORGETTING = ("eval/knn_forgotten", "eval/knn_learned", "eval/knn_queries")
"""Metrics of evaluations of runs that start from a trained model. They need labelled queries."""

EVALUATION = LABELLED + LABEL_FREE + ATTENTION + DENSE
"""All metrics of evaluations that every run can log."""

TRAINING = (
    "loss/total",
    "gradient/norm",
    "throughput/images_per_s",
    "throughput/s_per_step",
    "throughput/data_wait_share",
)
"""Metrics of every run."""

PARTS = ("gradient/norm_backbone", "gradient/norm_head")
"""Metrics of runs in which backbone and head are trained together."""

VIEWS = ("views/largest_value",)
"""Statistics of the normalised views."""

FEATURES = (
    "features/std",
    "features/rankme",
    "features/alpha_req",
    "features/participation_ratio",
    "features/nesum",
    "features/stable_rank",
    "features/condition",
    "features/coherence",
    "features/self_clustering",
    "features/cosine_mean",
    "features/cosine_max",
    "features/uniformity",
    "features/nn_distance",
)
"""Metrics of runs that compare features of several images."""

AGREEMENT = ("features/alignment", "features/lidar")
"""Metrics of runs with several views of each image."""

PATCHES = (
    "patches/cosine",
    "patches/cls_cosine",
    "patches/norm_q50",
    "patches/norm_q90",
    "patches/norm_q99",
    "patches/norm_max",
    "patches/norm_bimodality",
    "patches/outlier_share",
    "tokens/cls_norm",
)
"""Metrics of transformers. Residual networks have no patches. Metrics of [cls] need that token."""

COST = ("throughput/backbone_gflops",)
"""Metrics of transformers."""

REGISTERS = ("tokens/register_norm",)
"""Metrics of transformers with registers."""

TEACHER = (
    "loss/over_ln_k",
    "teacher/entropy",
    "teacher/entropy_over_ln_k",
    "teacher/kl",
    "teacher/kl_over_ln_k",
    "teacher/cross_entropy",
    "teacher/marginal_entropy",
    "teacher/marginal_entropy_over_ln_k",
    "teacher/mutual_information",
    "teacher/mutual_information_over_ln_k",
    "teacher/ema_gap",
    "teacher/update_size",
    "student/entropy_global",
    "center/norm",
    "prototypes/used_share",
    "prototypes/perplexity",
    "prototypes/dead_share",
    "prototypes/duplicate_share",
)
"""Metrics of runs with a teacher over prototypes."""

GLOBAL_PAIRS = ("teacher/cross_entropy_global", "teacher/kl_global")
"""Metrics of such a teacher if it compares global views with each other."""

LOCAL_PAIRS = ("teacher/cross_entropy_local", "teacher/kl_local", "student/entropy_local")
"""Metrics of such a teacher if its student sees local views."""

RECONSTRUCTION = (
    "loss/over_mean_patch",
    "loss/over_flat_patch",
    "prediction/std",
    "prediction/std_over_target",
)
"""Metrics of runs that predict pixels."""

METRICS = frozenset(
    EVALUATION + TRAINING + COST + PARTS + FEATURES + AGREEMENT + PATCHES + REGISTERS
    + TEACHER + GLOBAL_PAIRS + LOCAL_PAIRS + RECONSTRUCTION
)  # fmt: skip
"""Every name in this module."""

Mode = Literal["max", "min"]

HIGHER_IS_BETTER = (
    *LABELLED,
    *LABEL_FREE,
    *DENSE,
    "features/rankme",
    "features/lidar",
    "teacher/mutual_information",
    "teacher/mutual_information_over_ln_k",
    "prototypes/used_share",
    "prototypes/perplexity",
    "throughput/images_per_s",
)

LOWER_IS_BETTER = (
    "loss/total",
    "loss/over_ln_k",
    "loss/over_mean_patch",
    "loss/over_flat_patch",
    "patches/outlier_share",
    "prototypes/dead_share",
    "prototypes/duplicate_share",
    "throughput/s_per_step",
    "throughput/data_wait_share",
    *COST,
)


def better(metric: str) -> Mode | None:
    """Returns the better end of a metric, ``max`` or ``min``; None if neither is better.

    An entropy, a norm or a similarity has its healthy values in the middle. For example, the
    teacher's entropy is 0 in one collapse and ln K in the other.
    """
    if metric in HIGHER_IS_BETTER:
        return "max"
    return "min" if metric in LOWER_IS_BETTER else None


def group_before_training(starts_trained: bool) -> str:
    """Returns the group under which the first evaluation is logged: ``untrained`` or ``start``.

    Args:
        starts_trained: whether the run starts from the weights of a trained model.
    """
    return "start" if starts_trained else "untrained"


def before_training(metrics: Mapping[str, float], metric: str) -> tuple[str, float] | None:
    """Returns the group and the value of an evaluation's metric before training.

    Args:
        metrics: the metrics of one run.
        metric: such as ``eval/knn_top1``. Other groups are not measured before training.
    """
    group, _, name = metric.partition("/")
    for before in map(group_before_training, (True, False)):
        if group == "eval" and f"{before}/{name}" in metrics:
            return before, metrics[f"{before}/{name}"]
    return None
