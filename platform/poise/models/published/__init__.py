"""Imports published backbones, and exports backbones in published layouts.

In: a published checkpoint, a timm model, or a backbone of Poise. Out: the same weights with other
names. A conversion is either complete or refused. Next: ``poise.tracking.registry.imports``.
"""
