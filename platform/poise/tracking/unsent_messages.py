"""Keeps a run's messages on disk while the store does not answer.

In: tags, files and a final status. Out: the same tags, files and status in the store, as soon as it
answers. Next: ``poise.tracking.run`` and ``poise.tracking.ending``.
"""

import json
import logging
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import RunTag

from poise.config.errors import PoiseError
from poise.config.files import write_json
from poise.tracking.address import safe_line
from poise.tracking.store import Store
from poise.tracking.time_limits import is_refusal, within
from poise.tracking.unsent_metrics import SPILL_FILE, Point, Spill, store_points

logger = logging.getLogger(__name__)

_turns: dict[str, threading.Lock] = defaultdict(threading.Lock)
"""Maps the id of a run to its lock. Each run sends only one message at a time."""

FOLDER = "waiting-for-mlflow"
"""Beginning of the name of a run's outbox folder. The run's id follows."""

ANSWER_WITHIN_S = 30.0
"""Longest time in seconds for storing one message."""

REST_S = 60.0
"""Seconds after a failure. In this time, messages are written to disk and not sent."""


@dataclass(frozen=True)
class Outbox:
    """Folder on disk with a run's tags, files and status that were not sent to the store yet."""

    run_folder: Path
    run_id: str

    @property
    def folder(self) -> Path:
        """Folder of the waiting messages. It does not exist if no message waits."""
        return self.run_folder / f"{FOLDER}-{self.run_id}"

    @property
    def is_empty(self) -> bool:
        """Whether the outbox contains no message."""
        return not self.folder.exists()

    @property
    def status(self) -> str | None:
        """Final status of the run that was not sent to the store yet, or None."""
        status = self._content().get("status")
        return None if status is None else str(status)

    def is_resting(self) -> bool:
        """Returns True if sending failed less than ``REST_S`` seconds ago."""
        try:
            return time.time() - self.folder.stat().st_mtime < REST_S
        except FileNotFoundError:
            return False

    def keep(self, tags: Mapping[str, str] | None = None, status: str | None = None) -> None:
        """Adds tags or sets the status. A tag of the same name is replaced."""
        content = self._content()
        kept = {"tags": {**content.get("tags", {}), **(tags or {})}}
        final = status or content.get("status")
        self._write(kept | ({"status": final} if final else {}))

    def keep_file(self, name: str, content: bytes) -> None:
        """Stores a file that is sent later. ``name`` is its path among the run's artifacts.

        An earlier file with this path is replaced.
        """
        path = self.folder / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def forget_ending(self, tags: tuple[str, ...]) -> None:
        """Removes the status and the given tags, because the run continues."""
        content = self._content()
        if content:
            left = {key: value for key, value in content["tags"].items() if key not in tags}
            self._write({"tags": left})

    def deliver(self, client: MlflowClient) -> None:
        """Sends all waiting messages, the status last, and empties the outbox.

        Sending twice is harmless, because tags, files and the status replace earlier ones.
        """
        try:
            self._deliver(client)
        except FileNotFoundError:
            if not self.is_empty:  # otherwise another process was faster
                raise

    def _deliver(self, client: MlflowClient) -> None:
        content = self._content()
        tags = [RunTag(key, value) for key, value in content.get("tags", {}).items()]
        if tags:
            client.log_batch(self.run_id, tags=tags)
        if (self.folder / "artifacts").exists():
            client.log_artifacts(self.run_id, str(self.folder / "artifacts"))
        if "status" in content:
            self.terminate(client, content["status"])
        if not self.is_empty and content == self._content():  # nothing was added in the meantime
            shutil.rmtree(self.folder, ignore_errors=True)

    def terminate(self, client: MlflowClient, status: str) -> None:
        """Sends the waiting metrics and then sets the final status.

        The order matters. After the final status is set, no command looks for waiting metrics.
        """
        try:
            Spill(self.run_folder / SPILL_FILE).send(partial(self._store, client))
        except Exception as error:
            if not isinstance(error, OSError) and not is_refusal(error):
                raise
            logger.warning(
                "run %s: its last metrics are not stored: %s", self.run_id, safe_line(error)
            )
        client.set_terminated(self.run_id, status)

    def _store(self, client: MlflowClient, points: list[Point]) -> bool:
        store_points(client, self.run_id, points)
        return True

    def _content(self) -> dict[str, Any]:
        try:
            content: Any = json.loads((self.folder / "ending.json").read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        # A damaged message must not keep the messages of other runs from the store.
        whole = isinstance(content, dict) and isinstance(content.get("tags"), dict)
        return content if whole else {}

    def _write(self, content: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "ending.json", content)


def outboxes(home: Path) -> list[Outbox]:
    """Finds all outboxes in the folders of runs, studies and trials."""
    found = [path for depth in ("*", "*/*", "*/*/*") for path in home.glob(f"{depth}/{FOLDER}-*")]
    return [Outbox(path.parent, path.name.removeprefix(f"{FOLDER}-")) for path in found]


@dataclass(frozen=True)
class Delivery:
    """Message to the store, with a function that sends it and a function that writes it to disk."""

    run_id: str
    what: str
    """Name of the message in warnings, such as ``verdict.json``."""

    send: Callable[[MlflowClient], object]
    """Function that sends the message to the store."""

    keep: Callable[[Outbox], None]
    """Function that puts the message into the outbox instead."""


def tag_delivery(run_id: str, tags: Mapping[str, str]) -> Delivery:
    """Makes a message with tags of a run. Existing tags of the same name are replaced."""
    pairs = [RunTag(key, value) for key, value in tags.items()]
    return Delivery(
        run_id,
        f"the tags {', '.join(tags)}",
        lambda client: client.log_batch(run_id, tags=pairs),
        lambda outbox: outbox.keep(tags),
    )


def file_delivery(run_id: str, name: str, content: bytes) -> Delivery:
    """Makes a message with a file for a run's artifacts.

    Args:
        run_id: id of the run.
        name: path among the run's artifacts, such as ``pictures/curves.png``.
        content: content of the file.
    """

    def send(client: MlflowClient) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / Path(name).name
            path.write_bytes(content)
            folder = Path(name).parent
            client.log_artifact(run_id, str(path), None if folder == Path() else str(folder))

    return Delivery(run_id, name, send, lambda outbox: outbox.keep_file(name, content))


def status_delivery(outbox: Outbox, status: str) -> Delivery:
    """Makes a message with a run's final status. Waiting metrics are sent before it."""
    return Delivery(
        outbox.run_id,
        f"the status {status}",
        lambda client: outbox.terminate(client, status),
        lambda outbox: outbox.keep(status=status),
    )


def deliver(store: Store, outbox: Outbox, message: Delivery, urgent: bool = False) -> None:
    """Sends a message after all waiting messages.

    If the store does not answer, the message is kept in the outbox.

    Args:
        store: store of the run.
        outbox: outbox of the run.
        message: message to send.
        urgent: whether to try even if sending failed a moment ago.

    Raises:
        MlflowException: the store refuses the message for good.
    """

    def send() -> None:
        outbox.deliver(store.client)
        message.send(store.client)

    if urgent or not outbox.is_resting():
        try:
            within(ANSWER_WITHIN_S, _turns[message.run_id], send)
            return
        except Exception as error:
            if is_refusal(error):
                raise
            reason = safe_line(error) or f"no answer within {ANSWER_WITHIN_S:g} s"
            logger.warning(
                "run %s: the MLflow store does not take %s (%s); it waits in %s until a Poise "
                "command finds the store again", message.run_id, message.what, reason,
                outbox.folder,
            )  # fmt: skip
    try:
        message.keep(outbox)
    except (OSError, PoiseError) as error:
        logger.warning("run %s: %s is lost: %s", message.run_id, message.what, safe_line(error))
