"""Reads the masks, boxes and videos that users have for their images.

Next: ``poise.data.sources.annotated.opening``.
"""
