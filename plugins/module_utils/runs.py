"""Run records: what a rollback run is and how it stands, ``<state_dir>/runs/<id>/run.json`` on the state host."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import make_private_directory, write_atomically
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_ID

SHOW = "ansible-playbook playbooks/assess-rollback.yml"

#: From planned to settled: ``open`` nothing switched yet; ``switching`` the switch began; ``success`` rolled back
#: and validated; ``failed`` neither; ``undone`` the system is as it was before the run.
STATES = ("open", "switching", "success", "failed", "undone")


def path_of(state_dir: str, run_id: str) -> str:
    """Record file of a run."""
    return os.path.join(state_dir, "runs", run_id, "run.json")


def read(state_dir: str, run_id: str) -> dict[str, Any]:
    """One run's record, empty if there is none: hosts other than the state host keep only a journal."""
    path = path_of(state_dir, run_id)
    try:
        with open(path, encoding="utf-8") as stream:
            record = json.load(stream)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RollbackError("The record of a run cannot be read", found=str(error), where=path) from error
    if not isinstance(record, dict):
        raise RollbackError("The record of a run is an object", found=type(record).__name__, where=path)
    return record


def read_all(state_dir: str) -> list[dict[str, Any]]:
    """Every run record of this system, newest first."""
    root = os.path.join(state_dir, "runs")
    names = sorted(os.listdir(root), reverse=True) if os.path.isdir(root) else []
    records = [read(state_dir, name) for name in names if RUN_ID.match(name)]
    return [record for record in records if record]


def merge(state_dir: str, run_id: str, fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run's record before and after ``fields`` are laid over it; nothing is written."""
    if not RUN_ID.match(run_id):
        raise RollbackError("A run id looks like 20261121T174500Z", found=run_id, next_step=SHOW)
    if fields.get("state", "open") not in STATES:
        raise RollbackError("A run is in one of these states: " + ", ".join(STATES), found=fields["state"])
    before = read(state_dir, run_id)
    return before, {**before, **fields, "id": run_id}


def write(state_dir: str, record: dict[str, Any]) -> None:
    """Store a record so that it is there whole or as it was."""
    path = path_of(state_dir, record["id"])
    make_private_directory(os.path.dirname(path))
    write_atomically(path, json.dumps(record, indent=2, sort_keys=True).encode("utf-8") + b"\n")


def in_place(record: dict[str, Any]) -> bool:
    """Whether changes of the run are, or may be, in place."""
    state = record.get("state")
    return state in ("switching", "success") or (state == "failed" and bool(record.get("switched", True)))


def choose(records: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    """The run to undo: the one named ``wanted``, or with ``latest`` the newest whose changes are or may be in place."""
    if wanted != "latest":
        for record in records:
            if record.get("id") == wanted:
                return record
            if in_place(record):
                raise RollbackError(
                    "A newer run is in place and has to be undone first",
                    found=str(record.get("id")),
                    where="rollback_run",
                )
        raise RollbackError("There is no run with this id", found=wanted, where="rollback_run", next_step=SHOW)
    for record in records:
        if in_place(record):
            return record
    raise RollbackError(
        "No rollback is in place that could be undone", found=f"{len(records)} runs on record", next_step=SHOW
    )
