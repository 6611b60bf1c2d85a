"""What a level would do: estimated as hosts work, refused for every reason at once."""

from __future__ import annotations

from ansible_collections.campaign.rollback.plugins.module_utils.impact_levels import describe, seconds_of

KNOWN = {"components": ["database", "application"], "budget_s": 100}
DECLARED = {"covers": ["code"], "overhead_s": 30, "users": "served"}


def row(component, host, seconds=1, can=True, **more):
    return {"component": component, "host": host, "seconds": seconds, "can": can, **more}


def level(rows, silent=None, runs=(), missing=""):
    return describe("partial", KNOWN, DECLARED, rows, silent or {}, runs, missing)


def test_hosts_work_side_by_side_and_components_one_after_the_other():
    rows = [row("database", "db", 20), row("application", "a", 3), row("application", "b", "5"), row("gate", "a", None)]
    assert seconds_of(rows, 30) == 55
    assert seconds_of([], 30) == 30


def test_a_level_that_can_be_done():
    rows = [row("database", "db", reversible="until the attic is pruned"), row("application", "a", reversible="kept")]
    found = level(rows)
    assert (found["can"], found["refused"], found["seconds"]) == (True, [], 32)
    assert found["way_back"] == ["database: until the attic is pruned", "application: kept"]


def test_every_reason_is_told():
    rows = [row("database", "db", can=False, reason="no room."), row("application", "a", can=False)]
    found = level(rows, {"web2": ["application", "frontend"], "wa1": ["whatsapp_session"]})
    assert not found["can"]
    assert found["refused"] == [
        "web2 does not answer; if it stays down, -e rollback_without=web2",
        "database on db: no room",
        "application on a:",
    ]


def test_without_a_restore_point_that_is_the_reason():
    assert level([], missing="there is none")["refused"] == ["there is none"]


def test_without_an_answer_nothing_can_be_done():
    assert level([])["refused"] == ["no component answered"]


def test_what_would_break_its_budget_is_refused():
    assert level([row("database", "db", 71)])["refused"] == ["it would take about 101 s, its budget is 100 s"]
    assert level([row("database", "db", 70)])["can"]


def test_how_long_it_took_last_is_that_of_the_newest_success_of_the_same_level():
    runs = [
        {"level": "partial", "kind": "rollback", "state": "failed", "seconds": 1},
        {"level": "partial", "kind": "undo", "state": "success", "seconds": 2},
        {"level": "full", "kind": "rollback", "state": "success", "seconds": 3},
        {"level": "partial", "kind": "rollback", "state": "success", "seconds": 4},
        {"level": "partial", "kind": "rollback", "state": "success", "seconds": 5},
    ]
    assert level([], runs=runs)["last_s"] == 4
    assert level([])["last_s"] is None
