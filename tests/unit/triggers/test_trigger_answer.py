"""What may start by itself is decided once, on the state host, whoever asks and however often."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest
import yaml
from ansible_collections.campaign.rollback.plugins.module_utils import leases
from ansible_collections.campaign.rollback.plugins.module_utils.restore_points import Store
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_answer import answer
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_check import Hold
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_rules import LEVELS, parse
from hypothesis import given
from hypothesis import strategies as st
from trigger_world import COMPONENTS, NOW, inventory

ROOT = pathlib.Path(__file__).parents[3]
POINT = {"id": "20261122T070000Z", "known_good": True}
RULES = parse([])
LEVEL_OF = {rule.name: rule.level for rule in RULES}


def remembered(*fired, at=NOW - 5):
    verdicts = {
        rule.name: {"web1": {"verdict": "fired" if rule.name in fired else "ok", "since": at - 700, "at": at}}
        for rule in RULES
    }
    return {"verdicts": verdicts}


FREE = Hold()


def told(*fired, automatic=LEVELS, hold=FREE, point=POINT, at=NOW - 5):
    found = answer(RULES, remembered(*fired, at=at), NOW, hold, automatic, point)
    return found["do"], found["level"], found["why"]


def test_only_what_is_named_starts_by_itself():
    assert told("frontend_unreachable", automatic=["frontend"])[:2] == ("start", "frontend")
    do, level, why = told("frontend_unreachable", automatic=["partial", "selective"])
    assert (do, level) == ("ask", "frontend")
    assert "level frontend does not start by itself, triggers_automatic names selective, partial" in why
    assert told("frontend_unreachable", automatic=[])[0] == "ask"


def test_the_largest_level_counts_even_if_a_smaller_one_could_start():
    assert told("frontend_unreachable", "database_integrity", automatic=["frontend"])[:2] == ("ask", "full")


def test_without_a_level_somebody_has_to_look():
    found = answer(RULES, remembered("database_unreachable"), NOW, Hold(), LEVELS, POINT)
    assert (found["do"], found["level"]) == ("ask", "")
    assert found["next_step"] == "ansible-playbook playbooks/assess-rollback.yml"


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ({"hold": Hold(0, "cool-down after a rollback, until 08:10")}, "cool-down"),
        ({"hold": Hold(NOW - 4)}, "the system was changed after it"),
        ({"at": NOW - 301}, "checked last"),
    ],
)
def test_what_is_held_or_old_starts_nothing(given_, why):
    do, _level, said = told("error_rate", **given_)
    assert do == "nothing"
    assert why in said


def test_a_check_right_after_the_last_change_counts():
    assert told("error_rate", hold=Hold(NOW - 6))[0] == "start"
    assert told("error_rate", at=NOW - 300)[0] == "start"


def test_nothing_was_ever_checked():
    found = answer(RULES, {}, NOW, Hold(), LEVELS, POINT)
    assert (found["do"], found["why"]) == ("nothing", "the triggers were checked last never")


@pytest.mark.parametrize("point", [{}, {**POINT, "known_good": False}])
def test_no_way_back_that_is_known_good_needs_a_person(point):
    assert told("error_rate", point=point)[0] == "ask"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            {"recent": [{"id": "r1", "operator": "automatic", "restore_point": POINT["id"], "state": "undone"}]},
            "already",
        ),
        ({"stopped": {"id": "r1", "kind": "rollback", "state": "switching"}}, "rollback r1 stopped half way"),
        ({"point": {**POINT, "id": "20261122T075500Z"}}, "taken after this began"),
    ],
)
def test_what_would_not_help_or_is_in_somebodys_hands_needs_a_person(more, why):
    given_ = {"automatic": LEVELS, "point": POINT, **more}
    found = answer(RULES, remembered("error_rate"), NOW, FREE, **given_)
    assert (found["do"], why in found["why"]) == ("ask", True), found["why"]
    assert found["next_step"] == "ansible-playbook playbooks/assess-rollback.yml"


def test_what_somebody_started_or_what_went_elsewhere_is_no_reason_to_ask():
    recent = [{"id": "r1", "operator": "alice", "restore_point": POINT["id"], "state": "success"}]
    recent += [{"id": "r0", "operator": "automatic", "restore_point": "20261101T000000Z", "state": "success"}]
    assert answer(RULES, remembered("error_rate"), NOW, FREE, LEVELS, POINT, recent)["do"] == "start"


@given(
    st.sets(st.sampled_from(sorted(LEVEL_OF))),
    st.sets(st.sampled_from(LEVELS[1:])),
    st.floats(0, 1000),
    st.floats(0, 1000),
    st.booleans(),
    st.booleans(),
)
def test_what_starts_is_allowed_seen_lately_and_not_held(fired, automatic, age, changed, held, good):
    hold = Hold(NOW - changed, "held" if held else "")
    do, level, _why = told(*fired, automatic=automatic, hold=hold, at=NOW - age, point={**POINT, "known_good": good})
    started = do == "start"
    largest = max((LEVEL_OF[name] for name in fired), key=LEVELS.index, default="")
    assert started == (bool(fired) and largest in automatic and not held and good and age <= min(300, changed))
    assert not started or level == largest


@pytest.fixture
def place(tmp_path):
    """A system of one host that is this one, on which error_rate fired, and its playbook answer-triggers.yml."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    manifest = {**POINT, "schema": 1, "taken_at": "2026-11-22T07:00:00Z", "taken_by": "test", "environment": "try"}
    Store(str(state)).write({**manifest, "application": {}, "database": {}})
    (state / "triggers.json").write_text(json.dumps(remembered("error_rate", at=time.time())))
    return tmp_path


