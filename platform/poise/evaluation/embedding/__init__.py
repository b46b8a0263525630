"""Dataset as a backbone sees it: a map of its images and a tree of its classes.

In: a backbone and a dataset. Out: coordinates, nearest images and distances of classes. Next:
``poise.reports.embedding`` draws the page.
"""
