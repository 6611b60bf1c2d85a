"""The run journal: what a host is about to change, and how to put it back, on disk before the change.

One JSON object per line in ``<state_dir>/runs/<run_id>/journal.jsonl`` on the host that changes. A line is
written and fsynced before the change it announces, so a run killed at any instant leaves a journal from which
undo works. A torn last line (power loss in mid-write) is ignored by the reader: its change had not started.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import re
import socket
from collections.abc import Iterator
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import fsync_directory, make_private_directory

DEFAULT_STATE_DIR = "/var/lib/rollback"
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z(-[a-z0-9-]+)?\Z")


def now() -> str:
    """The current UTC time, ISO 8601 with microseconds."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


#: Fields that an announced change cannot do without.
BEGIN = {"component": str, "verb": str, "name": str, "undo": dict}


def parse_line(raw: bytes) -> dict[str, Any]:
    """One line of a journal; empty if the line was torn or is none."""
    try:
        line = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(line, dict) or not isinstance(line.get("seq"), int) or not isinstance(line.get("state"), str):
        return {}
    if line["state"] == "begin" and not all(isinstance(line.get(key), kind) for key, kind in BEGIN.items()):
        return {}
    return line if isinstance(line.get("result", {}), dict) else {}


@dataclasses.dataclass
class Step:
    """One change: where it stands and what its ``begin`` line said.

    ``state`` is ``begin``, ``done``, ``failed`` or ``undone``; ``undo`` is the component's own means to put the
    replaced thing back.
    """

    seq: int
    component: str
    verb: str
    name: str
    state: str
    undo: dict[str, Any]
    result: dict[str, Any]

    @property
    def pending_undo(self) -> bool:
        """True if the change may have happened and was not put back."""
        return self.state in ("begin", "done", "failed")


class Journal:
    """Append-only journal of one run on this host."""

    def __init__(self, run_id: str, state_dir: str = DEFAULT_STATE_DIR) -> None:
        """Name the journal; the first line creates it."""
        if not RUN_ID.match(run_id):
            raise RollbackError(
                "A run id looks like 20261121T174500Z",
                found=run_id,
                next_step="ansible-playbook playbooks/assess-rollback.yml",
            )
        self.run_id = run_id
        self.directory = os.path.join(state_dir, "runs", run_id)
        self.path = os.path.join(self.directory, "journal.jsonl")

    def _lines(self) -> list[dict[str, Any]]:
        if not os.path.exists(self.path):
            return []
        with open(self.path, "rb") as stream:
            lines = [parse_line(raw) for raw in stream]
        return [line for line in lines if line]

    def _append(self, entry: dict[str, Any]) -> None:
        make_private_directory(self.directory)
        created = not os.path.exists(self.path)
        data = json.dumps(entry, sort_keys=True).encode("utf-8") + b"\n"
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                # A torn line from a power cut would swallow this one; end it first.
                data = b"\n" + data
            while data:
                # A full disk takes a part without an error and refuses the rest.
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if created:
            fsync_directory(self.directory)

    def _record(self, seq: int, state: str, **fields: Any) -> None:
        entry = {"run": self.run_id, "seq": seq, "host": socket.gethostname(), "state": state, "at": now()}
        entry.update(fields)
        self._append(entry)

    def begin(self, component: str, verb: str, name: str, undo: dict[str, Any]) -> int:
        """Announce a change; returns its sequence number."""
        seq = 1 + max([line["seq"] for line in self._lines()], default=0)
        self._record(seq, "begin", component=component, verb=verb, name=name, undo=undo)
        return seq

    def done(self, seq: int, **result: Any) -> None:
        """The announced change is complete."""
        self._record(seq, "done", result=result)

    def failed(self, seq: int, error: str) -> None:
        """The announced change stopped half way; it still has to be undone."""
        self._record(seq, "failed", result={"error": error})

    def undone(self, seq: int) -> None:
        """The change was put back."""
        self._record(seq, "undone", result={})

    @contextlib.contextmanager
    def step(self, component: str, verb: str, name: str, undo: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """``begin`` before the body, ``done`` with what the body put into the yielded dict, ``failed`` if it raises."""
        seq = self.begin(component, verb, name, undo)
        result: dict[str, Any] = {}
        try:
            yield result
        except BaseException as error:
            self.failed(seq, str(error))
            raise
        self.done(seq, **result)

    def steps(self, component: str | None = None) -> list[Step]:
        """Every announced change in order, each with its latest state."""
        found: dict[int, Step] = {}
        for line in self._lines():
            seq = line["seq"]
            if line["state"] == "begin":
                found[seq] = Step(seq, line["component"], line["verb"], line["name"], "begin", line["undo"], {})
            elif seq in found:
                found[seq].state = line["state"]
                found[seq].result.update(line.get("result", {}))
        return [step for step in found.values() if component in (None, step.component)]

    def to_undo(self, component: str, name: str | None = None) -> list[Step]:
        """Changes of ``component`` that have to be put back, newest first."""
        steps = [step for step in self.steps(component) if step.pending_undo and name in (None, step.name)]
        return list(reversed(steps))
