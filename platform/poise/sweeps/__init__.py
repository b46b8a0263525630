"""Many runs of one recipe, and which of them to keep.

In: a space. Out: trials, each with a verdict, a report that compares them, and the best healthy
backbone in the registry. Next: ``poise.cluster`` and the command line. The only stage that knows
Ray Tune.

A study's own files are the truth of what is done (``poise.studies.records``); what Tune keeps for
itself is never read back, so a study goes on after any end, without unpickling anything.
"""
