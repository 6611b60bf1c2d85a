"""What a state host can tell a monitoring: its restore points, runs and drills, as metrics.

Of restore points and runs the newest ten are told, each with its id as a label.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import impact_state
from ansible_collections.campaign.rollback.plugins.module_utils.exposition import Gauge, Sample, text
from ansible_collections.campaign.rollback.plugins.module_utils.journal import parse_line
from ansible_collections.campaign.rollback.plugins.module_utils.restore_points import Store

#: Names and what they mean. An id is a time, so the age of a restore point and the start of a run follow from these.
POINTS = {
    "rollback_restore_point_taken_timestamp_seconds": "When a restore point was taken.",
    "rollback_restore_point_known_good": "1 if the system was sound then.",
    "rollback_restore_point_verified_timestamp_seconds": "When its backup was last restored in a test, and could be.",
    "rollback_restore_point_size_bytes": "Size of its backup of the database.",
}
RUNS = {
    "rollback_run_started_timestamp_seconds": "When a run began, which is in this state now.",
    "rollback_run_duration_seconds": "From its start to its verdict (RTO).",
    "rollback_run_outage_seconds": "How long the gate was closed, on the host where it was longest.",
    "rollback_run_lost_rows": "Later rows that it did not bring back (RPO), absent if it recovered none.",
}
DRILLS = {
    "rollback_drill_finished_timestamp_seconds": "When the last drill of a level ended.",
    "rollback_drill_success": "1 if everything held.",
    "rollback_drill_duration_seconds": "From the start of its rollback to the verdict (RTO).",
    "rollback_drill_outage_seconds": "Longest span in which a host served nobody.",
    "rollback_drill_lost_rows": "Rows missing after it (RPO).",
}


def exposition(state_dir: str, drills: Sequence[Mapping[str, Any]], now: float) -> str:
    """Metrics of a state directory, and of drills by their evidence, in Prometheus' text format."""
    points = [_point(entry, now) for entry in impact_state.points(Store(state_dir), now) if not entry["problem"]]
    runs = [_run(state_dir, entry) for entry in impact_state.latest_runs(state_dir)]
    return text([*_gauges(POINTS, points), *_gauges(RUNS, runs), *_gauges(DRILLS, map(_drill, drills))])


def _gauges(names: Mapping[str, str], rows: Iterable[tuple[Mapping[str, str], Sequence[float | None]]]) -> list[Gauge]:
    """One gauge for each name, from rows of labels and a value for each name."""
    columns: list[list[Sample]] = [[] for _name in names]
    for labels, values in rows:
        for column, value in zip(columns, values):
            column.append((labels, value))
    return [Gauge(name, told, samples) for (name, told), samples in zip(names.items(), columns)]


def _point(entry: Mapping[str, Any], now: float) -> tuple[dict[str, str], list[float | None]]:
    labels = {"restore_point": entry["id"], "kind": entry["kind"]}
    verified = _seconds(entry["verified"])
    return labels, [now - entry["age_s"], int(entry["known_good"]), verified, entry["bytes"]]


def _run(state_dir: str, entry: Mapping[str, Any]) -> tuple[dict[str, str], list[float | None]]:
    labels = {"run": entry["id"], "kind": entry["kind"], "level": entry["level"], "state": entry["state"]}
    changes = _changes(os.path.join(state_dir, "runs", entry["id"], "journals.jsonl"))
    started = impact_state.seconds_of(entry["id"][:16])
    return labels, [started, entry["seconds"], _outage(changes), _lost(changes)]


def _drill(evidence: Mapping[str, Any]) -> tuple[dict[str, str], list[float | None]]:
    """One ``evidence.json`` of a drill."""
    labels, success = {"level": str(evidence["level"])}, int(evidence["verdict"] == "success")
    measured = [evidence[name] for name in ("rto_s", "outage_s", "rows_lost")]
    return labels, [_seconds(evidence.get("finished", "")), success, *measured]


def _seconds(moment: str) -> float | None:
    """Unix time of an ISO moment, None without one."""
    if not moment:
        return None
    return datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def _changes(path: str) -> list[dict[str, Any]]:
    """Every change in the collected journals of a run, none if there are none: what it is, and its line by state."""
    try:
        with open(path, "rb") as stream:
            lines = [line for line in map(parse_line, stream) if line]
    except FileNotFoundError:
        return []
    changes: dict[tuple[str, int], dict[str, Any]] = {}
    for line in lines:
        key = (str(line.get("host")), line["seq"])
        changes.setdefault(key, {"states": {}}).setdefault("what", f"{line.get('component')} {line.get('verb')}")
        changes[key]["states"][line["state"]] = line
    return list(changes.values())


def _outage(changes: Sequence[Mapping[str, Any]]) -> float | None:
    """Longest time from a gate that closes to its opening; None where nothing is known, or a gate is still closed."""
    if not changes:
        return None
    gates = [change["states"] for change in changes if change["what"] == "gate hold"]
    if any("undone" not in states for states in gates):
        return None
    spans = [(_seconds(states["undone"]["at"]) or 0) - (_seconds(states["begin"]["at"]) or 0) for states in gates]
    return round(max(spans, default=0.0), 1)


def _lost(changes: Sequence[Mapping[str, Any]]) -> float | None:
    """Rows that are in the attic and were not brought back, those refused included."""
    recovered = [change["states"]["done"]["result"] for change in changes if _recovered(change)]
    tables = [table for result in recovered for table in result.get("tables", {}).values()]
    return sum(table["wanted"] + table["conflicts"] for table in tables) if recovered else None


def _recovered(change: Mapping[str, Any]) -> bool:
    return change["what"] == "database recover" and "done" in change["states"]
