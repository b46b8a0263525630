"""Finds objects in images without training, by LOST and by the attention of [cls].

In: a backbone and a dataset with boxes or masks. Out: reports and pictures. Next:
``poise evaluate objects`` and ``poise evaluate masks``.
"""
