"""What to try after a verdict that is not healthy.

In: the kind of verdict. Out: a sentence. Next: ``poise.diagnostics.judge.verdict``. Sources: the
ablations of DINO (arXiv 2104.14294, sections 5.2 and 5.3 and the appendix) and of MAE
(arXiv 2111.06377, section 4.1).
"""

UNDECIDED = "train longer, or log more often (a lower training.log_every_steps)"

DIVERGED = (
    "lower optimizer.base_lr, clip harder (optimizer.clip_grad), lengthen optimizer.warmup_epochs, "
    "or train in fp32 (training.precision)"
)

_COPIED_TEACHER = (
    "teacher and student hold the same weights: raise objective.teacher_momentum (published: 0.996)"
)

_COLLAPSED = {
    "collapsed: uniform": (
        "sharpen more: lower objective.teacher_temp (published: 0.04 to 0.07) or warm it up from a "
        "lower one; if it is in that range, lower optimizer.base_lr, which ends here too where it "
        "is too high; if it has never left ln K, try fewer prototypes or more steps"
    ),
    "collapsed: single prototype": (
        "centre more: lower objective.center_momentum (published: 0.9; at 1 there is no "
        "centering) or raise objective.teacher_temp"
    ),
    "collapsed: partial prototypes": (
        "centre more: lower objective.center_momentum (published: 0.9), raise "
        "objective.teacher_temp, or take fewer prototypes (objective.num_prototypes)"
    ),
    "collapsed: dimensional": (
        "lower optimizer.base_lr or optimizer.weight_decay, give the objective more to tell apart "
        "(objective.num_prototypes, more and smaller local views), or train in fp32"
    ),
}

STUCK = (
    "nothing moves: raise optimizer.base_lr (it is scaled by batch size / 256) or shorten its "
    "warm-up, or freeze the last layer for less long (objective.freeze_last_layer_epochs)"
)


PREDICTS_MEAN = (
    "if optimizer.base_lr is tiny or warms up for long, raise it or train longer; if the loss "
    "jumped to here, lower it; hide less (objective.mask_ratio, published: 0.75) or give the "
    "decoder more (objective.decoder_depth, objective.decoder_dim)"
)


def collapsed(kind: str, copied_teacher: bool) -> str:
    """What to change after a collapse of this kind."""
    return _COPIED_TEACHER if copied_teacher else _COLLAPSED[kind]
