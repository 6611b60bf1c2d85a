"""Logical backups against a real server: what goes in comes out, from one moment, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import database_logical, database_refill, table_text
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    existing_schemas,
    read_columns,
    read_objects,
    read_tables,
    schema_info,
    table_digests,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_backup import back_up
from ansible_collections.campaign.rollback.plugins.module_utils.database_files import end_loads
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import (
    Expected,
    load_beside,
    load_in_place,
    remove,
    revert_in_place,
)
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Progress
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from conftest import SHADOW, VERIFY, checksums
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: A column for each way in which a value can be told, and values that are hard to tell.
TYPES = {
    "TINYINT": (-128, 0, 127),
    "BIGINT UNSIGNED": (0, 2**64 - 1),
    "INT(7) ZEROFILL": (1,),
    "DECIMAL(65, 30)": ("-0.000000000000000000000000000001", "99999999999999999999999999999999999.5"),
    "FLOAT": (0.1, 16777217.0, -0.0, 3.4e38, 1.2e-38),
    "DOUBLE": (0.1, -0.0, 1.7976931348623157e308, 5e-324),
    "BIT(64)": (0, 5, 2**64 - 1),
    "YEAR": (0, 1901, 2155),
    "DATE": ("0000-00-00", "2026-02-31", "9999-12-31"),
    "DATETIME(6)": ("0000-00-00 00:00:00", "2026-11-21 17:45:00.000001"),
    "TIMESTAMP(3) NULL": ("0000-00-00 00:00:00", "2026-03-29 02:30:00.123", "2038-01-01 00:00:00"),
    "TIME(6)": ("-838:59:59", "00:00:00.000001"),
    "CHAR(30)": ("", "NULL", "\\N", "  x", "it's"),
    "VARCHAR(255) CHARACTER SET latin1": ("", "NULL", "ü'\\\t\n\r\x1a\0;", "'", "\\", "\\'"),
    "VARCHAR(100) CHARACTER SET ucs2": ("", "ü\t'\u0127\u5c5c", "NULL"),
    "VARCHAR(100) CHARACTER SET sjis": ("\u8868\u793a'",),
    "TEXT": ("", "NULL", "'quoted'\t\"x\"\n\N{GRINNING FACE}\\", "x" * 60000),
    "BLOB": (b"", b"NULL", bytes(range(256)), b"'\\'", b"\\", b"\xff\xfe\n"),
    "BINARY(4)": (b"", b"\0\0\0\0", b"\t\n'\\"),
    "ENUM('a', '1', 'it''s', '')": ("a", "1", "it's", ""),
    "ENUM('ü', 'x') CHARACTER SET utf16": ("ü",),
    "SET('a', 'b', '2')": ("", "a,b", "2"),
    "JSON": ('{"a": [1, "it\'s\\\\\\"\\n", null, 1.5]}', "null", '"\N{GRINNING FACE}"'),
    "POINT": (),
}
NAME = "we`ird % 'na.me\";"


def random_rows():
    """Rows of random values, a column for each kind of them."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    double = st.floats(allow_nan=False, allow_infinity=False)
    single = st.floats(allow_nan=False, allow_infinity=False, width=32, allow_subnormal=False)
    whole = st.integers(-(2**63), 2**63 - 1)
    kinds = (whole, double, single, text, text, st.binary(max_size=12), st.integers(0, 2**9 - 1))
    return st.lists(st.tuples(*(st.none() | kind for kind in kinds)), max_size=60)


RANDOM = (
    "a BIGINT, b DOUBLE, c FLOAT, d TEXT CHARACTER SET utf8mb4, e VARCHAR(20) CHARACTER SET utf16, f BLOB, g BIT(9)"
)


@pytest.fixture(params=["file", "statements"])
def way(request, server, monkeypatch):
    """Each way in which rows get into a server; even the smallest table counts as a large one."""
    monkeypatch.setattr(database_refill, "LARGE", 0)
    monkeypatch.setattr(database_refill, "_PIECES", 2)
    monkeypatch.setattr(table_text, "_BLOCK", 200)
    with server.connect() as db:
        before = db.value("SELECT @@GLOBAL.local_infile")
        db.run(f"SET GLOBAL local_infile={int(request.param == 'file')}")
        yield request.param
        db.run(f"SET GLOBAL local_infile={before}")


