"""Shapes of the playbooks that a linter does not know."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
PLAYBOOKS = sorted(ROOT.glob("playbooks/**/*.yml"))


def blocks(tasks):
    """Every block with a rescue, however deep."""
    for task in tasks or []:
        if "rescue" in task:
            yield task
        for key in ("block", "rescue", "always"):
            yield from blocks(task.get(key))


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_rescue_does_not_end_itself(path):
    """A rescue inherits the condition of its block, and says stop itself: what it keeps after that would be lost."""
    for play in yaml.safe_load(path.read_text(encoding="utf-8")):
        for block in blocks(play.get("tasks")):
            condition = str(block.get("when", ""))
            assert "run_stop" not in condition, f"{play['name']}: {block['name']}"
            assert "run_host_stopped" not in condition, f"{play['name']}: {block['name']}"


def components(phase, verb, turns=False):
    """Roles whose ``verb`` a phase calls, in order: for levels that are rolling, or for all others."""
    plays = yaml.safe_load((ROOT / "playbooks" / "phases" / f"{phase}.yml").read_text(encoding="utf-8"))
    calls = [call for play in plays if ("turns" in play["hosts"]) is turns for call in included(play.get("tasks"))]
    return [call["name"].rpartition(".")[2] for call in calls if call.get("tasks_from") == verb]


def included(tasks):
    """Arguments of every include or import of a role, however deep."""
    for task in tasks or []:
        yield from (task[key] for key in task if key.endswith(("include_role", "import_role")))
        for key in ("block", "rescue", "always"):
            yield from included(task.get(key))


def test_what_is_switched_is_undone_the_other_way_round():
    switched, undone = components("switch", "switch"), components("undo", "undo")
    assert set(undone) == set(switched) == {path.parents[1].name for path in ROOT.glob("roles/*/tasks/undo.yml")}
    assert set(undone) == {path.parents[1].name for path in ROOT.glob("roles/*/tasks/switch.yml")}
    # Services last either way, because they take over what is live then.
    backwards = list(dict.fromkeys(reversed(switched)))
    assert undone == [*(name for name in backwards if name != "services"), "services"]


def turn(name):
    """What is called for a host that takes its turn, in order."""
    tasks = yaml.safe_load((ROOT / "roles" / "run" / "tasks" / f"{name}.yml").read_text(encoding="utf-8"))
    return [(call["name"].rpartition(".")[2], call["tasks_from"]) for call in included(tasks)]


def test_a_host_takes_its_turn_behind_its_own_gate_either_way():
    assert turn("turn") == [
        ("gate", "close"),
        ("application", "switch"),
        ("services", "switch"),
        ("validation", "inside"),
        ("gate", "open"),
    ]
    # Data first, because the code of the older release runs on the newer schema and not the other way round.
    assert components("undo", "undo", turns=True) == ["database"]
    assert turn("turn_back") == [
        ("gate", "close"),
        ("application", "undo"),
        ("services", "undo"),
        ("gate", "open"),
    ]


@pytest.mark.parametrize("name", ["turn", "turn_back"])
def test_a_turn_ends_when_a_failure_said_stop(name):
    """The conditions stand at the tasks: a rescue inherits those of its block."""
    for block in blocks(yaml.safe_load((ROOT / "roles" / "run" / "tasks" / f"{name}.yml").read_text(encoding="utf-8"))):
        assert "when" not in block
        for task in block["block"]:
            assert "run_stop" in str(task["when"]), task["name"]


def test_the_lease_outlasts_the_tests_of_the_application():
    plays = yaml.safe_load((ROOT / "playbooks" / "phases" / "validate.yml").read_text(encoding="utf-8"))
    found = [[call.get("tasks_from") for call in included(play.get("tasks"))] for play in plays]
    (tests,) = [number for number, verbs in enumerate(found) if "commands" in verbs]
    assert "keep_lease" in found[tests - 1]
    assert "timeout_s" in str(plays[tests - 1])


@pytest.mark.parametrize("name", ["validate", "validate-system"])
def test_what_counts_only_after_a_rollback_of_the_code_is_asked_for_alike(name):
    """Requests and tests of the application: a rollback of the front end alone leaves both as they are."""

    def conditions(entries):
        for entry in entries or []:
            call = next((entry[key] for key in entry if key.endswith(("include_role", "import_role"))), {})
            if (call.get("name"), call.get("tasks_from")) in asked:
                yield call["tasks_from"], entry["vars"]["validation_after_rollback"]
            for key in ("tasks", "block"):
                yield from conditions(entry.get(key))

    verbs = ("inside", "outside", "commands", "browser", "round", "soak")
    asked = {("campaign.rollback.validation", verb) for verb in verbs}
    path = ROOT / "playbooks" / "phases" / f"{name}.yml"
    found = dict(conditions(yaml.safe_load(path.read_text(encoding="utf-8"))))
    assert {"commands", "browser", "soak"} < set(found)
    assert all(condition.startswith("{{ 'application' in ") for condition in found.values())


YAML = sorted([*PLAYBOOKS, *ROOT.glob("roles/*/*/*.yml")])
#: Ansible's filters for sets return their elements in any order, another one in each run.
UNORDERED = re.compile(r"\| *(?:union|intersect|difference|symmetric_difference)\(")


def test_what_is_done_in_turn_has_an_order():
    ordered = re.compile(r"\bloop:|\| *first\b|_hosts?:|services_")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in YAML
        for line in path.read_text(encoding="utf-8").splitlines()
        if UNORDERED.search(line) and ordered.search(line)
    ]
    assert found == []


def facts(tasks):
    """Names of all that tasks, however deep, set or register."""
    for task in tasks or []:
        yield from task.get("ansible.builtin.set_fact", {})
        yield task.get("register", "")
        for key in ("tasks", "block", "rescue", "always"):
            yield from facts(task.get(key))


def test_what_other_roles_take_from_the_run_is_a_fact():
    """A default of the role run is unknown in them, so their own default would go for it without a word."""
    known = yaml.safe_load((ROOT / "roles" / "run" / "defaults" / "main.yml").read_text(encoding="utf-8"))
    told = {
        name
        for path in [*PLAYBOOKS, *ROOT.glob("roles/*/tasks/**/*.yml")]
        for name in facts(yaml.safe_load(path.read_text(encoding="utf-8")))
    }
    taken = {
        name
        for path in ROOT.glob("roles/*/defaults/main.yml")
        if path.parts[-3] != "run"
        for name in re.findall(r"(?<!\.)\brun_\w+", path.read_text(encoding="utf-8"))
    }
    assert taken & set(known) <= told
