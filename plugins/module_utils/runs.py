"""Run records: what a rollback run is and how it stands, ``<state_dir>/runs/<id>/run.json`` on the state host."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import make_private_directory, write_atomically
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_ID

SHOW = "ansible-playbook playbooks/assess-rollback.yml"

#: From planned to settled: ``open`` nothing switched yet; ``switching`` the switch began; ``switched`` it ended and
#: users are in, but nothing is proven; ``success`` done and validated; ``failed`` neither; ``undone`` put back.
STATES = ("open", "switching", "switched", "success", "failed", "undone")
KINDS = ("rollback", "undo", "recovery")


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
    if not before and "kind" not in fields:
        raise RollbackError("There is no run with this id on record", found=run_id, next_step=SHOW)
    if in_place(before) and fields.get("state") == "open":
        raise RollbackError("A run that began to switch cannot be one that only stages again", found=before["state"])
    return before, {**before, **fields, "id": run_id}


def write(state_dir: str, record: dict[str, Any]) -> None:
    """Store a record so that it is there whole or as it was."""
    path = path_of(state_dir, record["id"])
    make_private_directory(os.path.dirname(path))
    write_atomically(path, json.dumps(record, indent=2, sort_keys=True).encode("utf-8") + b"\n")


def in_place(record: dict[str, Any]) -> bool:
    """Whether changes of the run are, or may be, in place."""
    state = record.get("state")
    return state in ("switching", "switched", "success") or (state == "failed" and bool(record.get("switched", True)))


def unfinished(record: dict[str, Any]) -> bool:
    """Whether the run was killed, or failed half way."""
    return record.get("state") == "open" or (in_place(record) and record["state"] != "success")


def kind_of(record: dict[str, Any]) -> str:
    """``rollback``, ``undo`` or ``recovery``."""
    return str(record.get("kind", "rollback"))


def switches(records: list[dict[str, Any]], but: str = "") -> list[dict[str, Any]]:
    """The records without recoveries, which stand in nobody's way wherever they stopped; ``but`` names one that counts.

    What they brought is in the attic too, and each row of it came whole.
    """
    return [record for record in records if kind_of(record) != "recovery" or record.get("id") == but]


def has_attic(record: dict[str, Any]) -> bool:
    """Whether a rollback set tables aside: not one of the front end, nor one that left the data alone."""
    if record.get("level") == "selective" and not (record.get("selection") or {}).get("migrations"):
        return False
    return record.get("level") != "frontend" and record.get("strategy") not in ("campaigns", "none")


def attic_of(records: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    """The rollback whose attic ``wanted`` means: an id, or ``latest`` for the newest one in place that has one."""
    known = [record for record in records if kind_of(record) == "rollback"]
    for record in known:
        if record.get("id") == wanted or (wanted == "latest" and in_place(record) and has_attic(record)):
            return record
    found = f"{wanted}, {len(known)} rollbacks on record"
    raise RollbackError("There is no such rollback to recover from", found, "rollback_recover_from", SHOW)


def cancels(record: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether ``record`` only undid something newer than ``wanted``, and so does not stand in its way."""
    return kind_of(record) == "undo" and str(record.get("reverts")) > str(wanted["id"])


def latest(records: list[dict[str, Any]], undoable: list[dict[str, Any]]) -> str:
    """Id of the run that an undo means which names none: what an interrupted undo reverts, else the newest rollback."""
    if records and kind_of(records[0]) == "undo" and unfinished(records[0]):
        return str(records[0]["reverts"])
    for record in undoable:
        if kind_of(record) == "rollback":
            return str(record["id"])
    raise RollbackError(
        "No rollback is in place that could be undone", found=f"{len(records)} runs on record", next_step=SHOW
    )


