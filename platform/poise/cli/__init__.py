"""The command line: what a person types, handed to the stages.

In: arguments. Out: lines for people on the terminal, and an exit status. Nothing comes after it.
"""
