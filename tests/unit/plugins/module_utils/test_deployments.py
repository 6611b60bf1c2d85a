"""No deployment without a way back: each thing that has to be true fails by itself when it is not."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import deployments
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

COMMIT = "1a2b3c4d5e6f70819293a4b5c6d7e8f901234567"
POINT = {
    "id": "20261121T174500Z",
    "age_s": 600,
    "problem": "",
    "known_good": True,
    "verified": "2026-11-21T17:46:00Z",
    "verification_failed": "",
}
STATE = {
    "points": [POINT],
    "unfinished": {},
    "lease": {"held": False, "holder": "", "lease": {}},
    "mark": {"by": "staging 1234", "at": "2026-11-21T17:00:00Z"},
}
HELD = {"held": True, "holder": "somebody", "lease": {"run_id": "deploy-7"}}
STOPPED = {"id": "20261121T170000Z", "kind": "rollback", "state": "switching"}
HOST = {"commit": COMMIT, "environment": {"/srv/.env": "d1"}, "migrations": None, "problems": []}
MANIFEST = {"application": {"commit": COMMIT}, "env_restore": {"web1": {"/srv/.env": {"digest": "d1"}}}}
MIGRATIONS = {"names": ["a"], "refusals": [], "notes": [], "problem": ""}


def failed(checks):
    return [check["name"] for check in checks if not check["passed"]]


def test_with_a_way_back_everything_passes():
    assert failed(deployments.of_state(STATE, COMMIT, "", 3600)) == []
    assert failed(deployments.of_host("web1", {**HOST, "migrations": MIGRATIONS}, MANIFEST)) == []


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"points": [{**POINT, "age_s": 3601}]}, ["restore point is fresh"]),
        # A clock that was set back proves nothing.
        ({"points": [{**POINT, "age_s": -5}]}, ["restore point is fresh"]),
        ({"points": [{**POINT, "known_good": False}]}, ["restore point is known good"]),
        ({"points": [{**POINT, "verified": ""}]}, ["its backup was restored in a test"]),
        ({"points": [{**POINT, "verification_failed": "damaged"}]}, ["its backup was restored in a test"]),
        # The newest one counts, whatever is behind it.
        ({"points": [{**POINT, "known_good": False}, POINT]}, ["restore point is known good"]),
        ({"lease": HELD}, ["nobody holds the system"]),
        ({"unfinished": STOPPED}, ["no run stopped half way"]),
        ({"mark": {}}, ["staging is green"]),
    ],
)
def test_what_the_state_host_says_against_it(changes, wanted):
    checks = deployments.of_state({**STATE, **changes}, COMMIT, "", 3600)
    assert failed(checks) == wanted
    assert all(check["look"] for check in checks if not check["passed"])


@pytest.mark.parametrize("points", [[], [{"id": "x", "age_s": 1, "problem": "a manifest is incomplete"}]])
def test_without_a_restore_point_nothing_about_it_passes(points):
    assert len(failed(deployments.of_state({**STATE, "points": points}, COMMIT, "", 3600))) == 3


def test_the_deployment_itself_may_hold_the_lease():
    assert failed(deployments.of_state({**STATE, "lease": HELD}, COMMIT, "deploy-7", 3600)) == []
    assert failed(deployments.of_state({**STATE, "lease": HELD}, COMMIT, "deploy-8", 3600)) != []


@pytest.mark.parametrize(
    ("said", "point", "wanted"),
    [
        ({}, MANIFEST, ["answers"]),
        ({**HOST, "problems": ["no room"]}, MANIFEST, ["room, rights, programs and clock"]),
        ({**HOST, "commit": "f" * 40}, MANIFEST, ["restore point has the live code"]),
        ({**HOST, "environment": {"/srv/.env": "d2"}}, MANIFEST, ["environment /srv/.env is captured"]),
        (HOST, {**MANIFEST, "env_restore": {}}, ["environment /srv/.env is captured"]),
        (HOST, {}, ["restore point has the live code", "environment /srv/.env is captured"]),
        ({**HOST, "migrations": {**MIGRATIONS, "refusals": ["a: no"]}}, MANIFEST, ["its migrations can be reversed"]),
        ({**HOST, "migrations": {**MIGRATIONS, "problem": "no commit"}}, MANIFEST, ["its migrations can be reversed"]),
        # A host without the application.
        ({**HOST, "commit": "", "environment": {}}, {}, []),
    ],
)
def test_what_a_host_says_against_it(said, point, wanted):
    assert failed(deployments.of_host("web1", said, point)) == wanted


@pytest.mark.parametrize("commit", ["", "main", COMMIT[:12], "../" + COMMIT])
def test_a_mark_is_of_a_whole_commit(commit):
    with pytest.raises(RollbackError, match="40 hexadecimal"):
        deployments.mark_path("/state", commit)


MIGRATION = """<?php
return new class extends Migration {{
    public function up() {{ Schema::create('{table}', function (Blueprint $table) {{ $table->id(); }}); }}
    {down}
}};
"""
DOWN = "public function down() {{ Schema::dropIfExists('{table}'); }}"


@pytest.fixture
def repository(tmp_path):
    """A repository, and a function that commits migrations: name to whether it can be reversed."""

    def git(*arguments):
        given = ["-c", "user.name=t", "-c", "user.email=t@example.test", *arguments]
        done = subprocess.run(["git", "-C", str(tmp_path), *given], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(files):
        for name, reversible in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            down = DOWN.format(table=path.stem) if reversible else ""
            path.write_text(MIGRATION.format(table=path.stem, down=down))
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message=x")
        return git("rev-parse", "HEAD")

    git("init", "--quiet")
    return str(tmp_path / ".git"), commit


def look(repository, live, wanted, **given):
    search = ["database/migrations", "packages/*/migrations"]
    return deployments.new_migrations(repository, live, wanted, given.get("search", search), [], "mysql")


def test_only_what_the_commit_brings_is_examined(repository):
    path, commit = repository
    live = commit({"database/migrations/2025_01_01_000000_old.php": False, "README": True})
    wanted = commit({"database/migrations/2026_01_01_000000_new.php": True, "docs/2026_x.php": False})
    found = look(path, live, wanted)
    assert (found["names"], found["refusals"]) == (["2026_01_01_000000_new"], [])
    assert look(path, wanted, wanted)["names"] == []


def test_a_migration_that_cannot_be_reversed_is_told_wherever_it_lies(repository):
    path, commit = repository
    live = commit({"README": True})
    wanted = commit({"packages/crm/migrations/2026_01_01_000000_crm.php": False})
    found = look(path, live, wanted)
    assert found["names"] == ["2026_01_01_000000_crm"]
    assert "down() is missing" in found["refusals"][0]


def test_a_commit_that_is_not_here_is_told(repository):
    path, commit = repository
    live = commit({"README": True})
    with pytest.raises(RollbackError, match="git cannot read a commit"):
        look(path, live, "f" * 40)
