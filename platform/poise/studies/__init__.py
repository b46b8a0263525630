"""What was asked, what each trial did, and what follows from it.

In: a space and the records of its trials. Out: statistics and findings. Next: ``poise.reports``.
Loads with neither Ray nor Ray Tune.
"""
