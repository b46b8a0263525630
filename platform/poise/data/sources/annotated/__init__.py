"""Masks, boxes and videos that people bring with their images.

Next: ``poise.data.sources.annotated.opening``.
"""
