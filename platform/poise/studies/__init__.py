"""Request of a study, the records of its trials, and the conclusions from them.

In: a space and the records of its trials. Out: statistics and findings. Next: ``poise.reports``.
This stage loads without Ray and Ray Tune.
"""
