"""Measures attention and norms of tokens, and draws pictures of both.

In: traces of a backbone, which contain the attention and the tokens of each block. Out: metrics and
PNG files. Next: ``poise.tracking``.
"""
