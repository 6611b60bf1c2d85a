"""The run journal: what a host is about to change, and how to put it back, on disk before the change.

One JSON object per line in ``<state_dir>/runs/<run_id>/journal.jsonl`` on the host that changes. A line is
written and fsynced before the change it announces, so a run killed at any instant leaves a journal from which
undo works. A torn last line (power loss in mid-write) is ignored by the reader: its change had not started.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.fences import acting
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    append_line,
    flocked,
    make_private_directory,
)

DEFAULT_STATE_DIR = "/var/lib/rollback"
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z(-[a-z0-9-]+)?\Z")


#: Options of every module that changes a host on behalf of a run, and of those that also put changes back.
RUN_OPTIONS: dict[str, Any] = {
    "run_id": {"type": "str", "required": True},
    "fencing": {"type": "int", "default": 0},
    "state_dir": {"type": "path", "default": DEFAULT_STATE_DIR},
}
UNDO_OPTIONS: dict[str, Any] = {**RUN_OPTIONS, "reverts": {"type": "str"}}


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

    def __init__(self, run_id: str, state_dir: str = DEFAULT_STATE_DIR, fencing: int = 0) -> None:
        """Name the journal and the lease number that its lines carry; the first line creates it."""
        if not RUN_ID.match(run_id):
            raise RollbackError(
                "A run id looks like 20261121T174500Z",
                found=run_id,
                next_step="ansible-playbook playbooks/assess-rollback.yml",
            )
        self.run_id = run_id
        self.state_dir = state_dir
        self.fencing = fencing
        self.directory = os.path.join(state_dir, "runs", run_id)
        self.path = os.path.join(self.directory, "journal.jsonl")

    @classmethod
    def of_module(cls, params: dict[str, Any]) -> Journal:
        """Journal of the run that acts, from the options of a module."""
        return cls(params["run_id"], params["state_dir"], params["fencing"])

    @classmethod
    def to_revert(cls, params: dict[str, Any]) -> Journal:
        """Journal of the run whose changes are put back: that of ``reverts``, else that of the run that acts."""
        return cls(params["reverts"] or params["run_id"], params["state_dir"], params["fencing"])

    def text(self) -> str:
        """The valid lines as they are on disk, to be kept elsewhere; torn ones are left out."""
        return "".join(json.dumps(line, sort_keys=True) + "\n" for line in self._lines())

    def _lines(self) -> list[dict[str, Any]]:
        if not os.path.exists(self.path):
            return []
        with open(self.path, "rb") as stream:
            lines = [parse_line(raw) for raw in stream]
        return [line for line in lines if line]

    def _record(self, seq: int, state: str, **fields: Any) -> None:
        entry = {"run": self.run_id, "fencing": self.fencing, "seq": seq, "host": socket.gethostname()}
        entry.update(state=state, at=now(), **fields)
        make_private_directory(self.directory)
        append_line(self.path, json.dumps(entry, sort_keys=True))

    def begin(self, component: str, verb: str, name: str, undo: dict[str, Any]) -> int:
        """Announce a change; returns its sequence number."""
        make_private_directory(self.directory)
        # Several modules at once may announce changes; a number given twice would hide one of them.
        with flocked(self.directory, fcntl.LOCK_EX):
            seq = 1 + max([line["seq"] for line in self._lines()], default=0)
            self._record(seq, "begin", component=component, verb=verb, name=name, undo=undo)
        return seq

    def done(self, seq: int, **result: Any) -> None:
        """The announced change is complete."""
        self._record(seq, "done", result=result)

    def failed(self, seq: int, error: str) -> None:
        """The announced change stopped half way; it still has to be undone."""
        self._record(seq, "failed", result={"error": error})

    def undone(self, seq: int, **result: Any) -> None:
        """The change was put back."""
        self._record(seq, "undone", result=result)

    def acting(self) -> contextlib.AbstractContextManager[None]:
        """Everything that changes this host for the run happens inside this; see fences."""
        return acting(self.state_dir, self.fencing)

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

    @contextlib.contextmanager
    def reverting(self, step: Step, by: Journal, undo: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Put ``step`` of this journal back in the body, on behalf of the run whose journal is ``by``.

        A run that takes itself back only marks the step. An undo that is a run of its own announces in its own journal
        how to come back, ``undo``, so that it can be undone in its turn: then the step that it had put back is in force
        again.
        """
        result: dict[str, Any] = {}
        if by.run_id == self.run_id:
            yield result
        else:
            origin = {"run": self.run_id, "seq": step.seq}
            # What an interrupted attempt announced is the older means to come back, and so the right one.
            begun = [
                known.seq for known in by.to_undo(step.component, step.name) if known.undo.get("reverts") == origin
            ]
            seq = begun[0] if begun else by.begin(step.component, "undo", step.name, {**undo, "reverts": origin})
            try:
                yield result
            except BaseException as error:
                by.failed(seq, str(error))
                raise
        self._mark(step.seq, in_force=False, result=result)
        if by.run_id != self.run_id:
            by.done(seq, **result)

    def _mark(self, seq: int, in_force: bool, result: dict[str, Any]) -> None:
        """Say whether a change is in force; then what it had put back is not, and so on to the end of the chain.

        The far end first, so that an interrupted marking is found and repeated.
        """
        origin = next((step.undo.get("reverts") for step in self.steps() if step.seq == seq), None)
        if origin:
            Journal(origin["run"], self.state_dir, self.fencing)._mark(origin["seq"], not in_force, {})
        if in_force:
            self.done(seq, **result)
        else:
            self.undone(seq, **result)

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