def choose(records: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    """The run to undo: the one named ``wanted``, or with ``latest`` the newest rollback that is or may be in place.

    ``records`` are newest first. An undo is a run too and can be named.
    """
    # A run that was killed before it switched anything has nothing in place, but what it staged is to be taken away.
    killed_early = [record for record in records[:1] if record.get("state") == "open"]
    undoable = killed_early + [record for record in records if in_place(record)]
    if wanted == "latest":
        wanted = latest(records, undoable)
    chosen = next((record for record in records if record.get("id") == wanted), None)
    if chosen is None:
        raise RollbackError("There is no run with this id", found=wanted, where="rollback_run", next_step=SHOW)
    # What an interrupted undo reverts may be marked as undone already; it is continued all the same.
    if chosen not in undoable and not interrupted_undo(records, wanted):
        raise RollbackError(
            "This run is not in place", found=f"{wanted} is {chosen.get('state')}", where="rollback_run", next_step=SHOW
        )
    if kind_of(chosen) == "undo" and chosen.get("reverted_state", "success") not in ("success", "switched"):
        raise RollbackError(
            "Undoing this undo would bring a run back that had stopped half way",
            found=f"{chosen.get('reverts')} was {chosen['reverted_state']}",
            where="rollback_run",
            next_step=SHOW,
        )
    for record in records[: records.index(chosen)]:
        # An interrupted undo of the chosen run is continued, not undone first.
        own = kind_of(record) == "undo" and record.get("reverts") == wanted
        if in_place(record) and not own and not cancels(record, chosen):
            raise RollbackError(
                "A newer run is in place and has to be undone first", found=str(record.get("id")), where="rollback_run"
            )
    return chosen


def interrupted_undo(records: list[dict[str, Any]], reverts: str) -> dict[str, Any]:
    """The newest run, if it is an unfinished undo of the run ``reverts``; else empty."""
    newest = records[0] if records else {}
    matches = kind_of(newest) == "undo" and newest.get("reverts") == reverts
    return newest if newest and matches and unfinished(newest) else {}


def interrupted_rollback(records: list[dict[str, Any]], restore_point: str, level: str) -> dict[str, Any]:
    """The newest run, if it is an interrupted rollback with the same aim; else empty.

    Raises RollbackError if the newest run stopped half way to anything else: nothing may be built on that.
    """
    newest = records[0] if records else {}
    if not newest or not unfinished(newest):
        return {}
    same = (newest.get("restore_point"), newest.get("level"), kind_of(newest)) == (restore_point, level, "rollback")
    if same and newest["state"] != "failed" and not newest.get("undoing"):
        return newest
    refuse_half_way(records)
    return {}


def refuse_half_way(records: list[dict[str, Any]]) -> None:
    """Raise if the newest run stopped half way: neither a rollback nor a deployment may be built on that."""
    newest = records[0] if records else {}
    if newest and unfinished(newest) and newest["state"] != "open":
        raise RollbackError(
            "An earlier run stopped half way, and nothing may be built on that",
            found=f"{kind_of(newest)} {newest['id']}, {newest['state']}",
            next_step="ansible-playbook playbooks/resume-rollback.yml, or undo-rollback.yml to take it back",
        )


def in_force(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The rollback that the system is held to; empty if there is none or it was undone."""
    settled = [record for record in records if kind_of(record) == "rollback" and record.get("state") == "success"]
    # After a part was restored the system as a whole is that of no restore point.
    return settled[0] if settled and settled[0].get("level") != "selective" else {}


def resumable(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The newest run, if it is unfinished; raises RollbackError if it is not."""
    newest = records[0] if records else {}
    if newest and unfinished(newest):
        return newest
    found = f"the newest, {newest['id']}, is {newest.get('state')}" if newest else "no run on record"
    raise RollbackError("No run was interrupted", found=found, next_step=SHOW)


def pick(
    records: list[dict[str, Any]], purpose: str, run: str = "latest", restore_point: str = "", level: str = ""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run that is meant and the one that goes on, each empty if there is none.

    ``purpose`` is one of ``rollback``, ``undo``, ``resume``, ``validation``, ``deployment`` and ``recovery``; anything
    else picks nothing. Raises RollbackError if what is asked for cannot be built on the runs on record.
    """
    if purpose == "undo":
        records = switches(records, run)
        chosen = choose(records, run)
        return chosen, interrupted_undo(records, chosen["id"])
    records = switches(records)
    if purpose == "rollback":
        return {}, interrupted_rollback(records, restore_point, level)
    if purpose == "deployment":
        refuse_half_way(records)
    if purpose == "recovery":
        refuse_half_way(records)
        return attic_of(records, run), {}
    if purpose == "resume":
        continued = resumable(records)
        reverts = continued.get("reverts")
        return next((record for record in records if record["id"] == reverts), {}), continued
    return in_force(records) if purpose == "validation" else {}, {}
