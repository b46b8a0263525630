"""A frozen backbone passed over images.

In: a backbone and a dataset. Out: features or tokens, in order. Next: the measurements.
"""
