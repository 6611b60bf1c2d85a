"""The modules that keep and read the state of runs, for real: restore points, run records, journals, gate, releases."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import leases, runs
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

RUN_ID = "20261121T174500Z"
MANIFEST = {
    "schema": 1,
    "id": RUN_ID,
    "taken_at": "2026-11-21T17:45:00Z",
    "taken_by": "test",
    "environment": "drill",
    "application": {"commit": "1a2b3c4d5e6f708192a3b4c5d6e7f80912a3b4c5"},
    "database": {},
    "known_good": True,
}


def test_restore_point_is_written_once_and_found(run_module, state_dir, untouched):
    arguments = {"manifest": MANIFEST, "state_dir": state_dir}
    with untouched():
        predicted = run_module("restore_point", arguments, check=True)
    written = run_module("restore_point", arguments)
    assert {key: written[key] for key in predicted} == predicted
    assert (written["changed"], written["mode"]) == (True, "0600")
    with untouched():
        assert run_module("restore_point", arguments)["changed"] is False
        for target in (RUN_ID, RUN_ID[:8], "latest"):
            found = run_module("restore_point_info", {"target": target, "state_dir": state_dir})
            assert (found["manifest"], found["present"], found["changed"]) == (MANIFEST, [RUN_ID], False)
    changed = run_module("restore_point", {**arguments, "manifest": {**MANIFEST, "known_good": False}})
    assert (changed["changed"], '"known_good": true' in changed["diff"]["before"]) == (True, True)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("wrong", [{"id": "../x"}, {"schema": 2}, {"known_good": "yes"}])
def test_a_manifest_that_could_not_be_read_back_is_not_written(run_module, state_dir, untouched, check, wrong):
    with untouched():
        run_module(
            "restore_point", {"manifest": {**MANIFEST, **wrong}, "state_dir": state_dir}, check=check, fails=True
        )


def test_a_plain_backup_becomes_a_restore_point_with_its_commit(run_module, state_dir, tmp_path, untouched):
    (tmp_path / "backup_20261114_0200.sql").write_text("-- dump")
    arguments = {"target": "20261114", "backup_dir": str(tmp_path), "state_dir": state_dir, "environment": "drill"}
    with untouched():
        refused = run_module("restore_point_info", arguments, fails=True)
        assert "-e rollback_commit=" in refused["msg"]
        found = run_module("restore_point_info", {**arguments, "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f80912a3b4c5"})[
            "manifest"
        ]
    assert (found["id"], found["known_good"], found["application"]) == (
        "20261114T000000Z",
        False,
        {"commit": "1a2b3c4d5e6f708192a3b4c5d6e7f80912a3b4c5"},
    )
    assert found["database"]["files"][0]["sha256"] == hashlib.sha256(b"-- dump").hexdigest()


@pytest.mark.parametrize("target", [RUN_ID, "20261113", "latest", "yesterday", "../x"])
def test_an_unknown_restore_point_is_one_clear_error(run_module, state_dir, tmp_path, target):
    arguments = {"target": target, "backup_dir": str(tmp_path), "state_dir": state_dir}
    message = run_module("restore_point_info", arguments, fails=True)["msg"]
    assert target in message
    assert "Next: " in message


def test_run_record_is_laid_over(run_module, state_dir, untouched):
    arguments = {
        "run_id": RUN_ID,
        "state_dir": state_dir,
        "fields": {"kind": "rollback", "state": "open", "reason": "test"},
    }
    with untouched():
        predicted = run_module("run_record", arguments, check=True)
    assert run_module("run_record", arguments) == predicted
    with untouched():
        assert run_module("run_record", arguments)["changed"] is False
    run_module("run_record", {**arguments, "fields": {"state": "success"}})
    found = run_module("run_record_info", {"purpose": "undo", "state_dir": state_dir})
    assert found["chosen"] == {"id": RUN_ID, "kind": "rollback", "state": "success", "reason": "test"}
    assert found["records"] == [found["chosen"]]
    assert run_module("run_record_info", {"state_dir": state_dir})["chosen"] == {}
    run_module("run_record_info", {"purpose": "undo", "run": "20261121T000000Z", "state_dir": state_dir}, fails=True)
    run_module("run_record", {**arguments, "fields": {"state": "splendid"}}, fails=True)


def test_run_record_does_what_belongs_to_the_same_moment(run_module, state_dir, untouched):
    """Others first, then the record and its files, and the lease last."""
    for run_id in (RUN_ID, "20261121T180000Z"):
        runs.write(state_dir, {"id": run_id, "kind": "rollback", "state": "switched"})
    lease = leases.acquire(state_dir, RUN_ID, "me", "undo", 600, {})
    arguments = {"run_id": RUN_ID, "fencing": 1, "state_dir": state_dir, "fields": {"state": "success"}}
    run_module("run_record", {**arguments, "lease_s": 3600})
    assert leases.read(state_dir)["expires_at"] > lease["expires_at"] + 2000
    ending = {"others": {"20261121T180000Z": "undone"}, "files": {"../report.md": "# r\n"}, "release": True}
    with untouched():
        predicted = run_module("run_record", {**arguments, **ending}, check=True)
    assert run_module("run_record", {**arguments, **ending})["changed"] is predicted["changed"] is True
    states = {record["id"]: record["state"] for record in runs.read_all(state_dir)}
    assert states == {RUN_ID: "success", "20261121T180000Z": "undone"}
    with open(os.path.join(state_dir, "runs", RUN_ID, "report.md"), encoding="utf-8") as stream:
        assert stream.read() == "# r\n"
    assert leases.read(state_dir)["ended"] == "released"
    # A run that lost its lease writes nothing.
    with untouched():
        failed = run_module("run_record", {**arguments, "lease_s": 60, "fields": {"state": "failed"}}, fails=True)
    assert "given back already" in failed["msg"]


def test_run_journal_info_tells_what_an_undo_would_put_back(run_module, state_dir, untouched):
    journal = Journal(RUN_ID, state_dir)
    journal.done(journal.begin("database", "switch", "blazz", {"attic": "a"}))
    journal.undone(journal.begin("application", "switch", "one", {}))
    journal.begin("application", "switch", "two", {})
    with open(journal.path, "ab") as stream:
        stream.write(b'{"seq": 4, "sta')
    with untouched():
        found = run_module("run_journal_info", {"run_id": RUN_ID, "state_dir": state_dir})
    assert [(step["name"], step["state"]) for step in found["steps"]] == [
        ("blazz", "done"),
        ("one", "undone"),
        ("two", "begin"),
    ]
    assert [step["name"] for step in found["to_undo"]] == ["two", "blazz"]
    assert run_module("run_journal_info", {"run_id": "20261121T000000Z", "state_dir": state_dir})["steps"] == []
    run_module("run_journal_info", {"run_id": "latest", "state_dir": state_dir}, fails=True)


def test_gate_closes_and_opens(run_module, tmp_path, untouched):
    (tmp_path / "fpm").touch()
    arguments = {"run_id": RUN_ID, "flag": str(tmp_path / "closed"), "state": "closed", "socket": str(tmp_path / "fpm")}
    with untouched():
        predicted = run_module("gate", arguments, check=True)
    closed = run_module("gate", arguments)
    assert closed == predicted
    assert (closed["changed"], closed["under_way"], closed["holder"]) == (True, 0, "")
    with untouched():
        assert run_module("gate", arguments)["changed"] is False
        assert run_module("gate", {**arguments, "state": "open"}, check=True)["changed"] is True
    opened = run_module("gate", {**arguments, "state": "open"})
    assert (opened["changed"], opened["holder"]) == (True, RUN_ID)
    assert not os.path.exists(tmp_path / "closed")
    assert run_module("gate", {**arguments, "state": "open"})["changed"] is False


def test_a_gate_that_cannot_see_requests_under_way_is_found_out_in_a_rehearsal(run_module, tmp_path):
    arguments = {"run_id": RUN_ID, "flag": str(tmp_path / "closed"), "state": "closed", "socket": str(tmp_path / "fpm")}
    assert "PHP-FPM does not listen" in run_module("gate", arguments, check=True, fails=True)["msg"]
    assert run_module("gate", arguments)["under_way"] == 0


@pytest.mark.parametrize("check", [True, False])
def test_a_gate_that_was_never_installed_is_refused(run_module, tmp_path, check):
    arguments = {"run_id": RUN_ID, "flag": str(tmp_path / "none" / "closed"), "state": "closed"}
    assert "no directory" in run_module("gate", arguments, check=check, fails=True)["msg"]
    assert run_module("gate", {**arguments, "state": "open"}, check=check)["changed"] is False


@pytest.fixture
def application(tmp_path):
    """A repository with two commits, of which only the newer one is a release."""
    environment = {
        **os.environ,
        **{f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }

    def git(*argv):
        done = subprocess.run(["git", *argv], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet", "work")
    for text in ("v1", "v2"):
        git("-C", "work", "commit", "--quiet", "--allow-empty", "-m", text)
    git("clone", "--quiet", "--mirror", "work", "repo.git")
    new, old = git("-C", "work", "log", "--format=%H").splitlines()
    release = tmp_path / "releases" / f"20261120T100000Z-{new[:7]}"
    (release / "public" / "build").mkdir(parents=True)
    (release / "public" / "build" / "manifest.json").write_text("{}")
    (release / "REVISION").write_text(new + "\n")
    (release / "RELEASE.json").write_text(json.dumps({"version": "v2"}))
    (tmp_path / "current").symlink_to(release)
    return {"path": str(tmp_path), "repository": str(tmp_path / "repo.git"), "new": new, "old": old}


def test_release_info(run_module, application, untouched):
    arguments = {key: application[key] for key in ("path", "repository")}
    with untouched():
        live = run_module("release_info", arguments)
        new = run_module("release_info", {**arguments, "commit": application["new"]}, check=True)
        old = run_module("release_info", {**arguments, "commit": application["old"]})
        unknown = run_module("release_info", {**arguments, "commit": "0" * 40})
    assert (live["current"]["commit"], live["current"]["version"]) == (application["new"], "v2")
    assert (live["target"], live["commit_present"]) == ({}, False)
    assert (new["target"], new["commit_present"]) == (new["current"], True)
    assert (old["target"], old["commit_present"]) == ({}, True)
    assert (unknown["target"], unknown["commit_present"]) == ({}, False)
    os.unlink(os.path.join(application["path"], "current"))
    assert "no live release" in run_module("release_info", arguments, fails=True)["msg"]
