"""Physical backups against a real server: what they hold, when they are refused, and the two ways to lose rows."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import stat

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import database_import
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    existing_schemas,
    read_objects,
    schema_info,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_physical import obstacles
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import Request, swap
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from conftest import SHADOW, VERIFY, checksums, running

pytestmark = pytest.mark.only("mariadb", reason="physical backups are MariaDB's")

#: What a schema may have beyond plain tables: names that file systems cannot hold, columns added and dropped without a
#: rebuild, every row format, geometry, history, and things that run.
MORE = (
    'CREATE TABLE blazz.`we``ird % na.me";` (`%s` INT PRIMARY KEY AUTO_INCREMENT, t TEXT)',
    "CREATE TABLE blazz.con (id INT PRIMARY KEY) COMMENT 'a;\n) b'",
    "CREATE TABLE blazz.`ünï` (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES blazz.`ünï` (id))",
    "CREATE TABLE blazz.later (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(20), b TEXT, KEY (a))",
    "INSERT INTO blazz.later (a, b) VALUES ('1', 'x'), ('2', REPEAT('z', 20000))",
    "ALTER TABLE blazz.later ADD c VARCHAR(20) NOT NULL DEFAULT 'instant' AFTER a, ALGORITHM=INSTANT",
    "INSERT INTO blazz.later (a, c) VALUES ('3', 'new')",
    "ALTER TABLE blazz.later DROP b, ALGORITHM=INSTANT",
    "INSERT INTO blazz.later (a, c) VALUES ('4', 'gone')",
    "DELETE FROM blazz.later WHERE id = 4",
    "CREATE TABLE blazz.place (id INT PRIMARY KEY, g POINT NOT NULL, SPATIAL KEY (g))",
    "INSERT INTO blazz.place VALUES (1, POINT(1, 2))",
    "CREATE TABLE blazz.redundant (id INT PRIMARY KEY, x TEXT) ROW_FORMAT=REDUNDANT",
    "INSERT INTO blazz.redundant VALUES (1, REPEAT('r', 9000))",
    "CREATE TABLE blazz.history (id INT PRIMARY KEY, x INT) WITH SYSTEM VERSIONING",
    "INSERT INTO blazz.history VALUES (1, 1)",
    "UPDATE blazz.history SET x = 2",
    "CREATE TABLE blazz.shapeless (x INT, y FLOAT, z BIT(3), CHECK (x <> 7))",
    "INSERT INTO blazz.shapeless VALUES (1, 0.1, 5), (1, 0.1, 5), (NULL, NULL, NULL)",
    "CREATE TABLE blazz.latin (id INT PRIMARY KEY, x CHAR(20) CHARACTER SET latin1, y CHAR(20) COLLATE utf8mb4_bin)",
    "INSERT INTO blazz.latin VALUES (1, 'ü', 'ü')",
    "CREATE FUNCTION blazz.twice(a INT) RETURNS INT DETERMINISTIC RETURN 2 * a",
    "CREATE VIEW blazz.a_view AS SELECT twice(id) AS x FROM blazz.campaigns",
    "CREATE PROCEDURE blazz.nothing() BEGIN SELECT 1; END",
    "CREATE TRIGGER blazz.fires AFTER INSERT ON blazz.campaigns FOR EACH ROW INSERT INTO con VALUES (NEW.id)",
    "CREATE EVENT blazz.ticks ON SCHEDULE EVERY 1 DAY COMMENT 'ENABLE;' DO BEGIN INSERT INTO con VALUES (-1); END",
    "CREATE EVENT blazz.rests ON SCHEDULE EVERY 1 DAY DISABLE DO INSERT INTO con VALUES (-2)",
)


@pytest.fixture
def rich(server, db, fill):
    """A schema with everything that a physical backup can hold."""
    fill()
    for number, text in enumerate(['it\'s "quoted" \\ `', "line\n;\r\n-- x", "ünï \N{GRINNING FACE}", "nul\0\x1a;"]):
        db.run(
            f"INSERT INTO blazz.campaigns (id, name, note, raw) VALUES ({10 + number}, {db.literal(text)},"
            f" REPEAT({db.literal(text)}, 2000), x'{bytes(range(256)).hex()}')"
        )
    with server.connect() as own:
        own.run("USE blazz")
        for statement in MORE:
            own.run(statement)
    return "blazz"


def test_round_trip_of_everything(db, rich, module, tmp_path):
    dest, before = str(tmp_path / "copies" / "blazz"), checksums(db, "blazz")
    arguments = {"schema": "blazz", "kind": "physical", "dest": dest}
    assert module("database_backup", check=True, **arguments)["changed"]
    assert not os.path.exists(tmp_path / "copies")
    written, again = module("database_backup", **arguments), module("database_backup", **arguments)
    assert (written["changed"], again["changed"], again["files"]) == (True, False, written["files"])
    assert written["bytes"] == sum(os.path.getsize(entry["path"]) for entry in written["files"])
    assert os.listdir(tmp_path / "copies") == ["blazz"]
    assert stat.S_IMODE(os.stat(dest).st_mode) == 0o700
    assert {stat.S_IMODE(os.stat(entry["path"]).st_mode) for entry in written["files"]} == {0o600}

    test = module("database_load", schema=VERIFY, src=dest, files=written["files"])
    assert "msg" not in test
    info = schema_info(db, VERIFY)
    stage = {"schema": SHADOW, "src": dest, "files": written["files"], "expected_checksums": test["checksums"]}
    stage.update(expected_tables=info["tables"], expected_migrations=info["migrations"])
    assert module("database_load", check=True, **stage)["changed"]
    assert not existing_schemas(db, [SHADOW])
    loaded = module("database_load", **stage)
    assert loaded["tables"]["campaigns"] == {"rows": 6}
    assert not module("database_load", **stage)["changed"]

    assert checksums(db, SHADOW) == before
    assert schema_info(db, SHADOW)["schema_digest"] == schema_info(db, "blazz")["schema_digest"]
    assert read_objects(db, [SHADOW])[SHADOW] == read_objects(db, ["blazz"])["blazz"]
    events = db.rows("SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s", [SHADOW])
    assert dict(events) == {"ticks": "SLAVESIDE_DISABLED", "rests": "DISABLED"}
    directory = pathlib.Path(str(db.value("SELECT @@datadir"))) / SHADOW
    assert not list(directory.glob("*.cfg"))
    # It is a schema like any other: keys hold, triggers fire, computed columns and views compute.
    with pytest.raises(RollbackError, match="1452"):
        db.run(f"INSERT INTO {SHADOW}.campaign_logs (campaign_id, message_id) VALUES (99, 'x')")
    db.run(f"INSERT INTO {SHADOW}.campaigns (name) VALUES ('new')")
    assert db.rows(f"SELECT id, shout FROM {SHADOW}.campaigns ORDER BY id DESC LIMIT 1") == [(14, "NEW")]
    assert db.value(f"SELECT COUNT(*) FROM {SHADOW}.con") == 1
    assert db.value(f"SELECT MAX(x) FROM {SHADOW}.a_view") == 28
    assert db.rows(f"SELECT id, a, c FROM {SHADOW}.later ORDER BY id")[1:] == [(2, "2", "instant"), (3, "3", "new")]
    assert db.value(f"SELECT COUNT(*) FROM {SHADOW}.history FOR SYSTEM_TIME ALL") == 2
    assert module("database_load", schema=SHADOW, state="absent")["changed"]
    assert checksums(db, "blazz") == before


def test_ids_go_on_where_they_were(db, fill, made, load, recorded):
    fill()
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('third'), ('fourth')")
    db.run("DELETE FROM blazz.campaigns WHERE id > 2")
    files = made()
    expected = recorded(files)
    assert expected.tables["campaigns"]["auto_increment"] == 5
    load(files, expected)
    db.run(f"INSERT INTO {SHADOW}.campaigns (name) VALUES ('new')")
    assert db.value(f"SELECT MAX(id) FROM {SHADOW}.campaigns") == 5
    expected.tables["campaigns"]["auto_increment"] = 6
    with pytest.raises(RollbackError, match="campaigns would give out ids again, from 5 to 6"):
        load(files, expected)


def test_rows_survive_a_crash_right_after_the_swap(server, db, fill, made, load, journal):
    fill()
    before = checksums(db, "blazz")
    files = made()
    db.run("DELETE FROM blazz.campaign_logs")
    load(files)
    swap(db, journal, Request("blazz", SHADOW, "blazz__attic_1"))
    server.kill()
    server.start()
    with server.connect() as after:
        assert checksums(after, "blazz") == before
        assert after.value("SELECT COUNT(*) FROM blazz.campaign_logs") == 40


def test_a_backup_right_after_an_import_has_every_table(server, db, fill, made, load, journal, tmp_path, monkeypatch):
    fill()
    before = checksums(db, "blazz")
    files = made()
    # An import by somebody who does not know that a checkpoint is needed.
    with monkeypatch.context() as patch:
        patch.setattr(database_import, "checkpoint", lambda _db: None)
        load(files)
    swap(db, journal, Request("blazz", SHADOW, "blazz__attic_1"))
    load(made("again"), schema=VERIFY, src="again")
    assert checksums(db, VERIFY) == before


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Stand in front of mariadb-backup; ``script`` is a shell script that can call the real one as $real."""

    def make(script):
        real = shutil.which("mariadb-backup")
        directory = tmp_path / "bin"
        directory.mkdir()
        (directory / "mariadb-backup").write_text(f"#!/bin/sh\nreal={real}\n{script}\n")
        (directory / "mariadb-backup").chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    return make


