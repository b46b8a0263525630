"""Imports published backbones, and exports backbones in published layouts.

In: a published checkpoint, a timm model, or a backbone of Poise. Out: the same weights with other
names. If a conversion would be incomplete, an error is raised. Next:
``poise.tracking.registry.imports``.
"""
