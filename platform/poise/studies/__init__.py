"""Studies: the search space, the records of the trials, and the conclusions from them.

In: a search space and the records of its trials. Out: statistics and findings. Next:
``poise.reports``. Importing this stage does not import Ray or Ray Tune.
"""
