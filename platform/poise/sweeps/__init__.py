"""Runs many trials of one recipe with Ray Tune, and registers the best backbone.

In: a search space (settings to try, as YAML). Out: trials with verdicts, a report that compares the
trials, and the best healthy backbone in the registry. Next: the command line.

No other package of Poise imports Ray Tune. A study is one sweep or ablation. The study's own files
record its progress (``poise.studies.records``). Tune's files are never read. So an interrupted
study can continue, and nothing is unpickled.
"""
