"""Messages of a run to a store that does not answer, kept on disk beside the run.

In: tags, files and a final status. Out: the same in the store, once it answers. Next:
``poise.tracking.run`` and ``poise.tracking.ending``.
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
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import RunTag

from poise.config.errors import PoiseError
from poise.config.files import write_json
from poise.tracking.address import safe_line
from poise.tracking.store import Store
from poise.tracking.time_limits import is_refusal, within

logger = logging.getLogger(__name__)

_turns: dict[str, threading.Lock] = defaultdict(threading.Lock)
"""Locks by the run's id, so that each run has one delivery at a time."""

FOLDER = "waiting-for-mlflow"
"""The beginning of the folder's name, in the run's folder; the run's id follows."""

ANSWER_WITHIN_S = 30.0
"""Time that the store may take for one delivery, in seconds."""

REST_S = 60.0
"""Time after a failed delivery in which the next ones go to the disk at once, in seconds."""


@dataclass(frozen=True)
class Outbox:
    """The waiting tags, files and status of one run."""

    run_folder: Path
    run_id: str

    @property
    def folder(self) -> Path:
        """The folder of waiting messages; absent where none waits."""
        return self.run_folder / f"{FOLDER}-{self.run_id}"

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self.folder.exists()

    @property
    def status(self) -> str | None:
        """The final status that waits; none where none does."""
        status = self._content().get("status")
        return None if status is None else str(status)

    def is_resting(self) -> bool:
        """Whether a delivery failed a moment ago."""
        try:
            return time.time() - self.folder.stat().st_mtime < REST_S
        except FileNotFoundError:
            return False

    def keep(self, tags: Mapping[str, str] | None = None, status: str | None = None) -> None:
        """Adds tags, which replace those of the same name, or sets the status."""
        content = self._content()
        kept = {"tags": {**content.get("tags", {}), **(tags or {})}}
        final = status or content.get("status")
        self._write(kept | ({"status": final} if final else {}))

    def keep_file(self, name: str, content: bytes) -> None:
        """Adds a file under its name among the run's artifacts; an earlier one is replaced."""
        path = self.folder / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def forget_ending(self, tags: tuple[str, ...]) -> None:
        """Drops the status and these tags: the run goes on."""
        content = self._content()
        if content:
            left = {key: value for key, value in content["tags"].items() if key not in tags}
            self._write({"tags": left})

    def deliver(self, client: MlflowClient) -> None:
        """Sends everything that waits, the status last, and empties the outbox.

        Sending twice is harmless: tags, files and the status replace their equals.
        """
        try:
            self._deliver(client)
        except FileNotFoundError:
            if not self.is_empty:  # else another process was faster
                raise

    def _deliver(self, client: MlflowClient) -> None:
        content = self._content()
        tags = [RunTag(key, value) for key, value in content.get("tags", {}).items()]
        if tags:
            client.log_batch(self.run_id, tags=tags)
        if (self.folder / "artifacts").exists():
            client.log_artifacts(self.run_id, str(self.folder / "artifacts"))
        if "status" in content:
            client.set_terminated(self.run_id, content["status"])
        if not self.is_empty and content == self._content():  # nothing was added in the meantime
            shutil.rmtree(self.folder, ignore_errors=True)

    def _content(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.folder / "ending.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return content

    def _write(self, content: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "ending.json", content)


def outboxes(home: Path) -> list[Outbox]:
    """All outboxes in the folders of runs, studies and trials."""
    found = [path for depth in ("*", "*/*", "*/*/*") for path in home.glob(f"{depth}/{FOLDER}-*")]
    return [Outbox(path.parent, path.name.removeprefix(f"{FOLDER}-")) for path in found]


@dataclass(frozen=True)
class Delivery:
    """One message to the store, in both of its forms."""

    run_id: str
    what: str
    """A name for it in messages: ``the tags poise.verdict, …``, ``verdict.json``."""

    send: Callable[[MlflowClient], object]
    """Stores it now."""

    keep: Callable[[Outbox], None]
    """Puts it into the outbox instead."""


def tag_delivery(run_id: str, tags: Mapping[str, str]) -> Delivery:
    """Tags of a run; existing ones of the same name are replaced."""
    pairs = [RunTag(key, value) for key, value in tags.items()]
    return Delivery(
        run_id,
        f"the tags {', '.join(tags)}",
        lambda client: client.log_batch(run_id, tags=pairs),
        lambda outbox: outbox.keep(tags),
    )


def file_delivery(run_id: str, name: str, content: bytes) -> Delivery:
    """A file under its name among a run's artifacts, such as ``pictures/curves.png``."""

    def send(client: MlflowClient) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / Path(name).name
            path.write_bytes(content)
            folder = Path(name).parent
            client.log_artifact(run_id, str(path), None if folder == Path() else str(folder))

    return Delivery(run_id, name, send, lambda outbox: outbox.keep_file(name, content))


def status_delivery(run_id: str, status: str) -> Delivery:
    """A run's final status."""
    return Delivery(
        run_id,
        f"the status {status}",
        lambda client: client.set_terminated(run_id, status),
        lambda outbox: outbox.keep(status=status),
    )


def deliver(store: Store, outbox: Outbox, message: Delivery, urgent: bool = False) -> None:
    """Sends a message, after those that wait, or keeps it where the store does not answer.

    Args:
        store: where the run is.
        outbox: the run's.
        message: the message.
        urgent: whether the store is asked even a moment after it did not answer.

    Raises:
        MlflowException: the store answers, and refuses the message for good.
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
