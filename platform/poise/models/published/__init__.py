"""Import of published backbones and export in their layouts.

In: a published checkpoint, a timm model, or a backbone of Poise. Out: the same weights under the
other names, complete or refused. Next: ``poise.tracking.registry.imports``.
"""