LAST = '"$real" "$@" || exit; case "$*" in *--backup*) :;; *) exit;; esac\n'


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ('"$real" "$@"; rm -f COPY/blazz/sessions.ibd', r"left tables out.*Found: sessions\.ibd"),
        ('"$real" "$@"; rm -f COPY/blazz/sessions.cfg', r"left tables out.*Found: sessions\.cfg\."),
        (LAST + "CLIENT -e 'ALTER TABLE blazz.sessions ADD x INT'", "structure of the schema was changed"),
        (LAST + "CLIENT -e 'CREATE TABLE blazz.more (id INT)'", "structure of the schema was changed"),
        (LAST + "CLIENT -e 'TRUNCATE TABLE blazz.sessions'", "structure of the schema was changed"),
        (LAST + "CLIENT -e 'CREATE VIEW blazz.v AS SELECT 1'", "structure of the schema was changed"),
        ('"$real" "$@"; case "$*" in *--prepare*) exit 3;; esac', "mariadb-backup failed.*exit 3"),
        ('case "$*" in *--version) exec "$real" "$@";; esac; exit 0', "mariadb-backup failed"),
        ("echo 'based on MariaDB server 10.6.2-MariaDB'", "of different releases"),
    ],
)
def test_half_a_backup_is_none(server, db, fill, made, tool, tmp_path, script, reason):
    fill()
    client = f"mariadb --no-defaults --socket={server.socket}"
    tool(script.replace("COPY", str(tmp_path / ".backup.partial" / "copy")).replace("CLIENT", client))
    with pytest.raises(RollbackError, match=reason):
        made()
    assert sorted(os.listdir(tmp_path)) == ["bin"]