@pytest.fixture
def made(server, tmp_path):
    """Write a logical backup; returns its files as they are recorded."""

    def make(name="backup", schema="blazz"):
        with server.connect(read_only=True) as own:
            return back_up(own, server.arguments, "logical", schema, str(tmp_path / name))["files"]

    return make


def add_everything(server, db):
    """One table with every type, and everything else that a schema can hold."""
    with server.connect() as own:
        own.run("USE blazz")
        own.run("SET SESSION sql_mode='ALLOW_INVALID_DATES', time_zone='+05:30'")
        for number, (kind, values) in enumerate(TYPES.items()):
            own.run(f"CREATE TABLE kind{number} (id INT AUTO_INCREMENT PRIMARY KEY, v {kind})")
            own.run(f"INSERT INTO kind{number} (v) VALUES (NULL)")
            for value in values:
                own._execute(f"INSERT INTO kind{number} (v) VALUES (%s)", [value])
            if kind == "POINT":
                own.run(f"INSERT INTO kind{number} (v) VALUES (POINT(1, 2)), (POINT(-0.1, 39))")
        # A member that the type does not have, from an older time.
        own.run("CREATE TABLE strange (id INT PRIMARY KEY, e ENUM('a'))")
        own.run("SET SESSION sql_mode=''")
        own.run("INSERT INTO strange VALUES (1, 'b')")
        odd = NAME.replace("`", "``")
        for statement in (
            f"CREATE TABLE `{odd}` (`{odd}` INT PRIMARY KEY AUTO_INCREMENT, `%s` TEXT, KEY `{odd}` (`%s`(9)))",
            f"INSERT INTO `{odd}` (`%s`) VALUES ('x')",
            f"CREATE TABLE {'ü' * 60} (id INT PRIMARY KEY)",
            "CREATE TABLE `structure` (id INT NOT NULL, n INT AUTO_INCREMENT, PRIMARY KEY (id), KEY (n, id), KEY (id))",
            "INSERT INTO `structure` VALUES (0, 7)",
            "CREATE TABLE numbered (id INT AUTO_INCREMENT PRIMARY KEY)",
            "SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO'",
            "INSERT INTO numbered VALUES (0), (41)",
            "DELETE FROM numbered WHERE id = 41",
            "CREATE TABLE keyless (x INT NOT NULL, y VARCHAR(9), UNIQUE (x), KEY (y))",
            "INSERT INTO keyless VALUES (2, NULL), (1, 'NULL')",
            "CREATE TABLE twins (x INT)",
            "INSERT INTO twins VALUES (1), (1), (NULL)",
            "CREATE TABLE searched (id INT PRIMARY KEY, t TEXT, u VARCHAR(9), FULLTEXT (t), KEY (u))",
            "INSERT INTO searched VALUES (1, 'some words', 'u')",
            "CREATE TABLE place (id INT PRIMARY KEY, g POINT NOT NULL, SPATIAL KEY (g))",
            "INSERT INTO place VALUES (1, POINT(1, 2))",
            "CREATE TABLE parted (id INT, x INT, PRIMARY KEY (id), KEY (x)) PARTITION BY HASH (id) PARTITIONS 2",
            "INSERT INTO parted VALUES (1, 1), (2, 2)",
            "CREATE TABLE loop_a (id INT PRIMARY KEY, b INT, c INT AS (id + 1) STORED, KEY (c))",
            "CREATE TABLE loop_b (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES loop_a (id))",
            "ALTER TABLE loop_a ADD CONSTRAINT `back``` FOREIGN KEY (b) REFERENCES loop_b (id) ON DELETE SET NULL",
            "INSERT INTO loop_a (id) VALUES (1)",
            "INSERT INTO loop_b VALUES (1, 1)",
            "UPDATE loop_a SET b = 1",
            "CREATE TABLE checked (id INT PRIMARY KEY, x INT, CONSTRAINT small CHECK (x < 7)) COMMENT 'a;\n) b'",
            "INSERT INTO checked VALUES (1, 1)",
            "CREATE FUNCTION twice(a INT) RETURNS INT DETERMINISTIC RETURN 2 * a",
            "CREATE VIEW a_view AS SELECT twice(id) AS x FROM campaigns",
            "CREATE PROCEDURE nothing() BEGIN SELECT 1; END",
            "CREATE TRIGGER fires AFTER INSERT ON campaigns FOR EACH ROW INSERT INTO twins VALUES (NEW.id)",
            "CREATE EVENT ticks ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01' COMMENT 'ENABLE;'"
            " DO BEGIN INSERT INTO twins VALUES (-1); END",
            "CREATE EVENT rests ON SCHEDULE EVERY 1 DAY DISABLE DO INSERT INTO twins VALUES (-2)",
        ):
            own.run(statement)
        if db.engine == "mariadb":
            for statement in (
                "CREATE SEQUENCE counted START WITH 7",
                "CREATE TABLE drawn (id INT PRIMARY KEY DEFAULT NEXTVAL(counted), a INET6, u UUID)",
                "INSERT INTO drawn (a, u) VALUES ('::1', UUID())",
            ):
                own.run(statement)


