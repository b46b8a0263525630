"""Advice for each verdict that is not healthy.

In: the kind of verdict, and the teacher's schedule. Out: a few sentences. Next:
``poise.diagnostics.judge.collapse`` and all other rules.
Sources: the ablations of DINO (arXiv 2104.14294, sections 5.2 and 5.3 and the appendix) and of MAE
(arXiv 2111.06377, section 4.1).
"""

from poise.diagnostics.judge.teacher_schedule import TeacherSchedule
from poise.diagnostics.judge.verdict import VerdictKind

UNDECIDED = "Train for longer, or log more often (lower training.log_every_steps)."

CANNOT_TELL = "Log more metrics. docs/judge.md lists what to log, and what each metric shows."

DIVERGED = (
    "Lower optimizer.base_lr, clip gradients more strongly (lower optimizer.clip_grad), lengthen "
    "optimizer.warmup_epochs, or train in fp32 (training.precision=fp32)."
)

INPUTS = (
    "Check the images before you change the optimiser: run poise data preview on the dataset. If a "
    "colour channel has the same value in all images, data.views.normalization=dataset divides it "
    "by zero. In this case, use data.views.normalization=imagenet."
)

INPUTS_OR_OPTIMIZER = f"{INPUTS} If the images are fine, change the optimiser. {DIVERGED}"

COPIED_TEACHER = (
    "Teacher and student have the same weights. Raise objective.teacher_momentum (published value "
    "0.996)."
)

UNMOVED_TEACHER = (
    "Lower objective.teacher_momentum (published value 0.996). With a momentum of 1 the teacher "
    "never changes, so its backbone is still the one that the run began with."
)

_SLOWER_TEACHER = (
    "Let the teacher change more slowly: raise objective.teacher_momentum (published value 0.996)."
)

_SHARPEN = (
    "To sharpen more, lower objective.teacher_temp (published values 0.04 to 0.07), or begin with "
    "a lower temperature (objective.warmup_teacher_temp) for some epochs "
    "(objective.warmup_teacher_temp_epochs)."
)

_SLOWER_LEARNING = (
    "lower optimizer.base_lr: a learning rate that is too high also makes the teacher uniform."
)

_NEAR_LN_K = (
    "If the cross-entropy has been near ln K since the start, use fewer prototypes "
    "(objective.num_prototypes) or more steps."
)

_UNIFORM = {
    True: (
        "The teacher's temperature is not above the published values (0.04 to 0.07). So first "
        f"{_SLOWER_LEARNING} {_NEAR_LN_K}"
    ),
    False: f"{_SHARPEN} {_NEAR_LN_K}",
    None: (
        f"{_SHARPEN} If the temperature is already in this range, {_SLOWER_LEARNING} {_NEAR_LN_K}"
    ),
}
"""Advice for a uniform teacher: whether its temperature is a published value, or None if unknown.
"""

_COLLAPSED = {
    VerdictKind.SINGLE_PROTOTYPE: (
        "To strengthen centering, lower objective.center_momentum (published value 0.9; the value "
        "1 switches centering off). Or, to weaken sharpening, raise objective.teacher_temp "
        "(published values 0.04 to 0.07)."
    ),
    VerdictKind.PARTIAL_PROTOTYPES: (
        "To strengthen centering, lower objective.center_momentum (published value 0.9). Or, to "
        "weaken sharpening, raise objective.teacher_temp (published values 0.04 to 0.07). Or use "
        "fewer prototypes (objective.num_prototypes)."
    ),
    VerdictKind.DIMENSIONAL: (
        "Lower optimizer.base_lr or optimizer.weight_decay. Or make the task harder: use more "
        "prototypes (objective.num_prototypes), or more and smaller local views. Or train in fp32 "
        "(training.precision=fp32)."
    ),
    VerdictKind.SWINGING: (
        f"{_SLOWER_TEACHER} If it is already that high, lower optimizer.base_lr."
    ),
}

AT_LN_K = (
    "Log the teacher's entropy to find the cause. If it is near ln K, the teacher is uniform: "
    "lower objective.teacher_temp (published values 0.04 to 0.07). If it is below ln K, the "
    "student does not learn: raise optimizer.base_lr or shorten optimizer.warmup_epochs."
)

NEAR_ZERO = (
    "Log the entropy of the teacher's mean output over a batch (teacher/marginal_entropy) to find "
    "the cause. If it is near 0, all images share one prototype: lower objective.center_momentum "
    "(published value 0.9) or raise objective.teacher_temp (published values 0.04 to 0.07). If it "
    "is near ln K, or near the logarithm of the batch size, the task is too easy."
)

STUCK = (
    "The student does not learn. Raise optimizer.base_lr (Poise multiplies it by batch size / "
    "256), shorten optimizer.warmup_epochs, or freeze the last layer for a shorter time "
    "(objective.freeze_last_layer_epochs)."
)


PREDICTS_MEAN = (
    "If optimizer.base_lr is tiny or its warm-up is long, raise it or train for longer. If the "
    "loss jumped to this level, lower optimizer.base_lr. Or hide fewer patches (lower "
    "objective.mask_ratio, published value 0.75), or use a larger decoder "
    "(objective.decoder_depth, objective.decoder_dim)."
)


def collapsed(kind: VerdictKind, copied_teacher: bool, schedule: TeacherSchedule) -> str:
    """Returns advice after a collapse of this kind, or for a run that swings.

    A teacher that follows its student too fast is the first cause to remove. Then a uniform teacher
    whose temperature is a published value needs no other advice.

    Args:
        kind: kind of verdict.
        copied_teacher: whether teacher and student had the same weights all the time.
        schedule: momentum and temperature of the teacher.
    """
    if copied_teacher:
        return COPIED_TEACHER
    is_uniform = kind is VerdictKind.UNIFORM
    usual = _UNIFORM[schedule.is_sharp] if is_uniform else _COLLAPSED[kind]
    if not schedule.has_low_momentum:
        return usual
    if kind is VerdictKind.SWINGING or (is_uniform and schedule.is_sharp):
        return _SLOWER_TEACHER
    return f"{_SLOWER_TEACHER} If this does not help, try the following. {usual}"


_GENTLER = (
    "Train more gently: lower optimizer.base_lr (try a tenth of it), lengthen "
    "optimizer.warmup_epochs, or train for fewer epochs."
)


def forgetting(has_teacher: bool) -> str:
    """Returns advice for a run that forgets what its trained start knew.

    Args:
        has_teacher: whether the objective has a teacher. A higher momentum makes a teacher
            change more slowly, and Poise saves the teacher's backbone.
    """
    if has_teacher:
        return (
            f"{_GENTLER} Or raise objective.teacher_momentum (published value 0.996), so that the "
            "teacher changes more slowly than the student. Poise saves the teacher's backbone."
        )
    return (
        f"{_GENTLER} Masked autoencoders often have a lower k-NN accuracy than other models. So "
        "compare both backbones with poise evaluate finetune before you give up this run."
    )
