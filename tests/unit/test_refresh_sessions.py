"""Log-ins are ended only for who said so: the plan alone, a wrong word or a refusal must never get that far."""

from __future__ import annotations

import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).parents[2]
ACTS = "campaign.rollback.login_sessions"


def load(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def tasks_of(entries):
    """Every task, however deep."""
    for entry in entries or []:
        yield entry
        for key in ("tasks", "block", "rescue", "always"):
            yield from tasks_of(entry.get(key))


def calls(entries):
    """Every include or import of a role: the task and what it calls."""
    for task in tasks_of(entries):
        for key in task:
            if key.endswith(("include_role", "import_role")):
                yield task, (task[key]["name"], task[key].get("tasks_from"))


def test_nothing_but_the_confirmation_lets_log_ins_be_ended():
    acting = [task for task, call in calls(load("playbooks/phases/refresh.yml")) if call == (ACTS, "end")]
    assert len(acting) == 1
    # At the task: where the controller failed in the plan, the confirmation has no host left that could stop.
    assert "hostvars.localhost.run_confirmed | default(false)" in acting[0]["when"]
    assert " or " not in acting[0]["when"]
    elsewhere = [path for path in ROOT.glob("playbooks/**/*.yml") if path.name != "refresh.yml"]
    assert not [path for path in elsewhere if (ACTS, "end") in [call for _task, call in calls(load(path))]]


def test_the_confirmation_comes_before_the_act():
    found = [call for _task, call in calls(load("playbooks/phases/refresh.yml"))]
    assert found.index(("campaign.rollback.run", "confirm")) < found.index((ACTS, "end"))


def test_only_a_run_that_was_not_refused_and_named_its_word_is_confirmed():
    tasks = load("roles/run/tasks/confirm.yml")
    last = tasks[-1]["ansible.builtin.set_fact"]
    assert last == {"run_confirmed": True}
    refused, word = [task for task in tasks if "ansible.builtin.assert" in task]
    assert refused["ansible.builtin.assert"]["that"] == "run_refusals | length == 0"
    assert "when" not in refused
    assert word["ansible.builtin.assert"]["that"] == "run_confirm == __run_word"
    assert word["when"] == "not ansible_check_mode and run_kind != 'resume'"
    for task in (refused, word):
        assert not {"ignore_errors", "failed_when"} & set(task)
    setting = [
        path
        for path in (*ROOT.glob("roles/**/*.yml"), *ROOT.glob("playbooks/**/*.yml"))
        if re.search(r"^ +run_confirmed:", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert [path.name for path in setting] == ["confirm.yml"]


def test_the_word_is_that_of_no_other_playbook():
    """A word that was given to have sessions of WhatsApp mended must not end those of users."""
    plans = {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("roles/run/tasks/plan*.yml")}
    words = {name: re.findall(r"run_subject: (.*)", text) for name, text in plans.items()}
    assert words["plan_refresh.yml"] == ["\"{{ run_sessions_of or 'log-ins' }}\""]
    assert words["plan_sessions.yml"] == ["sessions"]