def test_everything_comes_back_as_it_was(server, db, fill, way, made, load):
    fill()
    add_everything(server, db)
    before = checksums(db, "blazz")
    files = made()
    with server.connect() as own:
        # Nothing of the server's own settings may matter.
        own.run("SET GLOBAL time_zone='+03:00'")
        own.run("SET GLOBAL sql_mode='STRICT_ALL_TABLES,NO_ZERO_DATE,ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
        try:
            test = load(files, schema=VERIFY)
            with server.connect() as other:
                info = schema_info(other, VERIFY)
            load(files, Expected(info["tables"], info["migrations"], test["checksums"]))
        finally:
            own.run("SET GLOBAL time_zone=DEFAULT, sql_mode=DEFAULT")
    assert checksums(db, SHADOW) == before
    assert table_digests(db, SHADOW) == table_digests(db, "blazz")
    assert read_objects(db, [SHADOW])[SHADOW] == read_objects(db, ["blazz"])["blazz"]
    events = db.rows("SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s", [SHADOW])
    assert {status.replace("REPLICA_SIDE", "SLAVESIDE") for _name, status in events} == {
        "SLAVESIDE_DISABLED",
        "DISABLED",
    }
    for name, table in read_tables(db, ["blazz"])["blazz"].items():
        # The two servers differ in what they call the next id of an empty table.
        assert (read_tables(db, [SHADOW])[SHADOW][name].auto_increment or 0) >= (table.auto_increment or 0), name
    db.run(f"INSERT INTO {SHADOW}.campaigns (name) VALUES ('new')")
    assert db.value(f"SELECT COUNT(*) FROM {SHADOW}.twins") == 4
    with pytest.raises(RollbackError, match="1452"):
        db.run(f"INSERT INTO {SHADOW}.campaign_logs (campaign_id, message_id) VALUES (99, 'x')")


def test_random_rows_come_back_as_they_were(server, db, way, tmp_path_factory):
    db.run("CREATE DATABASE blazz CHARACTER SET utf8mb4")
    db.run(f"CREATE TABLE blazz.t (id INT AUTO_INCREMENT PRIMARY KEY, {RANDOM})")

    @settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
    @given(random_rows())
    def round_trip(rows):
        db.run("TRUNCATE TABLE blazz.t")
        for row in rows:
            db.rows("INSERT INTO blazz.t (a, b, c, d, e, f, g) VALUES (%s, %s, %s, %s, %s, %s, %s)", row)
        path = str(tmp_path_factory.mktemp("random") / "backup")
        files = back_up(db, server.arguments, "logical", "blazz", path)["files"]
        loaded = load_beside(db, server.arguments, path, SHADOW, Expected(), files)
        assert loaded["tables"]["t"]["rows"] == len(rows)
        assert checksums(db, SHADOW) == checksums(db, "blazz")

    round_trip()


def test_the_module_writes_and_loads_one(db, fill, module, tmp_path):
    fill()
    dest, before = str(tmp_path / "copies" / "blazz"), checksums(db, "blazz")
    arguments = {"schema": "blazz", "dest": dest}
    assert module("database_backup", check=True, **arguments)["changed"]
    assert not os.path.exists(tmp_path / "copies")
    written, again = module("database_backup", **arguments), module("database_backup", **arguments)
    assert (written["changed"], again["changed"], again["files"]) == (True, False, written["files"])
    assert written["kind"] == "logical"
    assert os.listdir(tmp_path / "copies") == ["blazz"]
    assert stat.S_IMODE(os.stat(dest).st_mode) == 0o700
    assert {stat.S_IMODE(os.stat(entry["path"]).st_mode) for entry in written["files"]} == {0o600}
    info = schema_info(db, "blazz")
    stage = {"schema": SHADOW, "src": dest, "files": written["files"], "expected_tables": info["tables"]}
    assert sorted(module("database_load", check=True, **stage)["tables"]) == sorted(info["tables"])
    assert not existing_schemas(db, [SHADOW])
    assert module("database_load", bandwidth_mb_s=1, **stage)["tables"]["campaign_logs"] == {"rows": 40}
    assert not module("database_load", **stage)["changed"]
    assert checksums(db, SHADOW) == before


@pytest.fixture
def meanwhile(server, db, monkeypatch):
    """Do something while a backup has read table a, reads b, which takes as long as that, and has not come to c."""
    db.run("CREATE DATABASE blazz CHARACTER SET utf8mb4")
    for name in "abc":
        db.run(f"CREATE TABLE blazz.{name} (id INT PRIMARY KEY AUTO_INCREMENT, t LONGTEXT)")
        db.run(f"INSERT INTO blazz.{name} VALUES (1, 'as it was'), (2, REPEAT('x', {8000000 if name == 'b' else 9}))")
    done = []

    def do(*statements):
        copy_to = database_logical._Told.copy_to

        def act(told, sink):
            if not done:
                reading = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT %`b`'"
                while not db.value(reading):
                    pass
                for statement in statements:
                    db.run(statement)
                done.extend(statements)
            return copy_to(told, sink)

        monkeypatch.setattr(database_logical._Told, "copy_to", act)
        return done

    return do


def test_a_backup_is_one_moment_and_holds_nobody_up(db, meanwhile, made, load):
    done = meanwhile(
        "UPDATE blazz.c SET t = 'later' WHERE id = 1",
        "INSERT INTO blazz.c (t) VALUES ('later')",
        "UPDATE blazz.a SET t = 'later'",
        # What was read is let go of, even for a change of the table.
        "TRUNCATE TABLE blazz.a",
    )
    files = made()
    assert done
    load(files)
    for name in "abc":
        found = db.rows(f"SELECT id, LEFT(t, 9) FROM {SHADOW}.{name} ORDER BY id")
        assert found == [(1, "as it was"), (2, "xxxxxxxxx")]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE blazz.c ADD x INT",
        "ALTER TABLE blazz.a ADD x INT",
        "TRUNCATE TABLE blazz.c",
        "DROP TABLE blazz.c",
        "CREATE TABLE blazz.more (id INT)",
        "CREATE VIEW blazz.v AS SELECT 1",
    ],
)
def test_a_change_of_the_structure_meanwhile_makes_it_no_backup(meanwhile, made, tmp_path, statement):
    done = meanwhile(statement)
    with pytest.raises(RollbackError, match="structure of the schema was changed"):
        made()
    assert done
    assert os.listdir(tmp_path) == []


