"""How good the features are, measured with labels that training never saw, and what they look at.

In: a backbone and a labelled dataset. Out: ``(name, value)`` pairs under a protocol's id, and
pictures. Next: ``poise.tracking`` keeps them; the training loop calls the probes on its way.
"""
