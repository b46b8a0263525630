"""The one error that a person is meant to read."""


class PoiseError(Exception):
    """An expected failure: wrong input, a missing file, a store that does not answer.

    Its message is one line that names the value, where it came from and the fix. The command
    line prints it and exits with status 2; every other exception is a bug and shows a traceback.
    """
