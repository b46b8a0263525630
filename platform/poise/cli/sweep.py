"""``poise sweep``: draws settings, trains them, and registers the best healthy backbone."""

from poise.cli.study.command import study_command

command = study_command(
    "sweep",
    """Find the best setting of a SPACE.

    Each trial is trained and tracked in MLflow. It gets a verdict: healthy, or how it failed. The
    best healthy backbone is registered. You may interrupt the study at any time. The same command
    with --resume continues it, and so does `poise sweep --resume NAME`. The exit status is 3 if a
    trial failed.

    Example: poise sweep search_spaces/demo.yaml trials=4 training.epochs=2
    """,
)
