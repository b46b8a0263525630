"""Makes a verdict on a log that another program wrote.

In: a log file in a usual format, and facts about the run from the user (``Facts``). Out: a
``LogVerdict``: the verdict, the meaning of the columns, and the metrics that are missing. Next:
`poise judge`.

``reading`` reads a file into a ``Log`` with the file's own columns. ``meaning`` converts the
columns to Poise's metrics. ``judging`` calls ``poise.diagnostics.judge``. The package does not
import torch.
"""
