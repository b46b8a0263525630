"""Sends a test request to an MLflow server before a run or study uses it.

In: the server's address. Out: nothing, or an error that says why the server cannot be used. Next:
``poise.tracking.store``.
"""

import os

import requests
from mlflow.environment_variables import (
    MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR,
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
)
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds, read_mlflow_creds
from mlflow.utils.rest_utils import http_request

from poise.config.errors import PoiseError
from poise.config.redaction import redacted
from poise.tracking.address import VARIABLE, safe_line

ANSWER_WITHIN_S = 10.0
"""Longest time in seconds until the server answers the first request."""

_NUMBERS = (
    MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR,
)
_QUESTION = "/api/2.0/mlflow/experiments/search"


def check_answers(uri: str) -> None:
    """Asks the server for one experiment, and returns when the server answers.

    The request uses MLflow's own client. So MLflow's environment variables for user names, tokens
    and certificates apply.

    Raises:
        PoiseError: no server answers, the server refuses this client, or it is not an MLflow
            server.
    """
    try:
        for variable in _NUMBERS:
            variable.get()  # raises a ValueError that the client would raise at every later request
        answer = http_request(
            get_default_host_creds(uri),
            _QUESTION,
            "GET",
            params={"max_results": 1},
            max_retries=0,
            timeout=ANSWER_WITHIN_S,
            raise_on_status=False,
        )
    except (MlflowException, OSError, ValueError, ImportError) as error:
        raise PoiseError(f"{VARIABLE}={redacted(uri)}: {_why_silent(uri, error)}") from None
    if complaint := _complaint(answer):
        raise PoiseError(f"{VARIABLE}={redacted(uri)}: {complaint}")


def _why_silent(uri: str, error: Exception) -> str:
    if type(error) is ValueError:  # this error names the variable, but its cause does not
        return f"cannot be asked: {safe_line(error)}"
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, UnicodeError | requests.exceptions.InvalidHeader):
        return (
            "cannot be asked: MLFLOW_TRACKING_TOKEN, or the name or the password, has a character "
            "that no header may have; set it again"
        )
    if isinstance(cause, requests.exceptions.SSLError):
        return _why_insecure(uri, str(cause))
    if isinstance(cause, requests.RequestException):
        return (
            f"no MLflow server answers there within {ANSWER_WITHIN_S:.0f} s "
            f"({type(cause).__name__}); start it, or unset the variable to keep runs in a file"
        )
    return f"cannot be asked: {safe_line(cause)}"


def _why_insecure(uri: str, reason: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return (
            "its certificate is not trusted; set MLFLOW_TRACKING_SERVER_CERT_PATH to the file of "
            "the authority that signed it, or MLFLOW_TRACKING_INSECURE_TLS=true to trust any"
        )
    if "alert" in reason:
        return "asks for your certificate; set MLFLOW_TRACKING_CLIENT_CERT_PATH to its file"
    plain = redacted(uri).replace("https://", "http://", 1)
    if "EOF" in reason:  # the server may hang up before its alert is read
        return (
            "hangs up while the connection is secured: it may ask for your certificate (set "
            f"MLFLOW_TRACKING_CLIENT_CERT_PATH to its file), or not speak https (write {plain})"
        )
    return f"does not speak https ({reason[-120:]}); did you mean {plain}?"


def _complaint(answer: requests.Response) -> str | None:
    """Describes the error in a server's answer. Returns None if an MLflow server answered."""
    status = f"{answer.status_code} ({answer.reason})"
    if answer.status_code == 401:
        return f"answers {status}; {_who_asks()}"
    if answer.status_code == 403:
        return (
            f"answers {status}; either this user may not see experiments, or the server's "
            "--allowed-hosts does not name this address"
        )
    if answer.status_code >= 500:
        return f"the server answers {status}; its own log says why"
    if answer.status_code >= 400 or not _is_mlflows(answer):
        return f"answers {status} and is no MLflow server; is the address right?"
    return None


def _who_asks() -> str:
    names = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    if read_mlflow_creds().username or os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return f"it refuses the name and password, or the token, that are set in {names}"
    return f"it asks who you are: set {names}"


def _is_mlflows(answer: requests.Response) -> bool:
    """Returns True if the answer has only the keys of MLflow's answer.

    Other servers send JSON too.
    """
    try:
        content = answer.json()
    except (requests.exceptions.JSONDecodeError, RecursionError):
        return False
    return isinstance(content, dict) and set(content) <= {"experiments", "next_page_token"}
