"""Measures semantic segmentation by a linear classifier on frozen patch tokens.

In: a backbone and two datasets with masks. Out: intersection over union by class. Next:
``poise evaluate segmentation``.
"""
