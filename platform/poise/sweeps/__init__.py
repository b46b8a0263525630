"""Runs many trials of one recipe and keeps the best. No other stage imports Ray Tune.

In: a space. Out: trials, each with a verdict, a report that compares them, and the best healthy
backbone in the registry. Next: ``poise.cluster`` and the command line.

Only a study's own files record what is done (``poise.studies.records``). Files that Tune writes for
itself are never read. So a study can continue after any end, without unpickling anything.
"""
