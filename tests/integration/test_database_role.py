"""The role database on this host against the private server: check mode, staging in the background, resume, undo."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    existing_schemas,
    read_objects,
    read_tables,
    schema_info,
)
from ansible_collections.campaign.rollback.plugins.module_utils.files import sha256_file
from conftest import ROOT, RUN_ID

SHADOW, ATTIC = f"blazz__shadow_{RUN_ID}", f"blazz__attic_{RUN_ID}"


def entry_point(name):
    return {"include_role": {"name": "campaign.rollback.database", "tasks_from": name}}


@pytest.fixture
def play(server, tmp_path):
    """Run entry points of the role and other tasks, one after the other; returns what ansible-playbook printed."""

    def run(*verbs, check=False, fails=False, shown=(), **given):
        state = str(tmp_path / "state")
        given.update(
            run_id=RUN_ID,
            database_schema="blazz",
            database_login_unix_socket=server.socket,
            database_run_directory=f"{state}/runs/{RUN_ID}",
            run_state_dir=state,
            ansible_python_interpreter=sys.executable,
            ansible_async_dir=str(tmp_path / "async"),
        )
        book = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": given,
            "module_defaults": {
                f"campaign.rollback.database_{name}": {"state_dir": state} for name in ("swap", "load", "backup")
            },
            "tasks": [
                *(verb if isinstance(verb, dict) else entry_point(verb) for verb in verbs),
                {"debug": {"var": "database_assessment.reason"}},
            ],
        }
        book["tasks"] += [{"ansible.builtin.debug": {"var": name}} for name in shown]
        path = tmp_path / "play.yml"
        path.write_text(json.dumps([book]))
        command = ["ansible-playbook", "-i", "localhost,", str(path), "--diff", *(["--check"] if check else [])]
        environment = dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_FORCE_COLOR="0")
        process = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert bool(process.returncode) is fails, process.stdout
        return process.stdout

    return run


@pytest.fixture
def target(server, db, fill, tmp_path):
    """What the manifest says of a backup; the live schema has moved on since."""
    found = schema_info(db, fill())
    db.run("CREATE VIEW blazz.names AS SELECT name FROM blazz.campaigns")
    db.run("CREATE TRIGGER blazz.t BEFORE INSERT ON blazz.campaigns FOR EACH ROW SET NEW.note = 'old'")
    dump = server.dump("blazz", tmp_path / "v1.sql.zst")
    db.run("CREATE TABLE blazz.newer (id INT)")
    db.run("DROP VIEW blazz.names")
    db.run("DROP TRIGGER blazz.t")
    db.run("CREATE PROCEDURE blazz.newer() SELECT 1")
    files = [{"path": dump, "sha256": sha256_file(dump), "bytes": os.path.getsize(dump)}]
    return {"files": files, "tables": found["tables"], "migrations": found["migrations"]}


def test_check_mode_shows_the_swap_and_changes_nothing(db, target, play, tmp_path):
    for tables in (target["tables"], {}):
        shown = play("assess", "stage", "switch", check=True, database_target=dict(target, tables=tables))
        assert f"+blazz__attic_{RUN_ID}: campaign_logs, campaigns, migrations, newer, sessions" in shown
    assert existing_schemas(db, ["blazz", SHADOW, ATTIC]) == {"blazz"}
    assert not (tmp_path / "state" / "runs").exists()
    db.run("CREATE DATABASE other")
    db.run("ALTER TABLE blazz.newer ADD PRIMARY KEY (id)")
    db.run("CREATE TABLE other.x (id INT, FOREIGN KEY (id) REFERENCES blazz.newer (id))")
    refused = play("stage", check=True, fails=True, database_target=target)
    assert "there will be no table newer" in refused


def test_staged_switched_continued_and_undone(db, target, play):
    play("stage", database_target=target)
    assert set(read_tables(db, [SHADOW])[SHADOW]) == set(target["tables"])
    play("stage", "switch", database_target=target, database_resumed=True)
    swapped = read_tables(db, ["blazz", ATTIC])
    assert "newer" in swapped[ATTIC]
    restored = {"triggers": ["t"], "views": ["names"], "routines": [], "events": [], "sequences": []}
    assert read_objects(db, ["blazz"])["blazz"] == restored
    # A run that has swapped stages and switches again without doing anything, even if its backup is gone by now.
    gone = dict(target, files=[{"path": "/gone.sql", "sha256": "", "bytes": 0}])
    play("stage", "switch", database_target=gone, database_resumed=True)
    assert read_tables(db, ["blazz", ATTIC]) == swapped
    assert read_tables(db, [SHADOW])[SHADOW] == {}
    play("undo", run_reverts=RUN_ID, database_run_id="20261121T180000Z")
    assert "newer" in read_tables(db, ["blazz"])["blazz"]
    replaced = {"triggers": [], "views": [], "routines": ["newer"], "events": [], "sequences": []}
    assert read_objects(db, ["blazz"])["blazz"] == replaced
    assert not existing_schemas(db, [SHADOW])


@pytest.mark.only("mariadb", reason="physical backups are MariaDB's")
def test_a_physical_backup_is_captured_assessed_and_restored(server, db, fill, play, tmp_path):
    fill()
    copies = tmp_path / "copies"
    given = {"database_backup_kind": "physical", "database_copies": str(copies)}
    assert "'blazz__verify" not in play("capture", check=True, **given)
    assert not copies.exists()
    # One play, so that what was captured is the target of the rest.
    given.update(database_target="{{ database_captured }}", database_bandwidth_mb_s=1000)
    out = play("capture", "assess", shown=["database_assessment"], database_strategy="logical", **given)
    assert "the backup is physical, which strategy logical cannot load" in out
    out = play(
        *("capture", "assess", "stage", "switch", "verify"),
        shown=["database_assessment", "database_captured.kind", "database_captured.checksums.tables.campaigns.rows"],
        database_strategy="physical",
        **given,
    )
    assert '"can": true' in out
    assert "import of table files, atomic swap" in out
    assert '"database_captured.checksums.tables.campaigns.rows": 2' in out
    assert (copies / "blazz" / "campaigns.ibd").exists()
    assert set(read_tables(db, [ATTIC])[ATTIC]) == set(read_tables(db, ["blazz"])["blazz"])
    play("undo", run_reverts=RUN_ID, database_run_id="20261121T180000Z")
    assert existing_schemas(db, ["blazz", SHADOW]) == {"blazz"}


@pytest.fixture
def configured_replica(server, db):
    """A server that was told whom to follow, as after a failover that nobody finished."""
    follow, forget = {
        "mariadb": ("CHANGE MASTER TO MASTER_HOST='db1'", "RESET SLAVE ALL"),
        "mysql": ("CHANGE REPLICATION SOURCE TO SOURCE_HOST='db1'", "RESET REPLICA ALL"),
    }[server.engine]
    db.run(follow)
    yield
    with server.connect() as own:
        own.run(forget)


def test_a_replica_is_neither_captured_nor_rolled_back(db, target, configured_replica, play, tmp_path):
    reason = "replica of db1:3306: its data have to be rolled back there"
    assert reason in play("assess", check=True, database_target=target)
    assert reason in play("capture", fails=True, database_copies=str(tmp_path / "copies"))
    assert existing_schemas(db, ["blazz", f"blazz__verify_{RUN_ID}"]) == {"blazz"}
    assert not (tmp_path / "copies").exists()


def test_a_verified_copy_that_is_left_loaded_makes_a_rollback_a_swap(server, db, fill, play, tmp_path):
    fill()
    given = {"database_copies": str(tmp_path / "copies"), "database_target": "{{ database_captured }}"}
    shown = ["database_assessment.how", "database_recovered.tables.campaigns.brought", "database_captured.standby"]
    (tmp_path / "later.sql").write_text("INSERT INTO blazz.campaigns (name, note) VALUES ('later', '')")
    later = {"ansible.builtin.shell": f"mariadb --no-defaults -S {server.socket} < {tmp_path}/later.sql"}
    if server.engine == "mysql":
        later = {"ansible.builtin.shell": later["ansible.builtin.shell"].replace("mariadb", "mysql")}
    verbs = ("capture", later, "assess", "stage", "switch", "recover_later", "verify")
    assert "already loaded" in play(*verbs, shown=shown, **given)
    # The row that was written after the restore point is there, and nothing was loaded for it.
    assert db.value("SELECT COUNT(*) FROM blazz.campaigns WHERE name = 'later'") == 1
    assert not existing_schemas(db, [SHADOW])
    assert read_tables(db, ["blazz__standby"])["blazz__standby"] == {}
    play("undo", run_reverts=RUN_ID, database_run_id="20261121T180000Z")
    assert db.value("SELECT COUNT(*) FROM blazz.campaigns WHERE name = 'later'") == 1


def test_a_copy_is_not_left_loaded_against_the_operators_will(db, fill, play, tmp_path):
    fill()
    given = {"database_copies": str(tmp_path / "copies"), "database_target": "{{ database_captured }}"}
    out = play("capture", "assess", shown=["database_assessment.how"], rollback_database_keep_standby=False, **given)
    assert "shadow load, atomic swap" in out
    assert not existing_schemas(db, ["blazz__standby"])


def test_a_backup_is_restored_in_a_test_and_nothing_is_left(db, fill, play, tmp_path):
    fill()
    copies = tmp_path / "copies"
    given = {"database_copies": str(copies), "database_target": "{{ database_captured }}"}
    damage = {"ansible.builtin.shell": f"truncate -s -3 {copies}/blazz/campaigns.txt.zst"}
    points = [dict(entry_point("verify_backup"), vars={"database_point": point}) for point in ("whole", "damaged")]
    out = play("capture", points[0], damage, points[1], shown=["database_verified"], **given)
    # Of the whole one the time, of the damaged one the reason.
    assert out.count('"at": "2') == out.count('"failed": "The') == 1
    assert existing_schemas(db, ["blazz", "blazz__verify_whole", "blazz__verify_damaged"]) == {"blazz"}
