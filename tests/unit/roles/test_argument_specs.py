"""Every role declares what it takes: one option for each of its defaults, one entry point for each way to call it."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[3]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())
#: What every component is called with, by a computed name.
VERBS = {"assess", "capture", "stage", "switch", "verify", "undo"}
ROLE = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def specs(role):
    """Entry points of a role's argument specification."""
    for name in ("argument_specs.yml", "argument_specs.yaml"):
        document = load(role / "meta" / name)
        if document:
            return document["argument_specs"]
    pytest.fail(f"roles/{role.name}/meta/argument_specs.yml is missing")
    return {}


def included(tasks):
    """Files that tasks of the same role include or import, blocks searched through."""
    for task in tasks or []:
        for key in ("block", "rescue", "always"):
            yield from included(task.get(key))
        for key in ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks"):
            if key in task:
                target = task[key]["file"] if isinstance(task[key], dict) else task[key]
                yield from re.findall(r"(\w+)\.yml", target)


def called(role):
    """Entry points of a role that a playbook or a role calls by name."""
    files = [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/tasks/**/*.yml")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    call = rf"name: \"?campaign\.rollback\.{role.name}\"?\n +tasks_from: \"?([a-z_]+)\"?$"
    return set(re.findall(call, text, re.MULTILINE))


def entry_points(role):
    """Files in ``tasks/`` that are called from outside: all but those that only the role itself includes."""
    files = {path.stem: load(path) for path in (role / "tasks").glob("*.yml")}
    internal = {name for tasks in files.values() for name in included(tasks)}
    outside = called(role) | VERBS
    return {name for name in files if name == "main" or name in outside or name not in internal}


@ROLE
def test_defaults_and_options_are_the_same_names(role):
    defaults = {name for name in load(role / "defaults" / "main.yml") or {} if name.startswith(f"{role.name}_")}
    options = {name for entry in specs(role).values() for name in entry.get("options", {})}
    own = {name for name in options if name.startswith(f"{role.name}_")}
    assert sorted(defaults - own) == [], "defaults that the specification does not name"
    required = {
        name
        for entry in specs(role).values()
        for name, option in entry.get("options", {}).items()
        if option.get("required")
    }
    assert sorted(own - defaults - required) == [], "options that have no default and are not required"


@ROLE
def test_defaults_carry_the_name_of_their_role(role):
    foreign = [name for name in load(role / "defaults" / "main.yml") or {} if not name.startswith(f"{role.name}_")]
    assert foreign == []


@ROLE
def test_every_entry_point_is_specified_and_nothing_else(role):
    specified = set(specs(role))
    assert sorted(entry_points(role) - specified) == [], "task files without a specification"
    present = {path.stem for path in (role / "tasks").glob("*.yml")}
    assert sorted(specified - present) == [], "specifications without a task file"


@ROLE
def test_every_option_says_what_it_is(role):
    for name, entry in specs(role).items():
        assert entry.get("short_description"), f"{role.name}/{name}"
        for option, spec in entry.get("options", {}).items():
            assert spec.get("description"), f"{role.name}/{name}: {option}"
            assert spec.get("type"), f"{role.name}/{name}: {option}"