def answered(place, automatic=("frontend",), **more):
    """Exit status and words of a run; error_rate asks for the front end."""
    hosts = inventory(place)
    hosts["all"]["vars"].update(triggers_automatic=list(automatic), **more)
    hosts["all"]["vars"]["triggers_rules"].append({"name": "error_rate", "level": "frontend"})
    assert "frontend" in COMPONENTS
    (place / "hosts.yml").write_text(yaml.safe_dump(hosts))
    argv = ["ansible-playbook", "-i", str(place / "hosts.yml"), "playbooks/answer-triggers.yml"]
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def events(place):
    """What happened to the lease."""
    path = place / "state" / "leases.jsonl"
    return [json.loads(line)["event"] for line in path.read_text().splitlines()] if path.exists() else []


def test_a_person_is_asked_with_the_command(place):
    status, said = answered(place, automatic=())
    assert status == 2
    assert "APPROVAL NEEDED, no rollback was started: error_rate since" in said
    assert "Next: ansible-playbook playbooks/rollback-frontend.yml" in said
    assert events(place) == []


def test_what_may_start_takes_the_lease_and_confirms_its_own_plan(place):
    status, said = answered(place)
    assert "Level frontend starts by itself: error_rate since" in said
    # There is no front end here, so it ends with the plan, which says for what and by whom it was.
    assert status == 2
    assert "frontend rollback of try, reason: error_rate since" in said
    assert "operator: automatic" in said
    assert "Restore point 20261122T070000Z" in said
    assert "This cannot be done" in said
    assert "Not confirmed" not in said
    assert events(place)[0] == "acquired"
    assert events(place)[-1] == "released"


def test_while_somebody_rolls_back_nothing_is_started(place):
    leases.acquire(str(place / "state"), "20261122T080000Z", "automatic", "rollback", 600, {})
    status, said = answered(place)
    assert status == 2
    assert "no rollback was started: the system is held: rollback 20261122T080000Z of automatic" in said
    assert events(place) == ["acquired"]


def test_a_capture_is_not_disturbed(place):
    leases.acquire(str(place / "state"), "20261122T080000Z", "ana", "capture", 600, {})
    status, said = answered(place)
    assert status == 2
    assert "The system is held by another run; nothing was touched. Found: capture 20261122T080000Z of ana" in said
    assert events(place) == ["acquired"]


def test_whoever_was_slower_starts_nothing_though_the_lease_is_free_again(place):
    """The other one takes and gives back the lease just before this run takes it, when this one has its answer."""
    quick = place / "quick.py"
    quick.write_text(f"""
import sys
sys.path.insert(0, {str(ROOT / "collections")!r})
from ansible_collections.campaign.rollback.plugins.module_utils import leases
taken = leases.acquire({str(place / "state")!r}, "20261122T080000Z", "automatic", "rollback", 600, {{}})
leases.release({str(place / "state")!r}, taken["fencing"])
print(600)
""")
    lookup = f"lookup('ansible.builtin.pipe', '{sys.executable} {quick}')"
    status, said = answered(place, rollback_lease_s="{{ " + lookup + " }}")
    assert status == 2
    assert "no rollback was started: somebody else held the system after it was judged" in said
    assert "(2/7) ASSESS" not in said
    assert events(place)[-2:] == ["acquired", "released"]
    assert not leases.is_held(leases.read(str(place / "state")), time.time())
