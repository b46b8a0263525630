"""Video object segmentation by frozen features.

In: a backbone and a dataset of video sequences with masks. Out: region and boundary accuracy.
Next: ``poise evaluate video``.
"""
