"""Measurements of features, with labels that training never saw, and of attention.

In: a backbone and a labelled dataset. Out: ``(name, value)`` pairs under a protocol's id, and
pictures. Next: ``poise.tracking`` logs them; the training loop calls some of the probes.
"""