def test_a_backup_is_one_moment_and_blocks_no_writer(server, db, fill, made, load, tool):
    fill()
    client = f"mariadb --no-defaults --socket={server.socket}"
    row = 'INSERT INTO blazz.campaigns (name) VALUES ("{}")'
    tool(
        f"""case "$*" in *--backup*) {client} -e '{row.format("before")}' || exit;; esac
        "$real" "$@" || exit
        case "$*" in *--backup*) {client} -e '{row.format("after")}';; esac"""
    )
    with server.connect() as own:
        own.run("START TRANSACTION")
        own.run("INSERT INTO blazz.campaigns (name) VALUES ('not committed')")
        own.run("UPDATE blazz.campaigns SET name = 'nor this' WHERE id = 1")
        load(made())
        own.run("COMMIT")
    names = "SELECT name FROM {}.campaigns ORDER BY id"
    assert [row[0] for row in db.rows(names.format(SHADOW))] == ["first", "second", "before"]
    assert len(db.rows(names.format("blazz"))) == 5


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE TABLE blazz.x (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2", "x is partitioned"),
        ("CREATE TABLE blazz.x (id INT, t TEXT, FULLTEXT (t))", "x has or had a FULLTEXT index"),
        ("CREATE TABLE blazz.x (id INT) ENGINE=MyISAM", "x is a table of the engine MyISAM"),
        ("CREATE TABLE blazz.x (id INT) ROW_FORMAT=COMPRESSED", "x is compressed"),
        ("CREATE TABLE blazz.x (id INT) PAGE_COMPRESSED=1", "x is compressed"),
        ("CREATE TABLE blazz.x (id INT) DATA DIRECTORY='{}'", "x has no file of its own in the directory"),
        ("CREATE SEQUENCE blazz.x", "x is a sequence"),
    ],
)
def test_a_schema_that_needs_a_logical_backup_is_told_so(server, db, fill, made, module, tmp_path, statement, reason):
    fill()
    db.run(statement.format(tmp_path))
    db.run("CREATE TABLE blazz.y (id INT) ENGINE=MyISAM")
    with pytest.raises(RollbackError, match="needs a logical backup; nothing was done") as caught:
        made()
    assert reason in str(caught.value)
    assert "y is a table of the engine MyISAM" in str(caught.value)
    assert not (tmp_path / "backup").exists()
    check = module("database_backup", check=True, schema="blazz", kind="physical", dest=str(tmp_path / "backup"))
    assert reason in check["msg"]


