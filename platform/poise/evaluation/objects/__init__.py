"""Objects in images, found without training: by LOST, and by where attention goes.

In: a backbone and a dataset with boxes or masks. Out: reports and pictures. Next:
``poise evaluate objects`` and ``poise evaluate masks``.
"""
