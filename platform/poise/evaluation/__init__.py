"""Measures features and attention of a backbone on datasets that training did not use.

In: a backbone and a dataset. Out: ``(name, value)`` pairs under a protocol's id, and pictures.
Next: ``poise.tracking`` logs them. The training loop also calls some of the probes.
"""
