"""The names of what runs log: the one place that lists them.

In: nothing. Out: names by what a run must have for them. Next: ``poise.config.objectives``, whose
``Signals.metrics`` says which of them a run logs. The functions of ``poise.diagnostics`` say what
each one means.

``schedule/…`` are left out, as they are settings, and the points of curves, of which there are as
many as a backbone is wide or deep: ``features/spectrum_…`` and ``eval/attention/…``.
"""

LABELLED = ("eval/knn_top1", "eval/knn_top5", "eval/linear_top1")
"""At evaluations, where the recipe names labelled queries."""

LABEL_FREE = ("eval/rankme", "eval/lidar")
"""At evaluations."""

ATTENTION = ("eval/cls_pos_entropy_over_ln_n", "eval/cls_cls_attention")
"""At evaluations, of transformers with a [cls] token."""

EVALUATION = LABELLED + LABEL_FREE + ATTENTION
"""At evaluations."""

TRAINING = (
    "loss/total",
    "gradient/norm",
    "throughput/images_per_s",
    "throughput/s_per_step",
    "throughput/data_wait_share",
)
"""Of every run."""

PARTS = ("gradient/norm_backbone", "gradient/norm_head")
"""Where backbone and head learn together."""

VIEWS = ("views/largest_value",)
"""Of the normalised views."""

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
"""Of several images."""

AGREEMENT = ("features/alignment", "features/lidar")
"""Of features of several views of each image."""

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
"""Of transformers; residual networks have no patches. What is of [cls], where there is one."""

REGISTERS = ("tokens/register_norm",)
"""Of transformers with registers."""

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
"""Of a teacher over prototypes."""

GLOBAL_PAIRS = ("teacher/cross_entropy_global", "teacher/kl_global")
"""Of a teacher that compares global views with each other."""

LOCAL_PAIRS = ("teacher/cross_entropy_local", "teacher/kl_local", "student/entropy_local")
"""Of a teacher whose student sees local views."""

RECONSTRUCTION = (
    "loss/over_mean_patch",
    "loss/over_flat_patch",
    "prediction/std",
    "prediction/std_over_target",
)
"""Of predicted pixels."""
