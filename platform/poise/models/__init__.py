"""Backbones and heads.

In: a backbone's name and options. Out: a module that computes features of images, and packages of
weights. Loading a package runs no code from the package. Next: ``poise.objectives``.
"""
