"""Backbones of others, in and out.

In: a published checkpoint, a timm model, or a backbone of ours. Out: the same weights under the
names that the other side uses, complete or refused. Next: ``poise.tracking.registry.imports``.
"""
