"""Connects to Ray, and sends commands as jobs to a cluster.

In: a `poise` command and the address of a Ray cluster. Out: the command runs on the cluster as a
Ray Job; Poise prints the job's log and exits with the job's exit status. Next: `poise.cli`.
"""
