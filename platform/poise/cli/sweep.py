"""``poise sweep``: tries settings, trains them, and registers the best healthy backbone."""

from poise.cli.study.command import study_command

command = study_command(
    "sweep",
    """Find the best setting of a SPACE.

    A space is a YAML file that names a recipe and values of some hyperparameters. A setting is one
    combination of values. The sweep may draw settings at random, stop weak trials early, and learn
    from results which setting to try next. Each trial (one setting with one seed) is trained and
    tracked in MLflow. It gets a verdict: healthy, or how it failed. Healthy means that training did
    not collapse or diverge. A run that began from trained weights is healthy only if it also kept
    most of their k-NN accuracy. Healthy does not say how good the features are. The best healthy
    backbone is registered. You may interrupt the study at any time. The same command with --resume
    continues it, and so does `poise sweep --resume NAME`. The exit status is 3 if a trial ended
    with an error.

    Example: poise sweep search_spaces/demo.yaml trials=4 training.epochs=2

    Example: poise sweep --resume NAME
    """,
)
