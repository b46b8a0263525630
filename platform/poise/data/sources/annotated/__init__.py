"""Reads masks, boxes and videos that users provide with their images.

Next: ``poise.data.sources.annotated.opening``.
"""
