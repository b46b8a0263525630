"""Backbones and heads.

In: a backbone's name and options. Out: a module that turns images into features, and packages of
weights that load without running code from the package. Next: ``poise.objectives``.
"""
