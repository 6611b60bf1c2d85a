"""state_info lists what the state host has, however little or broken that is."""

from __future__ import annotations

import json
import os
import time

from ansible_collections.campaign.rollback.plugins.module_utils import leases, runs
from ansible_collections.campaign.rollback.plugins.module_utils.restore_points import Store

IDS = ("20261120T100000Z", "20261121T100000Z")


def manifest(point_id, **database):
    return {
        "schema": 1,
        "id": point_id,
        "taken_at": "2026-11-21T10:00:00Z",
        "taken_by": "root",
        "environment": "test",
        "application": {"commit": "c" * 40, "version": "v1"},
        "database": {"kind": "logical", "files": [{"path": "/b/x.sql", "bytes": 7, "sha256": "0"}], **database},
        "known_good": True,
    }


def look(run_module, state_dir, tmp_path):
    return run_module("state_info", {"state_dir": state_dir, "backup_dir": str(tmp_path / "dumps")})


def test_nothing_at_all(run_module, state_dir, tmp_path, untouched):
    with untouched():
        found = look(run_module, state_dir, tmp_path)
    assert (found["points"], found["runs"], found["dumps"], found["unfinished"], found["holder"]) == (
        [],
        [],
        [],
        {},
        "",
    )
    assert found["settled_at"] == 0


def test_restore_points_with_what_was_proven_of_them(run_module, state_dir, tmp_path):
    store = Store(state_dir)
    store.write(manifest(IDS[0], verified={"at": "2026-11-20T10:01:00Z", "failed": "it is torn"}, standby={"a": 1}))
    store.write(manifest(IDS[1], verified={"at": "2026-11-21T10:01:00Z"}, standby={"b": 2}))
    os.makedirs(os.path.dirname(store.path("20261122T100000Z")))
    with open(store.path("20261122T100000Z"), "w", encoding="utf-8") as stream:
        stream.write("{")
    found = look(run_module, state_dir, tmp_path)
    broken, newest, older = found["points"]
    assert "cannot be read" in broken["problem"]
    assert (newest["id"], newest["verified"], newest["verification_failed"]) == (IDS[1], "2026-11-21T10:01:00Z", "")
    assert (older["verified"], older["verification_failed"], older["bytes"]) == ("", "it is torn", 7)
    assert newest["age_s"] < older["age_s"]
    assert found["standbys"] == [{"id": IDS[1], "standby": {"b": 2}}, {"id": IDS[0], "standby": {"a": 1}}]
    assert "standby" not in newest


def record(state_dir, run_id, state, **more):
    runs.write(state_dir, {"id": run_id, "kind": "rollback", "level": "full", "state": state, **more})


def test_runs_and_the_one_that_stopped_half_way(run_module, state_dir, tmp_path):
    record(state_dir, IDS[0], "success", finished="2026-11-20T10:01:30Z", operator="ann", reason="errors")
    found = look(run_module, state_dir, tmp_path)
    assert (found["runs"][0]["seconds"], found["runs"][0]["operator"], found["unfinished"]) == (90, "ann", {})
    assert found["settled_at"] == 1795168890
    record(state_dir, IDS[1], "failed", finished="2026-11-21T10:01:30Z", switched=False)
    assert look(run_module, state_dir, tmp_path)["settled_at"] == 1795168890, "what it saw is as it was"
    record(state_dir, IDS[1], "switching")
    found = look(run_module, state_dir, tmp_path)
    assert found["unfinished"] == {"id": IDS[1], "kind": "rollback", "state": "switching"}
    assert found["runs"][0]["seconds"] is None


def test_a_run_that_only_staged_stands_in_nobodys_way(run_module, state_dir, tmp_path):
    record(state_dir, IDS[1], "open")
    assert look(run_module, state_dir, tmp_path)["unfinished"] == {}


def test_a_run_that_is_under_way_has_not_stopped(run_module, state_dir, tmp_path):
    record(state_dir, IDS[1], "switching")
    leases.acquire(state_dir, IDS[1], "ann", "rollback", 600, {})
    found = look(run_module, state_dir, tmp_path)
    assert found["unfinished"] == {}
    assert "ann" in found["holder"]
    with open(os.path.join(state_dir, "lease.json"), encoding="utf-8") as stream:
        lease = json.load(stream)
    leases._write(state_dir, {**lease, "expires_at": time.time() - 1}, "refreshed", "test")
    assert look(run_module, state_dir, tmp_path)["unfinished"]["id"] == IDS[1]


def test_dumps_of_operators(run_module, state_dir, tmp_path):
    (tmp_path / "dumps").mkdir()
    for name in ("backup_20261119.sql", "backup_20261120_0300.sql.zst", "notes.txt"):
        (tmp_path / "dumps" / name).write_text("1234")
    names = [(os.path.basename(dump["path"]), dump["bytes"]) for dump in look(run_module, state_dir, tmp_path)["dumps"]]
    assert names == [("backup_20261120_0300.sql.zst", 4), ("backup_20261119.sql", 4)]
