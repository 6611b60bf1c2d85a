"""A state host that has seen restore points, runs and a drill."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import monitoring, runs, trigger_alerts, trigger_check
from ansible_collections.campaign.rollback.plugins.module_utils.restore_points import Store
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_rules import parse
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import looked
from ansible_collections.campaign.rollback.plugins.modules import validation_browser

#: 2026-11-22 10:00:00 UTC.
NOW = 1795341600.0
POINTS = ("20261121T100000Z", "20261122T090000Z")
RUN = "20261122T093000Z"
BROWSER = pytest.mark.skipif(
    validation_browser.async_playwright is None or not any(map(shutil.which, validation_browser.NAMES)),
    reason="needs Playwright and a Chromium",
)
DRILL = {
    "level": "full",
    "verdict": "success",
    "finished": "2026-11-22T09:00:00Z",
    "rto_s": 68.7,
    "outage_s": 5.68,
    "rows_lost": 0,
}


def point(point_id, **database):
    return {
        "schema": 1,
        "id": point_id,
        "taken_at": "unused",
        "taken_by": "root",
        "environment": "test",
        "application": {"commit": "c" * 40},
        "database": {"kind": "physical", "files": [{"path": "/b/x.sql", "bytes": 7000}], **database},
        "known_good": True,
    }


def change(host, seq, at, state, **more):
    moment = f"2026-11-22T09:30:{at:09.6f}Z"
    return {"run": RUN, "fencing": 1, "host": host, "seq": seq, "at": moment, "state": state, **more}


def hold(host, seq, closed, opened):
    """Lines of a gate that was closed for a while, not opened with None."""
    gate = {"component": "gate", "verb": "hold", "name": "/etc/nginx/rollback/closed", "undo": {}}
    lines = [change(host, seq, closed, "begin", **gate), change(host, seq, closed + 0.1, "done", result={})]
    return lines + ([change(host, seq, opened, "undone", result={})] if opened else [])


def recovered(**table):
    step = {"component": "database", "verb": "recover", "name": "later rows", "undo": {}}
    numbers = {"wanted": 0, "brought": 5, "conflicts": 0, **table}
    return [change("data1", 9, 20, "begin", **step), change("data1", 9, 21, "done", result={"tables": {"a": numbers}})]


def journals(state_dir, lines):
    path = os.path.join(os.path.dirname(runs.path_of(state_dir, RUN)), "journals.jsonl")
    with open(path, "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)


def world(state_dir):
    store = Store(state_dir)
    store.write(point(POINTS[0], verified={"at": "2026-11-21T10:01:00Z", "failed": "it is torn"}))
    store.write(point(POINTS[1], verified={"at": "2026-11-22T09:01:00Z", "failed": ""}))
    record = {"id": RUN, "kind": "rollback", "level": "full", "state": "success", "finished": "2026-11-22T09:31:08Z"}
    runs.write(state_dir, record)
    journals(state_dir, hold("web1", 2, 10, 13.4) + hold("web2", 2, 10, 14.5) + recovered(conflicts=2, wanted=1))


def check(used=0.97, now=NOW, held=""):
    """Every rule, with this share of the memory used for a while."""
    memory, series = {}, [looked("memory", "used_share", used, host="web1")]
    for minutes in range(7, -1, -1):
        found = trigger_check.check(parse([]), series, memory, now - 60 * minutes, trigger_check.Hold(0, held))
    return found


def everything(state_dir):
    """All metrics as node_exporter gets them."""
    world(state_dir)
    return trigger_alerts.exposition(check(), NOW) + monitoring.exposition(state_dir, [DRILL], NOW)
