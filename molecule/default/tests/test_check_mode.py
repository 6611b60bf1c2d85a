"""--check --diff of every playbook: it shows what would change, holds the same preconditions, and touches nothing."""

from __future__ import annotations

import subprocess

import pytest
from test_refusals import ROOT, STATE, digests, on, touched


def checked(playbook, *arguments):
    """Exit status and output of a playbook in check mode, after which no host may differ."""
    before = digests()
    argv = ["ansible-playbook", "-i", "inventories/drill", f"playbooks/{playbook}.yml", "--check", "--diff"]
    for argument in arguments:
        argv += ["-e", argument]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert touched(before) == {}
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("playbook", "arguments", "shown"),
    [
        ("capture-restore-point", (), "would be kept"),
        ("assess-rollback", (), "verified copy that is already loaded, atomic swap"),
        ("verify-restore-points", (), "Check mode"),
        ("validate-system", (), "is sound"),
        ("hold-lease", ("rollback_lease=acquired", "rollback_run=deploy-1"), "deployment deploy-1"),
        ("hold-lease", (), "Nobody holds the system"),
    ],
)
def test_nothing_changes(playbook, arguments, shown):
    status, text = checked(playbook, *arguments)
    assert status == 0, text
    assert shown in text


def test_rollback_shows_every_change():
    status, text = checked("rollback-full")
    assert status == 0, text
    assert "every precondition holds" in text
    for shown in ("-/srv/campaign/current -> ", "-HYBRID_MAX_BUTTONS=<before>", "+blazz__attic_", "+closed"):
        assert shown in text


def test_rollback_holds_the_same_preconditions():
    point = on("data1", f"ls {STATE}/restore_points").split()[-1]
    path = f"{STATE}/restore_points/{point}/database/blazz/structure.sql"
    on("data1", f"mv {path} /root/kept")
    try:
        status, text = checked("rollback-full", "rollback_database_strategy=logical")
        assert status != 0
        assert "the backup cannot be used" in text
    finally:
        on("data1", f"mv /root/kept {path}")


def test_resume_of_nothing_is_refused():
    status, text = checked("resume-rollback")
    assert status != 0
    assert "No run was interrupted" in text


def test_undo_shows_every_change():
    status, text = checked("undo-rollback")
    assert status == 0, text
    for shown in ("+/srv/campaign/current -> ", "+HYBRID_MAX_BUTTONS=<after>", "blazz__attic_undo_"):
        assert shown in text
