"""Passes images through a frozen backbone.

In: a backbone and a dataset. Out: features or tokens, in order. Next: the modules that compute
metrics from them.
"""
