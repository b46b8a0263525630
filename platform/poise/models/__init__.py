"""Backbones and heads.

In: a backbone's name and options. Out: a module that turns images into features, and packages of
weights that load without running anybody's code. Next: ``poise.objectives``.
"""
