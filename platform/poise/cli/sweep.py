"""``poise sweep``: draw settings, train them, and register the best healthy backbone."""

from poise.cli.study.command import study_command

command = study_command(
    "sweep",
    """Sweep a SPACE; register the best healthy backbone.

    Each trial is trained, tracked in MLflow and judged: healthy, or collapsed and in which way.
    Interrupt the study at any time: the same command with --resume finishes what is left, and so
    does `poise sweep --resume NAME`. The exit status is 3 if a trial failed.

    Example: poise sweep search_spaces/demo.yaml trials=4 training.epochs=2
    """,
)
