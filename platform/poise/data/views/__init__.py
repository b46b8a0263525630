"""Turns an image into views: decodes it, crops it, and changes its colours on the device.

In: encoded bytes. Out: uint8 views and their photometric parameters. Next: ``poise.data.batch``.
"""
