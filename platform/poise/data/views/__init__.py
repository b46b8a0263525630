"""One image turned into views: decoded, cropped, and augmented on the device.

In: encoded bytes. Out: uint8 views and their photometric parameters. Next: ``poise.data.batch``.
"""