def test_an_encrypted_table_needs_a_logical_backup(tmp_path):
    (tmp_path / "keys").write_text("1;" + "a1" * 32)
    plugin = ["--plugin-load-add=file_key_management", f"--file-key-management-filename={tmp_path}/keys"]
    with running("mariadb", "--skip-networking", *plugin) as server, server.connect() as db:
        db.run("CREATE DATABASE blazz")
        db.run("CREATE TABLE blazz.x (id INT PRIMARY KEY) ENCRYPTED=YES")
        db.run("CREATE TABLE blazz.y (id INT PRIMARY KEY)")
        assert obstacles(db, "blazz") == ["x is encrypted"]


def test_an_index_that_was_dropped_still_counts(server, db, fill, made):
    """InnoDB keeps a hidden column for it, which a table made from the structure does not have."""
    fill()
    db.run("CREATE TABLE blazz.x (id INT, t TEXT, FULLTEXT (t))")
    db.run("ALTER TABLE blazz.x DROP KEY t")
    assert obstacles(db, "blazz") == ["x has or had a FULLTEXT index"]
    db.run("ALTER TABLE blazz.x FORCE")
    assert obstacles(db, "blazz") == []


def test_the_backup_tool_ends_with_the_module(db, fill, made, tool, tmp_path):
    fill()
    tool(
        f'case "$*" in *--backup*) echo $$ >{tmp_path}/a; mv {tmp_path}/a {tmp_path}/pid; exec sleep 99;; esac\n'
        'exec "$real" "$@"'
    )
    process = os.fork()
    if not process:
        try:
            made()
        finally:
            os._exit(1)
    while not (tmp_path / "pid").exists():
        assert os.waitpid(process, os.WNOHANG) == (0, 0)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    state = pathlib.Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        # Whoever adopts it may leave it as a zombie.
        while state.read_text().rpartition(")")[2].split()[0] != "Z":
            pass


def test_a_backup_killed_half_way_is_no_backup(db, fill, made, load, tool, tmp_path):
    fill()
    process = os.fork()
    if not process:
        try:
            tool('"$real" "$@"; case "$*" in *--prepare*) kill -9 $PPID;; esac')
            made()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert not (tmp_path / "backup").exists()
    assert (tmp_path / ".backup.partial").exists()
    load(made())
    assert not (tmp_path / ".backup.partial").exists()
