"""Turns on Ray's token authentication if the user has a token.

In: the environment and the home folder. Out: RAY_AUTH_MODE in this process's environment. Next:
``poise.cli.submit``, ``poise.cli.jobs`` and ``poise.cli.doctor``, before they load Ray.

Ray 2.60 needs a token only in clusters that were started with a token. Its clients send a token
only if RAY_AUTH_MODE is ``token``. In later versions every cluster needs a token. A cluster without
authentication ignores tokens. So a client that has a token always sends it.
"""

import os
from pathlib import Path

MODE = "RAY_AUTH_MODE"
TOKEN = "RAY_AUTH_TOKEN"
TOKEN_FILE = "RAY_AUTH_TOKEN_PATH"


def token_file() -> Path:
    """Returns the path of the file in which Ray looks for its token."""
    return Path(os.environ.get(TOKEN_FILE) or Path.home() / ".ray" / "auth_token")


def has_token() -> bool:
    """Returns True if this user has a token for Ray, in a variable or in a file."""
    return bool(os.environ.get(TOKEN)) or token_file().is_file()


def use_own_token() -> None:
    """Makes Ray's clients in this process send the user's token, unless RAY_AUTH_MODE is set.

    Call this function before the first import of Ray, because Ray reads RAY_AUTH_MODE only then.
    """
    if MODE not in os.environ and has_token():
        os.environ[MODE] = "token"
