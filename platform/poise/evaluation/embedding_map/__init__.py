"""Shows which images of a dataset a backbone treats as similar: a map of images and a class tree.

In: a backbone and a dataset. Out: coordinates, nearest images and distances of classes. Next:
``poise.reports.embedding_map`` draws the page.
"""
