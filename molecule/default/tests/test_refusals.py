"""Bad input gets one clear error and a non-zero exit, and no host is touched: digests are equal before and after."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
NAME = os.environ.get("DRILL_NAME", "drill")
HOSTS = ("web1", "web2", "data1", "wa1")
STATE = "/var/lib/rollback"

#: Files, links and owners of everything a rollback may touch, and the processes that serve.
DIGEST = (
    # The lease is bookkeeping: who wants to act takes it before he is refused, and gives it back.
    # In the time of a pack git notes when it last met one of its objects, also where it writes nothing.
    # Logs, and views that the application compiles when somebody asks for them.
    "find /srv/campaign /etc/nginx /var/lib/rollback/*/ -path '*/storage/*' -prune -o -path '*/cache/views*' -prune"
    " -o -path '*/objects/pack/*' -printf '%p %l %u %g %m %s\\n'"
    " -o -printf '%p %l %u %g %m %s %T@\\n' 2>/dev/null | sort;"
    # The WhatsApp service saves its sessions all the time, so their contents say nothing.
    " find /var/lib/whatsapp -printf '%p %l %u %g %m\\n' 2>/dev/null | sort;"
    " systemctl show --property=Id,MainPID,ActiveState nginx php8.2-fpm campaign-worker mariadb redis-server;"
    " pgrep -x node;"
    ' mariadb -N -e "SELECT TABLE_SCHEMA, TABLE_NAME, CREATE_TIME FROM information_schema.TABLES'
    " WHERE TABLE_SCHEMA LIKE 'blazz%'\" 2>/dev/null;"
    " mariadb -N -e 'CHECKSUM TABLE blazz.campaigns, blazz.campaign_logs'"
    " 2>/dev/null; true"
)


def on(host, command):
    """Output of a shell command on a host, without SSH, so that it works when SSH does not."""
    argv = ["docker", "exec", f"{NAME}-{host}", "sh", "-c", command]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def digests():
    return {host: on(host, DIGEST) for host in HOSTS}


def touched(before):
    """Lines of the digests that are not as ``before``, by host; pytest would only show how they begin."""
    after = digests()
    return {
        host: sorted(set(before[host].splitlines()) ^ set(after[host].splitlines()))
        for host in HOSTS
        if before[host] != after[host]
    }


@pytest.fixture(scope="module")
def point():
    return on("data1", f"ls {STATE}/restore_points").split()[-1]


def refused(*arguments, playbook="rollback-full"):
    """Run a playbook that must refuse; returns its whole output on one line."""
    before = digests()
    argv = ["ansible-playbook", "-i", "inventories/drill", f"playbooks/{playbook}.yml"]
    for argument in arguments:
        argv += ["-e", argument]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode != 0, run.stdout
    assert touched(before) == {}
    return re.sub(r"\s+", " ", run.stdout + run.stderr)


def test_unset_confirmation_prints_the_plan_and_the_word(point):
    text = refused()
    assert "verified copy that is already loaded, atomic swap" in text
    assert f"rollback_confirm=drill:{point}" in text


def test_confirmation_of_something_else(point):
    assert "found drill:20200101T000000Z" in refused("rollback_confirm=drill:20200101T000000Z")


def test_undo_without_a_run():
    assert "No rollback is in place that could be undone" in refused(playbook="undo-rollback")


def test_unknown_restore_point():
    text = refused("rollback_target=20200101T000000Z", "rollback_confirm=drill:20200101T000000Z")
    assert "There is no restore point with this id. Found: 20200101T000000Z" in text


def test_target_that_is_no_target():
    assert "is a restore point id (20261121T174500Z), a date (20261121) or latest" in refused(
        "rollback_target=yesterday"
    )


def test_date_without_backup():
    assert "There is no database backup of this date. Found: 20200102" in refused("rollback_target=20200102")


def test_misspelled_variable():
    assert "not known to this version: rollback_confrim" in refused("rollback_confrim=drill:x")


def test_unknown_inventory_group():
    groups = {
        name: ["web"] for name in ("application", "frontend", "env_restore", "services", "whatsapp_session", "gate")
    }
    groups["database"] = ["databse"]
    text = refused(json.dumps({"rollback_component_groups": groups}))
    assert "Component 'database' has no hosts. Found: inventory groups 'databse'" in text


@pytest.fixture
def backup_of_a_date():
    """A plain dump as operators keep them, known by its date."""
    on(
        "data1",
        "mkdir -p /backups/database && mariadb-dump blazz | gzip > /backups/database/backup_20251114_0300.sql.gz",
    )
    yield "20251114"
    on("data1", "rm -r /backups")


def test_date_without_commit(backup_of_a_date):
    text = refused(f"rollback_target={backup_of_a_date}")
    assert "A plain dump does not say which commit it belongs to" in text
    assert "rollback_commit=<commit>" in text


def test_missing_commit(backup_of_a_date):
    commit = "0123456789012345678901234567890123456789"
    text = refused(
        f"rollback_target={backup_of_a_date}", f"rollback_commit={commit}", "rollback_confirm=drill:20251114T000000Z"
    )
    assert f"commit {commit} is neither a release nor in /srv/campaign/repo.git" in text


@pytest.mark.parametrize("damage", ["truncate --size=-100 {}", "rm {}"])
def test_broken_backup(point, damage):
    path = f"{STATE}/restore_points/{point}/database/blazz/structure.sql"
    on("data1", f"cp -a {path} /root/kept && {damage.format(path)}")
    try:
        text = refused(f"rollback_confirm=drill:{point}", "rollback_database_strategy=logical")
        assert "the backup cannot be used" in text
    finally:
        on("data1", f"cp -a /root/kept {path} && rm /root/kept")


def test_a_copy_that_was_written_to_is_not_taken_for_the_restore_point(point):
    name = "UPDATE blazz__standby.campaigns SET name ="
    on("data1", f"""mariadb -e "{name} CONCAT(name, '~') ORDER BY id LIMIT 1" """)
    try:
        assert "shadow load, atomic swap" in refused()
        text = refused(f"rollback_confirm=drill:{point}", "rollback_database_strategy=standby")
        assert "blazz__standby is not this restore point's verified copy" in text
    finally:
        on("data1", f"""mariadb -e "{name} TRIM(TRAILING '~' FROM name)" """)


def test_host_that_does_not_answer(point):
    # Connections that are still shared from an earlier playbook would go on answering.
    on("web2", "systemctl stop ssh; pkill -f '[s]shd: deploy' || true")
    try:
        assert "web2: it did not answer" in refused(f"rollback_confirm=drill:{point}")
    finally:
        on("web2", "systemctl start ssh")
