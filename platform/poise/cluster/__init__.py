"""The connection to Ray, and commands as jobs on a cluster.

In: a `poise` command and the address of a Ray cluster. Out: the command run there as a Ray Job,
its log lines here, its exit status. Next: `poise.cli`.
"""
