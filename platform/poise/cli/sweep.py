"""``poise sweep``: many runs of one recipe, the best of which is registered."""

from poise.cli.study.command import study_command

command = study_command(
    "sweep",
    """Sweep a SPACE; register the best healthy backbone.

    Each trial is trained, tracked in MLflow and judged: healthy, or which collapse. Interrupt the
    study whenever you like: the same command with --resume finishes what is left, and so does
    `poise sweep --resume NAME`.

    Example: poise sweep search_spaces/demo.yaml trials=4 training.epochs=2
    """,
)
