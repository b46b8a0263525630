"""Command line: reads what the user types, and passes it to the other stages.

In: arguments. Out: lines on the terminal, and an exit status. Next: nothing.
"""
