"""Connects to Ray, and sends commands as jobs to a cluster.

In: a `poise` command and the address of a Ray cluster. Out: the command runs there as a Ray Job;
its log lines and exit status come back. Next: `poise.cli`.
"""
