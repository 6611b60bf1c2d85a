"""What the state host knows: restore points with their age and proof, runs, the lease, dumps that operators left."""

from __future__ import annotations

import datetime
import glob
import os
import time
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import leases, runs
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.restore_points import Store

#: Newest entries of each kind that are told.
MOST = 10
#: Newest restore points whose standby is told: each capture replaces that of the one before.
MOST_STANDBYS = 2


def seconds_of(moment: str) -> float:
    """Unix time of an id such as ``20261121T174500Z``."""
    found = datetime.datetime.strptime(moment, "%Y%m%dT%H%M%SZ")
    return found.replace(tzinfo=datetime.timezone.utc).timestamp()


def points(store: Store, now: float) -> list[dict[str, Any]]:
    """Restore points, newest first; one whose manifest cannot be read is told with the ``problem``."""
    found = []
    for point_id in reversed(store.ids()[-MOST:]):
        entry: dict[str, Any] = {"id": point_id, "age_s": round(now - seconds_of(point_id)), "problem": ""}
        try:
            found.append({**entry, **described(store.read(point_id))})
        except RollbackError as error:
            found.append({**entry, "problem": str(error)})
    return found


def described(manifest: dict[str, Any]) -> dict[str, Any]:
    """What an operator wants to know of a restore point; ``verified`` is empty if its backup was never restored."""
    application, database = manifest["application"], manifest["database"]
    verified = database.get("verified") or {}
    failed = verified.get("failed", "")
    return {
        "commit": application.get("commit", ""),
        "version": application.get("version", ""),
        "known_good": manifest["known_good"],
        "kind": database.get("kind", ""),
        "bytes": sum(int(entry.get("bytes", 0)) for entry in database.get("files", [])),
        "files": [{"path": entry["path"], "bytes": entry["bytes"]} for entry in database.get("files", [])],
        "verified": "" if failed else str(verified.get("at", "")),
        "verification_failed": failed,
        "standby": database.get("standby") or {},
    }


def latest_runs(state_dir: str) -> list[dict[str, Any]]:
    """The newest runs, newest first, with ``seconds`` from start to verdict (None without a verdict).

    ``switched`` is false for a run that ended before its switch.
    """
    found = []
    for record in runs.read_all(state_dir)[:MOST]:
        kept = ("id", "level", "state", "restore_point", "reason", "operator", "finished")
        entry = {name: str(record.get(name, "")) for name in kept}
        ended = entry["finished"].replace("-", "").replace(":", "")
        seconds = round(seconds_of(ended) - seconds_of(entry["id"])) if ended else None
        switched = bool(record.get("switched", True))
        found.append({**entry, "kind": runs.kind_of(record), "seconds": seconds, "switched": switched})
    return found


def unfinished(state_dir: str, lease: leases.Lease, now: float) -> dict[str, str]:
    """The newest run, if it stopped half way and is not under way; empty if there is none."""
    newest = next(iter(runs.read_all(state_dir)), {})
    if not newest or not runs.unfinished(newest) or newest["state"] == "open":
        return {}
    if leases.is_held(lease, now) and lease["run_id"] == newest["id"]:
        return {}
    return {"id": newest["id"], "kind": runs.kind_of(newest), "state": newest["state"]}


def settled_at(found: list[dict[str, Any]]) -> float:
    """When a run last ended that changed what serves users, as Unix time: what was logged before says nothing now."""
    ended = [run["finished"] for run in found if run["kind"] != "recovery" and run["switched"] and run["finished"]]
    return max((seconds_of(moment.replace("-", "").replace(":", "")) for moment in ended), default=0)


def dumps(directory: str) -> list[dict[str, Any]]:
    """Plain dumps that operators left in ``directory``, the newest by name first."""
    found = sorted(glob.glob(os.path.join(glob.escape(directory), "backup_*.sql*")), reverse=True)
    return [{"path": path, "bytes": os.path.getsize(path)} for path in found[:MOST]]


def look(state_dir: str, backup_dir: str) -> dict[str, Any]:
    """Everything, see the module state_info."""
    now = time.time()
    lease = leases.read(state_dir)
    listed, recent = points(Store(state_dir), now), latest_runs(state_dir)
    kept = [point for point in listed if point.get("standby")][:MOST_STANDBYS]
    return {
        "points": [{name: value for name, value in point.items() if name != "standby"} for point in listed],
        "standbys": [{"id": point["id"], "standby": point["standby"]} for point in kept],
        "runs": recent,
        "settled_at": settled_at(recent),
        "unfinished": unfinished(state_dir, lease, now),
        "holder": leases.describe(lease) if leases.is_held(lease, now) else "",
        "dumps": dumps(backup_dir),
    }
