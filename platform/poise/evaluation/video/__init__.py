"""Measures video object segmentation with frozen patch features.

In: a backbone and a dataset of video sequences with masks. Out: accuracies of regions and
boundaries. Next: ``poise evaluate video``.
"""
