"""The modules of the check before a deployment, for real, and what becomes of their answers."""

from __future__ import annotations

import json

import pytest
from ansible_collections.campaign.rollback.plugins.filter.deployment import deployment_checks

COMMIT = "1a2b3c4d5e6f70819293a4b5c6d7e8f901234567"
CANARY = "canary-7f3a"


def test_a_mark_is_set_once_and_read_by_anybody(run_module, state_dir, untouched):
    given = {"commit": COMMIT, "state_dir": state_dir}
    with untouched():
        assert run_module("staging_mark", given)["mark"] == {}
        found = run_module("staging_mark", {**given, "by": "staging 1234"}, check=True)
    assert (found["changed"], found["mark"]["by"]) == (True, "staging 1234")
    first = run_module("staging_mark", {**given, "by": "staging 1234"})
    assert first["changed"]
    again = run_module("staging_mark", {**given, "by": "staging 1234"})
    assert (again["changed"], again["mark"]) == (False, first["mark"])
    assert run_module("staging_mark", {**given, "by": "Jane Doe"})["diff"]["before"].startswith("staging 1234 at ")
    assert run_module("staging_mark", given)["mark"]["by"] == "Jane Doe"
    assert "40 hexadecimal" in run_module("staging_mark", {**given, "commit": "main"}, fails=True)["msg"]


def test_an_environment_file_is_told_by_its_digest(run_module, tmp_path):
    path = tmp_path / ".env"
    path.write_text(f"KEY={CANARY}\n")
    given = {"env_files": [str(path), str(tmp_path / "none")]}
    found = run_module("deployment_info", given)
    assert CANARY not in json.dumps(found)
    assert found["environment"][str(tmp_path / "none")] == ""
    assert (found["commit"], found["migrations"]) == ("", None)
    path.write_text(f"KEY={CANARY}2\n")
    assert run_module("deployment_info", given)["environment"] != found["environment"]


@pytest.fixture
def release(tmp_path):
    """A live release whose repository does not know the commit to deploy."""
    live = tmp_path / "releases" / "one"
    live.mkdir(parents=True)
    (live / "REVISION").write_text(COMMIT)
    (live / ".env").write_text("DB_CONNECTION=mysql\n")
    (tmp_path / "current").symlink_to("releases/one")
    return {"path": str(tmp_path), "repository": str(tmp_path / "repo.git")}


def test_migrations_that_cannot_be_read_hide_nothing_else(run_module, release):
    found = run_module("deployment_info", {"code": release, "commit": "f" * 40})
    assert found["commit"] == COMMIT
    assert "git cannot read a commit" in found["migrations"]["problem"]


ASKED = {"state_host": "data1", "commit": COMMIT, "own": "", "max_age_s": 60}


def test_whoever_does_not_answer_stands_against_it():
    answer = {"commit": "", "environment": {}, "migrations": None}
    hosts = {
        "data1": {"deployment_found": answer, "run_preflight": {"problems": []}},
        "web1": {},
        "web2": {"deployment_found": answer},
        "wa1": {"deployment_found": {"msg": "There is no live release.", "failed": True}},
    }
    rows = deployment_checks(["data1", "web1", "web2", "wa1"], hosts, ASKED)
    assert rows.pop()["detail"] == "There is no live release."
    assert [(row["check"], row["where"], row["result"]) for row in rows] == [
        ("state host answers", "data1", "FAILED"),
        ("room, rights, programs and clock", "data1", "passed"),
        ("answers", "web1", "FAILED"),
        ("room, rights, programs and clock", "web2", "FAILED"),
    ]
