"""Advice for each verdict that is not healthy.

In: the kind of verdict. Out: a sentence. Next: ``poise.diagnostics.judge.verdict``. Sources: the
ablations of DINO (arXiv 2104.14294, sections 5.2 and 5.3 and the appendix) and of MAE (arXiv
2111.06377, section 4.1).
"""

UNDECIDED = "train longer, or log more often (lower training.log_every_steps)"

DIVERGED = (
    "lower optimizer.base_lr, clip gradients harder (optimizer.clip_grad), lengthen "
    "optimizer.warmup_epochs, or train in fp32 (training.precision)"
)

INPUTS = (
    "check the images before you change the optimiser: run poise data preview on the dataset; with "
    "data.views.normalization=dataset, a colour channel that is equal in all images is divided by "
    "zero (use data.views.normalization=imagenet)"
)

INPUTS_OR_OPTIMIZER = f"{INPUTS}; if the images are fine, {DIVERGED}"

COPIED_TEACHER = (
    "teacher and student have the same weights: raise objective.teacher_momentum (published: 0.996)"
)

UNMOVED_TEACHER = (
    "lower objective.teacher_momentum (published: 0.996): with a momentum of 1 the teacher never "
    "changes, and the backbone that is kept is the one that the run began with"
)

_SWINGING = (
    "let the teacher change more slowly: raise objective.teacher_momentum (published: 0.996); if "
    "it is already that high, lower optimizer.base_lr"
)

_COLLAPSED = {
    "collapsed: uniform": (
        "sharpen more: lower objective.teacher_temp (published: 0.04 to 0.07) or warm it up from a "
        "lower value; if it is in that range, lower optimizer.base_lr, because a learning rate "
        "that is too high has the same effect; if the cross-entropy has been at ln K since the "
        "start, use fewer prototypes or more steps"
    ),
    "collapsed: single prototype": (
        "lower objective.center_momentum, which strengthens centering (published: 0.9; with 1 "
        "there is no centering), or raise objective.teacher_temp, which weakens sharpening"
    ),
    "collapsed: partial prototypes": (
        "lower objective.center_momentum, which strengthens centering (published: 0.9), raise "
        "objective.teacher_temp, or use fewer prototypes (objective.num_prototypes)"
    ),
    "collapsed: dimensional": (
        "lower optimizer.base_lr or optimizer.weight_decay, make the task harder (more prototypes "
        "in objective.num_prototypes, more and smaller local views), or train in fp32"
    ),
    "swings above ln K": _SWINGING,
}

STUCK = (
    "the student does not learn: raise optimizer.base_lr (it is scaled by batch size / 256), "
    "shorten optimizer.warmup_epochs, or freeze the last layer for a shorter time "
    "(objective.freeze_last_layer_epochs)"
)


PREDICTS_MEAN = (
    "if optimizer.base_lr is tiny or has a long warm-up, raise it or train longer; if the loss "
    "jumped to this level, lower it; hide less (objective.mask_ratio, published: 0.75) or enlarge "
    "the decoder (objective.decoder_depth, objective.decoder_dim)"
)


def collapsed(kind: str, copied_teacher: bool) -> str:
    """Returns advice after a collapse of this kind, or for a run that swings.

    Args:
        kind: kind of verdict.
        copied_teacher: whether teacher and student had the same weights all the time.
    """
    return COPIED_TEACHER if copied_teacher else _COLLAPSED[kind]


_GENTLER = (
    "train more gently: lower optimizer.base_lr (try a tenth of it), lengthen "
    "optimizer.warmup_epochs, or train for fewer epochs"
)


def forgetting(has_teacher: bool) -> str:
    """Returns what to change when a run forgets what its trained start knew.

    Args:
        has_teacher: whether the objective has a teacher, whose momentum slows the kept backbone.
    """
    if has_teacher:
        return (
            f"{_GENTLER}; raise objective.teacher_momentum (published: 0.996), so that the kept "
            "backbone changes more slowly than the student"
        )
    return (
        f"{_GENTLER}; masked autoencoders often have a lower k-NN accuracy than other models, so "
        "compare with poise evaluate finetune before you give this run up"
    )