def test_a_text_that_the_server_would_cut_is_refused(server, db, made, tmp_path):
    db.run("CREATE DATABASE blazz CHARACTER SET utf8mb4")
    db.run("CREATE TABLE blazz.a (id INT PRIMARY KEY, t LONGTEXT)")
    db.run("INSERT INTO blazz.a VALUES (1, REPEAT('''', 900000))")
    packet = db.value("SELECT @@GLOBAL.max_allowed_packet")
    db.run("SET GLOBAL max_allowed_packet=1048576")
    try:
        with pytest.raises(RollbackError, match=r"could not give out all values.*blazz\.a"):
            made()
    finally:
        db.run(f"SET GLOBAL max_allowed_packet={packet}")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["mysqldump", "client", "zstd"])
def test_a_program_that_fails_leaves_no_backup(server, db, fill, made, tmp_path, monkeypatch, name):
    fill()
    program = {"mysqldump": "mariadb-dump", "client": "mariadb"}.get(name, name)
    if server.engine == "mysql":
        program = {"client": "mysql"}.get(name, name)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / program).write_text("#!/bin/sh\nhead -c 9; exit 1\n")
    (tools / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(RollbackError, match="failed"):
        made()
    assert os.listdir(tmp_path) == ["bin"]


def test_a_backup_killed_half_way_is_no_backup(db, fill, made, load, tmp_path, monkeypatch):
    fill()
    process = os.fork()
    if not process:
        with contextlib.suppress(BaseException):
            monkeypatch.setattr(database_logical._Told, "copy_to", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            made()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert os.listdir(tmp_path) == [".backup.partial"]
    load(made())
    assert os.listdir(tmp_path) == ["backup"]


class Killed:
    """Databases that kill their process before the n-th statement of a load that changes something."""

    def __init__(self, number):
        self.left, self.lock = number, threading.Lock()

    def __enter__(self):
        self.run = run = Database.run

        def counted(db, sql):
            with self.lock:
                if isinstance(sql, bytes) or not sql.startswith(("SET ", "USE ")):
                    self.left -= 1
                if not self.left:
                    os._exit(9)
            return run(db, sql)

        Database.run = counted

    def __exit__(self, *unused):
        Database.run = self.run


def killed(number, act):
    """Exit status of ``act`` in a process that is killed at that number."""
    process = os.fork()
    if not process:
        status = 3
        with contextlib.suppress(BaseException), Killed(number):
            act()
            status = 0
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_load_killed_at_any_point_can_be_repeated(server, db, fill, way, made, load, recorded):
    fill()
    db.run("CREATE TRIGGER blazz.fires AFTER INSERT ON blazz.campaigns FOR EACH ROW DELETE FROM blazz.sessions")
    before, files = checksums(db, "blazz"), made()
    expected = recorded(files)
    status, number = 9, 0
    while status == 9:
        number += 1
        remove(db, SHADOW)
        status = killed(number, lambda: load(files, expected))
        if status == 9 and number % 2:
            # Half of them are loaded anew over the part that is there.
            assert load(files, expected)["changed"], number
            assert checksums(db, SHADOW) == before
            assert read_objects(db, [SHADOW])[SHADOW]["triggers"] == ["fires"]
            assert not load(files, expected)["changed"]
    assert status == 0
    assert number > 8


def test_a_statement_that_goes_on_after_its_client_is_ended(server, db, fill, made, load):
    fill()
    files = made()
    load(files)
    with server.connect() as other, server.connect(lock_wait_s=3600) as orphan:
        other.run("START TRANSACTION")
        other.rows(f"SELECT * FROM {SHADOW}.sessions")
        orphan.run(f"USE {SHADOW}")
        problems = []

        def alter():
            try:
                orphan.run(database_refill.OURS + "ALTER TABLE sessions ADD KEY (payload(9))")
            except RollbackError as error:
                problems.append(str(error))

        altering = threading.Thread(target=alter)
        altering.start()
        waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata%'"
        while not db.value(waiting):
            assert altering.is_alive()
        end_loads(db, SHADOW)
        altering.join()
        assert problems
        other.run("ROLLBACK")


@pytest.mark.parametrize("then", ["undone", "killed"])
def test_in_place_and_back(server, db, fill, journal, other_run, made, tmp_path, then):
    fill()
    before = checksums(db, "blazz")
    files = made("old")
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('of v2')")
    made("new")
    after = checksums(db, "blazz")
    old, new = str(tmp_path / "old"), str(tmp_path / "new")

    def load(own):
        return load_in_place(own, server.arguments, journal, old, new, "blazz", Expected(), files)

    assert load_in_place(db, server.arguments, journal, old, new, "blazz", Expected(), files, check=True)["changed"]
    assert checksums(db, "blazz") == after
    if then == "killed":
        status = 0
        with server.connect() as own:
            status = killed(8, lambda: load(own))
        assert status == 9
        assert checksums(db, "blazz") != after
    assert load(db)["changed"]
    assert checksums(db, "blazz") == before
    assert not load(db)["changed"]
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('since')")
    undo, redo = other_run(1), other_run(2)
    assert revert_in_place(db, server.arguments, journal, undo, "blazz")["merged"] == {"campaigns": 1}
    names = "SELECT name FROM blazz.campaigns ORDER BY id"
    assert [row[0] for row in db.rows(names)] == ["first", "second", "of v2", "since"]
    assert revert_in_place(db, server.arguments, undo, redo, "blazz")["changed"]
    assert [row[0] for row in db.rows(names)] == ["first", "second", "since"]


def test_events_go_on_after_a_load_in_place(server, db, fill, journal, made, tmp_path):
    fill()
    db.run("CREATE EVENT blazz.ticks ON SCHEDULE EVERY 1 DAY DO SELECT 1")
    files = made()
    db.run("DROP EVENT blazz.ticks")
    made("new")
    arguments = (str(tmp_path / "backup"), str(tmp_path / "new"), "blazz", Expected(), files)
    load_in_place(db, server.arguments, journal, *arguments)
    assert db.rows("SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'blazz'") == [("ENABLED",)]


@pytest.mark.only("mariadb", reason="physical backups are MariaDB's")
def test_files_of_tables_are_refused_in_place(server, db, fill, journal, made, tmp_path):
    fill()
    physical, logical = str(tmp_path / "physical"), str(tmp_path / "backup")
    made()
    back_up(db, server.arguments, "physical", "blazz", physical)
    for src, undo_src in ((physical, logical), (logical, physical)):
        with pytest.raises(RollbackError, match=r"cannot be loaded in place.*only where nobody uses"):
            load_in_place(db, server.arguments, journal, src, undo_src, "blazz", Expected(), None)
    assert journal.steps() == []


def test_progress_counts_every_byte_of_text(server, db, fill, way, made, tmp_path):
    fill()
    made()
    told = []

    class Told(Progress):
        def add(self, count):
            told.append(count)

    directory = str(tmp_path / "backup")
    sizes = database_logical.verify_backup(directory, [])
    db.run(f"CREATE DATABASE {SHADOW} CHARACTER SET utf8mb4")
    before = loads(db)
    database_refill.refill(db, server.arguments, directory, sizes, SHADOW, True, Told(None, 0))
    assert sum(told) > 0.8 * sum(sizes.values())
    if way == "file":
        assert sum(told) == sum(sizes.values())
        # Two blocks each: one transaction with all rows would hold up every other writer while it is committed.
        assert loads(db) - before >= max(sizes.values()) / 400


def loads(db):
    """How many LOAD DATA the server has run."""
    return int(db.rows("SHOW GLOBAL STATUS LIKE 'Com_load'")[0][1])


def damage(directory, what):
    """Do to a backup what can happen to files."""
    path = directory / "logs.txt.zst"
    data = bytearray(path.read_bytes())
    if what == "one bit":
        data[len(data) // 2] ^= 1
    elif what == "cut":
        del data[len(data) // 2 :]
    elif what == "empty":
        data.clear()
    elif what == "missing":
        path.unlink()
    elif what == "too many":
        shutil.copyfile(path, directory / "more.txt.zst")
    elif what == "structure cut":
        os.truncate(directory / "structure.sql", 1000)
    elif what == "other table":
        shutil.copyfile(directory / "others.txt.zst", path)
    elif what == "twin table":
        shutil.copyfile(directory / "twins.txt.zst", path)
    if what in ("one bit", "cut", "empty"):
        path.write_bytes(data)


#: What happens to a backup, and how it comes to light without any digest: before a table is touched, or in the load.
DAMAGE = {
    "one bit": "does not decompress",
    "cut": "does not decompress",
    "empty": "does not decompress",
    "missing": "not those of its tables",
    "too many": "not those of its tables",
    "structure cut": "truncated",
    "other table": "not those of this table|The database refused",
    "twin table": "is not what was recorded",
}


@pytest.fixture(scope="module")
def prepared(server, tmp_path_factory):
    """A backup of three tables, two of them with the same structure, and what a test restore of it measured."""
    base = tmp_path_factory.mktemp("prepared")
    with server.connect() as db:
        db.run("CREATE DATABASE damage CHARACTER SET utf8mb4")
        numbers = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
        for name, columns in (("logs", "id, x"), ("twins", "id, x"), ("others", "x, id, id")):
            more = ", y INT" if name == "others" else ""
            types = "x CHAR(36), id INT PRIMARY KEY" if more else "id INT PRIMARY KEY, x CHAR(36)"
            db.run(f"CREATE TABLE damage.{name} ({types}{more})")
            values = columns.replace("id", "i").replace("x", f"LEFT(SHA2(CONCAT(i, '{name}'), 256), 36)")
            db.run(f"INSERT INTO damage.{name} {numbers} SELECT {values} FROM n")
        files = back_up(db, server.arguments, "logical", "damage", str(base / "whole"))["files"]
        loaded = load_beside(db, server.arguments, str(base / "whole"), VERIFY, Expected(), files)
        return base / "whole", files, Expected(schema_info(db, VERIFY)["tables"], None, loaded["checksums"])


@pytest.mark.parametrize("what", [*DAMAGE, "nothing"])
@pytest.mark.parametrize("digests", ["recorded", "none"])
def test_damage_is_found(server, db, prepared, way, tmp_path, what, digests):
    whole, files, expected = prepared
    shutil.copytree(whole, tmp_path / "copy")
    damage(tmp_path / "copy", what)
    db.run(f"CREATE DATABASE {SHADOW}")
    db.run(f"CREATE TABLE {SHADOW}.witness (id INT)")
    arguments = (db, server.arguments, str(tmp_path / "copy"), SHADOW, expected, files if digests == "recorded" else [])
    if what == "nothing":
        assert load_beside(*arguments)["tables"] == {name: {"rows": 900} for name in ("logs", "others", "twins")}
        return
    reason = r"not the one that was recorded|not consist of the files" if digests == "recorded" else DAMAGE[what]
    with pytest.raises(RollbackError, match=reason):
        load_beside(*arguments)
    untouched = digests == "recorded" or what not in ("other table", "twin table")
    assert (("witness",) in db.rows(f"SHOW TABLES FROM {SHADOW}")) if untouched else not existing_schemas(db, [SHADOW])


def test_a_row_that_is_there_already_is_not_passed_over(server, db, way, made, load, tmp_path):
    """A server that reads a client's file leaves such a row out and goes on."""
    db.run("CREATE DATABASE blazz")
    db.run("CREATE TABLE blazz.a (id INT PRIMARY KEY)")
    db.run("CREATE TABLE blazz.b (id INT)")
    db.run("INSERT INTO blazz.b VALUES (1), (1)")
    made()
    shutil.copyfile(tmp_path / "backup" / "b.txt.zst", tmp_path / "backup" / "a.txt.zst")
    with pytest.raises(RollbackError, match="1062"):
        load([])
    assert not existing_schemas(db, [SHADOW])


def test_a_table_that_fails_stops_the_others(server, db, way, made, load, monkeypatch):
    """And the first reason is the one that is told."""
    db.run("CREATE DATABASE blazz")
    for name in "abcd":
        db.run(f"CREATE TABLE blazz.{name} (id INT PRIMARY KEY, x INT, KEY (x))")
    files = made()

    def refuse(own, schema, table, clauses):
        raise RollbackError("injected")

    monkeypatch.setattr(database_refill, "_alter", refuse)
    with pytest.raises(RollbackError, match="injected"):
        load(files)
    assert not existing_schemas(db, [SHADOW])
    assert ("blazz", "a") in read_columns(db, ["blazz"])
