"""Physical backups against a real server: made, imported, damaged, and broken off at every point."""

from __future__ import annotations

import json
import os
import pathlib
import resource
import shutil
import signal
import stat
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import database_import, database_physical
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    existing_schemas,
    qualified,
    quote,
    read_objects,
    read_tables,
    schema_info,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_backup import back_up
from ansible_collections.campaign.rollback.plugins.module_utils.database_files import checkpoint, lsn, place
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import Expected, load_beside, remove
from ansible_collections.campaign.rollback.plugins.module_utils.database_physical import obstacles
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import Request, swap
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Progress
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

SHADOW, VERIFY = "blazz__shadow_1", "blazz__verify_1"

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
    "CREATE TABLE blazz.latin (id INT PRIMARY KEY, x VARCHAR(20) CHARACTER SET latin1, y VARCHAR(20) COLLATE utf8mb4_bin)",
    "INSERT INTO blazz.latin VALUES (1, 'ü', 'ü')",
    "CREATE FUNCTION blazz.twice(a INT) RETURNS INT DETERMINISTIC RETURN 2 * a",
    "CREATE VIEW blazz.a_view AS SELECT twice(id) AS x FROM blazz.campaigns",
    "CREATE PROCEDURE blazz.nothing() BEGIN SELECT 1; END",
    "CREATE TRIGGER blazz.fires AFTER INSERT ON blazz.campaigns FOR EACH ROW BEGIN INSERT INTO con VALUES (NEW.id); END",
    "CREATE EVENT blazz.ticks ON SCHEDULE EVERY 1 DAY COMMENT 'ENABLE;' DO BEGIN INSERT INTO con VALUES (-1); END",
    "CREATE EVENT blazz.rests ON SCHEDULE EVERY 1 DAY DISABLE DO INSERT INTO con VALUES (-2)",
)


def checksums(db, schema):
    names = sorted(read_tables(db, [schema])[schema])
    return {name: db.rows(f"CHECKSUM TABLE {qualified(schema, name)}")[0][1] for name in names}


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


@pytest.fixture
def made(server, tmp_path):
    """Write a physical backup; returns its files as they are recorded."""

    def make(name="backup", schema="blazz"):
        with server.connect(read_only=True) as own:
            return back_up(own, server.arguments, "physical", schema, str(tmp_path / name))["files"]

    return make


@pytest.fixture
def load(server, tmp_path):
    """Load a backup beside the live schema, compared with what a test restore measured."""

    def load_backup(files, expected=None, schema=SHADOW, src="backup", **more):
        with server.connect(lock_wait_s=30) as own:
            return load_beside(
                own, server.arguments, str(tmp_path / src), schema, expected or Expected(), files, **more
            )

    return load_backup


@pytest.fixture
def recorded(db, load):
    """What a manifest says of a backup, from a test restore."""

    def record(files, src="backup"):
        loaded = load(files, schema=VERIFY, src=src)
        found = schema_info(db, VERIFY)
        remove(db, VERIFY)
        return Expected(found["tables"], found["migrations"], loaded["checksums"])

    return record


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
    assert db.rows("SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s", [SHADOW]) == [
        ("DISABLED",),
        ("DISABLED",),
    ]
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
