"""Where runs are killed: every change of a host is a point, tasks that change nothing are covered by the next one."""

from __future__ import annotations

import datetime

import catalogue
import kills
import points
import pytest

SWITCH = "(5/7) SWITCH: "


def task(key, action="campaign.rollback.path_switch", host="web1", status="ok"):
    return [
        {"event": "task", "key": key, "action": action},
        {"event": "result", "key": key, "host": host, "status": status},
    ]


def record(*tasks):
    return [event for events in tasks for event in events]


def test_a_point_stands_for_the_boundaries_that_change_nothing_before_it():
    events = record(
        task("stage | decide | 1", "ansible.builtin.set_fact"),
        task("stage | look | 1", "campaign.rollback.release_info"),
        task("stage | here only | 1", host="localhost"),
        task("stage | not for this host | 1", status="skipped"),
        task("stage | change | 1"),
    )
    assert points.boundaries("rollback-full", events) == [points.Point("rollback-full", "stage | change | 1", 5)]


def test_the_end_of_a_run_is_a_point():
    events = record(task("a | change | 1"), task("a | say it | 1", "ansible.builtin.debug"))
    assert [point.key for point in points.boundaries("undo-rollback", events)] == ["a | change | 1", "a | say it | 1"]


def test_a_delegated_task_of_the_controller_changes_a_host():
    assert points.changing(record(task("verdict | record | 1", host="data1"))) == {"verdict | record | 1"}


def test_the_inside_of_a_task_is_tried_with_the_module_alive_and_dead():
    inside = points.Inside("rollback-full", "Swap", "data1", "journal", "database")
    found = points.insides("rollback-full", record(task("s | Swap the schemas | 1", host="data1")), [inside])
    assert [(point.key, point.flavour) for point in found] == [
        ("s | Swap the schemas | 1", "thaw"),
        ("s | Swap the schemas | 1", "kill"),
    ]
    assert len({point.name for point in found}) == 2


def test_a_task_that_was_renamed_is_no_point_less():
    inside = points.Inside("rollback-full", "Swap", "data1", "journal", "database")
    with pytest.raises(LookupError, match="correct points"):
        points.insides("rollback-full", record(task("s | Exchange the schemas | 1", host="data1")), [inside])


def test_a_run_that_is_too_fast_is_caught_at_the_next_boundary():
    events = record(task("a | one | 1"), task("a | two | 1"), task("b | three | 1"))
    assert points.following(events, "a | one | 1") == "a | two | 1"
    assert points.following(events, "a | one | 1", "three") == "b | three | 1"
    assert points.following(events, "b | three | 1") == ""


def many():
    plays = [SWITCH + name for name in ("early", "close", "swap", "open")] + ["stage"] * 20
    known = [points.Point("rollback-full", f"{play} | task {number} | 1") for number, play in enumerate(plays)]
    for playbook in ("undo-rollback", "resume-rollback"):
        known += [points.Point(playbook, f"{SWITCH}x | task {number} | 1") for number in range(5)]
    return known


@pytest.mark.parametrize("seed", range(20))
def test_every_sample_covers_each_step_of_the_switch_an_undo_and_a_resume(seed):
    chosen = points.sample(many(), 10, seed)
    assert len(chosen) == 10
    plays = {point.play for point in chosen if point.playbook == "rollback-full"}
    assert plays >= {SWITCH + name for name in ("early", "close", "swap", "open")}
    assert {point.playbook for point in chosen} == {"rollback-full", "undo-rollback", "resume-rollback"}


def test_a_sample_is_repeated_with_its_seed_and_changes_with_the_day():
    assert points.sample(many(), 10, 7) == points.sample(many(), 10, 7)
    assert points.seed_of("7", datetime.date(2026, 2, 1)) == 7
    assert points.seed_of("", datetime.date(2026, 2, 1)) == 32
    assert len({tuple(points.sample(many(), 10, seed)) for seed in range(5)}) > 1


def test_every_fault_has_a_name_a_way_in_and_a_verdict():
    names = [fault.name for fault in catalogue.FAULTS]
    assert len(names) == len(set(names)) >= 20
    assert all(fault.inject for fault in catalogue.FAULTS)
    known = {"refused", "taken back", "success", "partly"}
    assert all(fault.verdicts and fault.verdicts <= known for fault in catalogue.FAULTS)


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_of_faults_has_one_slow_one(seed):
    chosen = catalogue.sample(5, seed)
    assert len(chosen) == 5
    assert sum(fault.slow for fault in chosen) == 1


def waiting(*playbooks):
    return points.Waiting([points.Point(name, f"{number}") for number, name in enumerate(playbooks)])


def test_what_can_start_at_once_goes_first_and_a_resume_goes_last():
    left = waiting("resume-rollback", "undo-rollback", "rollback-full")
    names = [left.first({"rollback-full", "resume-rollback"}).playbook for _each in range(3)]
    assert names == ["rollback-full", "undo-rollback", "resume-rollback"]
    assert left.first({"rollback-full"}) is None


def test_only_a_killed_rollback_has_its_recovery_killed_too():
    left = waiting("undo-rollback", "resume-rollback")
    assert left.second(points.Point("undo-rollback", "x"), kills.SECOND) is None
    rollback = points.Point("rollback-full", "x")
    assert [left.second(rollback, kills.SECOND).playbook for _each in range(2)] == ["resume-rollback", "undo-rollback"]
    assert left.second(rollback, kills.SECOND) is None


def test_a_point_that_the_recovery_does_not_come_to_is_tried_alone():
    left, rollback = waiting("resume-rollback"), points.Point("rollback-full", "x")
    missed = left.second(rollback, kills.SECOND)
    left.put_back(missed, alone=True)
    assert left.second(rollback, kills.SECOND) is None
    assert left.first(set()) == missed


@pytest.mark.parametrize(
    ("playbook", "recovery", "unfinished", "in_place", "wanted"),
    [
        ("rollback-full", "resume", True, True, ("B", True)),
        ("rollback-full", "undo", True, True, ("A", True)),
        # Killed before it announced anything.
        ("rollback-full", "resume", False, False, ("A", False)),
        ("rollback-full", "undo", False, False, ("A", False)),
        ("undo-rollback", "resume", False, True, ("B", False)),
        ("undo-rollback", "again", False, True, ("A", True)),
        # Killed after it recorded its end.
        ("rollback-full", "resume", False, True, ("B", False)),
        ("rollback-full", "undo", False, True, ("A", True)),
        ("undo-rollback", "resume", False, False, ("A", False)),
        ("undo-rollback", "again", False, False, ("A", False)),
        ("capture-restore-point", "again", False, False, ("A", True)),
    ],
)
def test_where_a_recovery_has_to_lead(playbook, recovery, unfinished, in_place, wanted):
    assert kills.expected(playbook, recovery, unfinished, in_place) == wanted
