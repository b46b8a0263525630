"""A run's metrics over its steps.

In: the numbers of logged steps. Out: ``History``. Next: ``poise.diagnostics.judge``.
"""

History = list[tuple[int, dict[str, float]]]
"""The metrics of every boundary so far, by step."""
