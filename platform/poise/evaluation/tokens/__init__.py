"""What single tokens do: attention, norms, and their pictures.

In: traces of a backbone. Out: figures and PNG files. Next: ``poise.tracking``.
"""
