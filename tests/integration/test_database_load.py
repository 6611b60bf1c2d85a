"""database_backup and database_load against a real server."""

from __future__ import annotations

import gzip
import json
import os
import pathlib
import signal
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    existing_schemas,
    quote,
    read_tables,
    schema_info,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import (
    Expected,
    load_beside,
    load_in_place,
    remove,
    revert_in_place,
)
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Dump
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.fences import announce
from ansible_collections.campaign.rollback.plugins.module_utils.files import sha256_file

HOSTILE = [
    'it\'s "quoted" \\ ` -- #',
    "line\nUSE mysql;\nDROP DATABASE blazz;\r\n",
    "ünï \N{GRINNING FACE}",
    "nul\0\x1a;",
]


def checksums(db, schema):
    names = [name for (name,) in db.rows(f"SHOW TABLES FROM {quote(schema)}")]
    return {name: db.rows(f"CHECKSUM TABLE {quote(schema)}.{quote(name)}")[0][1] for name in names}


def text_of(path):
    with Dump(str(path)) as dump, dump.stream() as stream:
        return stream.read()


@pytest.fixture
def hostile(db, fill):
    fill()
    for text in HOSTILE:
        raw = bytes(range(256)).hex()
        db.run(
            f"INSERT INTO blazz.campaigns (name, note, raw) VALUES ({db.literal(text)}, {db.literal(text)}, x'{raw}')"
        )
    db.run("INSERT INTO blazz.campaigns (name, note, raw) VALUES ('', NULL, NULL)")
    name = "we`ird % 'na.me\";"
    db.run(f"CREATE TABLE blazz.{quote(name)} ({quote(name)} INT PRIMARY KEY AUTO_INCREMENT, `%s` TEXT)")
    db.run(f"INSERT INTO blazz.{quote(name)} (`%s`) VALUES ('x')")
    return "blazz"


def test_round_trip_of_hostile_data(db, hostile, module, tmp_path):
    dest = str(tmp_path / "dumps" / "blazz.sql.zst")
    assert module("database_backup", check=True, schema="blazz", dest=dest)["changed"]
    assert not os.path.exists(dest)
    dumped = module("database_backup", schema="blazz", dest=dest)
    again = module("database_backup", schema="blazz", dest=dest)
    assert (dumped["changed"], again["changed"], again["files"]) == (True, False, dumped["files"])
    arguments = {"schema": "blazz__shadow_1", "src": dest, "files": dumped["files"]}
    arguments["expected_tables"] = schema_info(db, "blazz")["tables"]
    assert module("database_load", check=True, **arguments)["changed"]
    assert not existing_schemas(db, ["blazz__shadow_1"])
    loaded = module("database_load", **arguments)
    assert loaded["tables"]["campaigns"] == {"rows": 7}
    assert loaded["bytes"] > 0
    assert checksums(db, "blazz__shadow_1") == checksums(db, "blazz")
    assert schema_info(db, "blazz__shadow_1")["schema_digest"] == schema_info(db, "blazz")["schema_digest"]
    assert module("database_load", schema="blazz__shadow_1", state="absent")["changed"]
    assert not module("database_load", schema="blazz__shadow_1", state="absent")["changed"]


@pytest.mark.parametrize("suffix", [".sql", ".sql.gz"])
@pytest.mark.parametrize(
    "sandbox", [b"", b"/*!999999\\- enable the sandbox mode */ \n", b"/*M!999999\\- enable the sandbox mode */ \n"]
)
def test_dumps_that_operators_have(server, db, hostile, tmp_path, suffix, sandbox):
    text = text_of(server.dump(hostile, tmp_path / "a.sql.zst"))
    first, rest = text.split(b"\n", 1)
    body = sandbox + (rest if b"sandbox" in first else text)
    path = tmp_path / ("b" + suffix)
    path.write_bytes(gzip.compress(body) if suffix == ".sql.gz" else body)
    load_beside(db, server.arguments, str(path), "blazz__shadow_1", Expected(), None)
    assert checksums(db, "blazz__shadow_1") == checksums(db, "blazz")


@pytest.mark.parametrize("form", ["zst", "gz", "sql"])
@pytest.mark.parametrize("damage", ["cut", "flip", "garbage"])
def test_a_bad_dump_is_refused_before_anything_is_touched(server, db, hostile, tmp_path, form, damage):
    good = server.dump(hostile, tmp_path / "a.sql.zst")
    load_beside(db, server.arguments, good, "blazz__shadow_1", Expected(), None)
    db.run("INSERT INTO blazz__shadow_1.sessions VALUES ('witness', 'x')")
    path = tmp_path / (f"bad.sql.{form}" if form != "sql" else "bad.sql")
    text = text_of(good)
    data = bytearray({"zst": pathlib.Path(good).read_bytes(), "gz": gzip.compress(text), "sql": text}[form])
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "flip":
        data[len(data) // 2] ^= 1
    else:
        data[:] = os.urandom(len(data))
    path.write_bytes(data)
    # In plain SQL only the recorded digest can tell one changed byte.
    files = [{"path": "bad.sql", "sha256": sha256_file(good)}] if form == "sql" and damage == "flip" else None
    with pytest.raises(RollbackError, match=r"damaged|truncated|not the one that was recorded"):
        load_beside(db, server.arguments, str(path), "blazz__shadow_1", Expected(), files)
    assert db.value("SELECT COUNT(*) FROM blazz__shadow_1.sessions") == 1


def test_a_dump_of_several_databases_is_refused(server, db, fill, tmp_path):
    fill()
    text = text_of(server.dump("blazz", tmp_path / "a.sql.zst"))
    (tmp_path / "b.sql").write_bytes(b"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `blazz`;\nUSE `blazz`;\n" + text)
    before = checksums(db, "blazz")
    with pytest.raises(RollbackError, match="outside one schema"):
        load_beside(db, server.arguments, str(tmp_path / "b.sql"), "blazz__shadow_1", Expected(), None)
    assert checksums(db, "blazz") == before
    assert not existing_schemas(db, ["blazz__shadow_1"])


def test_only_schemas_made_here_are_replaced(server, db, fill, tmp_path):
    fill()
    fill("blazz__attic_1")
    path = server.dump("blazz", tmp_path / "a.sql.zst")
    for schema in ("blazz", "blazz__attic_1"):
        before = checksums(db, schema)
        with pytest.raises(RollbackError):
            load_beside(db, server.arguments, path, schema, Expected(), None)
        with pytest.raises(RollbackError):
            remove(db, schema)
        assert checksums(db, schema) == before


@pytest.mark.parametrize("problem", ["statement", "count"])
def test_a_load_that_fails_leaves_no_schema(server, db, fill, tmp_path, problem):
    fill()
    text = text_of(server.dump("blazz", tmp_path / "a.sql.zst"))
    if problem == "statement":
        twice = b"INSERT INTO campaign_logs (campaign_id, message_id) VALUES (1, 'a secret'), (1, 'a secret');\n"
        text = text.replace(b"-- Dump completed", twice + b"-- Dump completed")
    (tmp_path / "b.sql").write_bytes(text)
    with pytest.raises(RollbackError, match=r"Loading the dump failed|campaigns has 2 rows instead of 3") as caught:
        load_beside(
            db, server.arguments, str(tmp_path / "b.sql"), "blazz__shadow_1", Expected({"campaigns": {"rows": 3}}), None
        )
    assert "secret" not in str(caught.value)
    assert not existing_schemas(db, ["blazz__shadow_1"])


def test_a_dump_cannot_run_programs(server, db, fill, tmp_path):
    """The sandbox line that forbids it is taken out for old clients, so something else has to."""
    fill()
    text = text_of(server.dump("blazz", tmp_path / "a.sql.zst"))
    (tmp_path / "b.sql").write_bytes(
        text.replace(b"-- Dump completed", f"\\! touch {tmp_path}/witness\n-- Dump completed".encode())
    )
    with pytest.raises(RollbackError, match="Loading the dump failed"):
        load_beside(db, server.arguments, str(tmp_path / "b.sql"), "blazz__shadow_1", Expected(), None)
    assert not (tmp_path / "witness").exists()


def test_a_dump_is_one_moment_and_blocks_no_writer(server, db, fill, tmp_path):
    """Pairs of rows are written in one transaction each, so every dump must hold an even number of them."""
    fill()
    stop, written = threading.Event(), threading.Semaphore(0)
    problems = []

    def write():
        number = 0
        try:
            with server.connect() as own:
                while not stop.is_set():
                    number += 1
                    own.run("START TRANSACTION")
                    own.run(f"INSERT INTO blazz.sessions VALUES ('{number}', '')")
                    own.run(f"INSERT INTO blazz.campaigns (name) VALUES ('{number}')")
                    own.run("COMMIT")
                    written.release()
        except Exception as error:
            problems.append(error)
            written.release()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            written.acquire()
            server.dump("blazz", tmp_path / f"{number}.sql.zst")
    finally:
        stop.set()
        writer.join()
    assert not problems
    for number in range(3):
        load_beside(db, server.arguments, str(tmp_path / f"{number}.sql.zst"), "blazz__shadow_1", Expected(), None)
        assert db.value("SELECT COUNT(*) FROM blazz__shadow_1.sessions") == db.value(
            "SELECT COUNT(*) - 2 FROM blazz__shadow_1.campaigns"
        )


def test_in_place_and_back(db, fill, module, tmp_path):
    fill()
    old, new = str(tmp_path / "old.sql.zst"), str(tmp_path / "new.sql.zst")
    module("database_backup", schema="blazz", dest=old)
    before = checksums(db, "blazz")
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('later')")
    db.run("CREATE TABLE blazz.later (c BIGINT UNSIGNED, FOREIGN KEY (c) REFERENCES blazz.campaigns (id))")
    module("database_backup", schema="blazz", dest=new)
    after = checksums(db, "blazz")
    arguments = {"schema": "blazz", "src": old, "undo_src": new, "in_place": True, "state_dir": True}
    assert module("database_load", check=True, **arguments)["changed"]
    assert checksums(db, "blazz") == after
    assert module("database_load", **arguments)["tables"]["campaigns"] == {"rows": 2}
    assert checksums(db, "blazz") == before
    assert not module("database_load", **arguments)["changed"]
    assert module("database_load", schema="blazz", state="reverted", state_dir=True)["changed"]
    assert checksums(db, "blazz") == after
    assert not module("database_load", schema="blazz", state="reverted", state_dir=True)["changed"]


def test_in_place_needs_a_whole_way_back(server, db, fill, journal, tmp_path):
    fill()
    good = server.dump("blazz", tmp_path / "a.sql.zst")
    (tmp_path / "b.sql").write_bytes(text_of(good)[:-40])
    before = checksums(db, "blazz")
    for src, undo_src in ((good, str(tmp_path / "b.sql")), (str(tmp_path / "b.sql"), good)):
        with pytest.raises(RollbackError, match="truncated"):
            load_in_place(db, server.arguments, journal, src, undo_src, "blazz", Expected(), None)
    assert checksums(db, "blazz") == before
    assert journal.steps() == []


def test_in_place_that_breaks_half_way_can_be_undone(server, db, fill, journal, tmp_path):
    fill()
    good = server.dump("blazz", tmp_path / "a.sql.zst")
    before = checksums(db, "blazz")
    text = text_of(good).replace(b"DROP TABLE IF EXISTS `migrations`", b"NONSENSE;\nDROP TABLE IF EXISTS `migrations`")
    (tmp_path / "b.sql").write_bytes(text)
    with pytest.raises(RollbackError, match="Loading the dump failed"):
        load_in_place(db, server.arguments, journal, str(tmp_path / "b.sql"), good, "blazz", Expected(), None)
    assert checksums(db, "blazz") != before
    assert revert_in_place(db, server.arguments, journal, journal, "blazz")["changed"]
    assert checksums(db, "blazz") == before


def test_in_place_keeps_what_must_not_be_done_again(db, fill, module, tmp_path):
    fill()
    db.run("UPDATE blazz.campaign_logs SET status = 'pending'")
    old, new = str(tmp_path / "old.sql.zst"), str(tmp_path / "new.sql.zst")
    module("database_backup", schema="blazz", dest=old)
    first = db.rows("SELECT MIN(id) FROM blazz.campaign_logs")[0][0]
    db.run(f"UPDATE blazz.campaign_logs SET status = 'sent' WHERE id = {first}")
    module("database_backup", schema="blazz", dest=new)
    carry = [{"table": "campaign_logs", "when": "live.status = 'sent'", "columns": ["status"]}]
    arguments = {"schema": "blazz", "src": old, "undo_src": new, "in_place": True, "state_dir": True}
    assert module("database_load", carry=carry, **arguments)["carried"] == {"campaign_logs": 1}
    sent = "SELECT id FROM blazz.campaign_logs WHERE status = 'sent' ORDER BY id"
    assert [row[0] for row in db.rows(sent)] == [first]
    # Sent on the restored data, so it has to stay sent when the rollback is taken back.
    second = db.rows(f"SELECT MIN(id) FROM blazz.campaign_logs WHERE id > {first}")[0][0]
    db.run(f"UPDATE blazz.campaign_logs SET status = 'sent' WHERE id = {second}")
    assert module("database_load", schema="blazz", state="reverted", state_dir=True)["carried"] == {"campaign_logs": 1}
    assert [row[0] for row in db.rows(sent)] == [first, second]


def manifest(db, schema="blazz"):
    found = schema_info(db, schema)
    return Expected(found["tables"], found["migrations"])


def test_a_complete_copy_is_reused_and_any_other_built_again(server, db, fill, tmp_path):
    fill()
    expected, path = manifest(db), server.dump("blazz", tmp_path / "a.sql.zst")

    def load(check=False):
        return load_beside(db, server.arguments, path, "blazz__shadow_1", expected, None, check)

    first = load()
    assert first["changed"]
    db.run("ALTER TABLE blazz__shadow_1.sessions COMMENT 'witness'")
    witness = (
        "SELECT TABLE_COMMENT FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = 'blazz__shadow_1' AND TABLE_NAME = 'sessions'"
    )
    again = load()
    assert (again["changed"], again["tables"], load(check=True)["changed"]) == (False, first["tables"], False)
    assert db.value(witness) == "witness"
    for damage in (
        "DELETE FROM blazz__shadow_1.campaign_logs LIMIT 1",
        "DROP TABLE blazz__shadow_1.migrations",
        "ALTER TABLE blazz__shadow_1.campaign_logs ADD KEY (status)",
        "CREATE TABLE blazz__shadow_1.more (id INT)",
        "UPDATE blazz__shadow_1.migrations SET migration = 'other'",
    ):
        db.run(damage)
        db.run("ALTER TABLE blazz__shadow_1.sessions COMMENT 'witness'")
        assert load(check=True)["changed"]
        assert load()["changed"], damage
        assert db.value(witness) == ""
        assert checksums(db, "blazz__shadow_1") == checksums(db, "blazz")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("ALTER TABLE blazz.campaigns ADD campaign_type VARCHAR(9) NULL", "campaigns has another structure"),
        ("CREATE TABLE blazz.campaign_hybrid_options (id INT)", "campaign_hybrid_options is not in the manifest"),
        ("UPDATE blazz.migrations SET migration = 'newer'", "migration newer is not in the manifest"),
        ("DROP TABLE blazz.sessions", "sessions is missing"),
    ],
)
def test_a_backup_of_another_schema_version_is_refused(server, db, fill, tmp_path, change, reason):
    fill()
    expected = manifest(db)
    db.run(change)
    path, before = server.dump("blazz", tmp_path / "a.sql.zst"), checksums(db, "blazz")
    with pytest.raises(RollbackError, match=reason):
        load_beside(db, server.arguments, path, "blazz__shadow_1", expected, None)
    assert not existing_schemas(db, ["blazz__shadow_1"])
    assert checksums(db, "blazz") == before


def test_a_backup_of_another_database_is_refused(server, db, fill, tmp_path):
    fill()
    expected = manifest(db)
    db.run("CREATE DATABASE shop")
    db.run("CREATE TABLE shop.orders (id INT)")
    path = server.dump("shop", tmp_path / "a.sql.zst")
    with pytest.raises(RollbackError, match="orders is not in the manifest; campaign_logs is missing"):
        load_beside(db, server.arguments, path, "blazz__shadow_1", expected, None)
    assert not existing_schemas(db, ["blazz__shadow_1"])


def test_a_full_server_is_said_so_and_nothing_is_left(server, db, fill, tmp_path):
    """A table in memory answers with the same error as one on a full disk; the statement is longer than a message."""
    fill()
    text = text_of(server.dump("blazz", tmp_path / "a.sql.zst"))
    rows = b"SET SESSION max_heap_table_size=16384;\nCREATE TABLE big (x CHAR(255)) ENGINE=MEMORY;\n"
    rows += b"INSERT INTO big VALUES " + b", ".join([b"('" + b"x" * 255 + b"')"] * 1000) + b";\n"
    (tmp_path / "b.sql").write_bytes(text.replace(b"-- Dump completed", rows + b"-- Dump completed"))
    before = checksums(db, "blazz")
    with pytest.raises(RollbackError, match="the database server has no room left"):
        load_beside(db, server.arguments, str(tmp_path / "b.sql"), "blazz__shadow_1", Expected(), None)
    assert not existing_schemas(db, ["blazz__shadow_1"])
    assert checksums(db, "blazz") == before


@pytest.fixture
def halting(server, fill, tmp_path):
    """A dump that stops half way until the lock ``halt`` is free, and goes on with a table named witness."""
    text = text_of(server.dump(fill(), tmp_path / "a.sql.zst"))
    halt = b"SELECT GET_LOCK('halt', 600);\nCREATE TABLE witness (id INT);\nDROP TABLE IF EXISTS `migrations`"
    (tmp_path / "halting.sql").write_bytes(text.replace(b"DROP TABLE IF EXISTS `migrations`", halt))
    return str(tmp_path / "halting.sql")


def halted(db):
    return db.value("SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT GET_LOCK%'")


def test_a_server_that_restarts_in_mid_load(server, db, halting, fill, tmp_path):
    db.value("SELECT GET_LOCK('halt', 0)")
    before, problems = checksums(db, "blazz"), []

    def load():
        try:
            with server.connect() as own:
                load_beside(own, server.arguments, halting, "blazz__shadow_1", Expected(), None)
        except RollbackError as error:
            problems.append(str(error))

    loading = threading.Thread(target=load)
    loading.start()
    while not halted(db):
        assert loading.is_alive(), problems
    server.kill()
    server.start()
    loading.join()
    assert len(problems) == 1
    assert "Loading the dump failed" in problems[0]
    assert "2013" in problems[0]
    with server.connect() as after:
        assert not existing_schemas(after, ["blazz__shadow_1"])
        assert checksums(after, "blazz") == before


@pytest.mark.parametrize("where", ["beside", "in place"])
def test_a_load_killed_half_way_stops_and_can_be_repeated(server, db, halting, journal, tmp_path, where):
    db.value("SELECT GET_LOCK('halt', 0)")
    good, before, expected = str(tmp_path / "a.sql.zst"), checksums(db, "blazz"), manifest(db)
    schema = "blazz" if where == "in place" else "blazz__shadow_1"

    def load(own, src, expected):
        if where == "in place":
            return load_in_place(own, server.arguments, journal, src, good, schema, expected, None)
        return load_beside(own, server.arguments, src, schema, expected, None, progress=str(tmp_path / "progress"))

    process = os.fork()
    if not process:
        try:
            with server.connect() as own:
                load(own, halting, Expected())
        finally:
            os._exit(1)
    while not halted(db):
        pass
    orphan = halted(db)
    if where == "beside":
        told = json.loads((tmp_path / "progress").read_text())
        assert (told["done"], told["total"]) == (0, os.path.getsize(halting))
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    db.value("SELECT RELEASE_LOCK('halt')")
    # Its client must not go on with the statements that it had received already.
    while db.value(f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {orphan}"):
        pass
    assert "witness" not in read_tables(db, [schema])[schema]
    assert checksums(db, schema) != before
    if where == "beside":
        assert checksums(db, "blazz") == before
    assert load(db, good, expected)["changed"]
    assert checksums(db, schema) == before
    assert not load(db, good, expected)["changed"]
    assert (tmp_path / "progress").exists() is False


def test_a_check_in_place_needs_no_emergency_backup_yet(server, db, fill, journal, tmp_path):
    fill()
    good, missing = server.dump("blazz", tmp_path / "a.sql.zst"), str(tmp_path / "none.sql.zst")
    found = load_in_place(db, server.arguments, journal, good, missing, "blazz", Expected(), None, check=True)
    assert (found["changed"], sorted(found["tables"])) == (
        True,
        ["campaign_logs", "campaigns", "migrations", "sessions"],
    )
    with pytest.raises(RollbackError, match="cannot be read"):
        load_in_place(db, server.arguments, journal, good, missing, "blazz", Expected(), None)
    assert journal.steps() == []


@pytest.mark.parametrize("then", ["whole", "killed"])
def test_in_place_can_be_undone_and_that_undone_with_the_rows_written_since(
    server, db, fill, journal, other_run, tmp_path, then
):
    fill()
    old = server.dump("blazz", tmp_path / "old.sql.zst")
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('of v2')")
    new = server.dump("blazz", tmp_path / "new.sql.zst")
    load_in_place(db, server.arguments, journal, old, new, "blazz", Expected(), None)
    names = "SELECT name FROM blazz.campaigns ORDER BY id"
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('since the rollback')")
    db.run("INSERT INTO blazz.campaign_logs (campaign_id, message_id) VALUES (LAST_INSERT_ID(), 'later')")
    undo, redo = other_run(1), other_run(2)
    if then == "killed":
        process = os.fork()
        if not process:
            try:
                with server.connect() as own:
                    own.run = lambda sql: os._exit(9) if sql.startswith("DROP TABLE") else Database.run(own, sql)
                    revert_in_place(own, server.arguments, journal, undo, "blazz")
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
        assert [step.state for step in undo.steps()] == ["begin"]
        db.run("SET SESSION foreign_key_checks=0")
        db.run("DROP TABLE blazz.campaigns")
        db.run("SET SESSION foreign_key_checks=1")
    found = revert_in_place(db, server.arguments, journal, undo, "blazz")
    assert found["merged"] == {"campaigns": 1, "campaign_logs": 1}
    assert [row[0] for row in db.rows(names)] == ["first", "second", "of v2", "since the rollback"]
    assert (journal.to_undo("database"), len(undo.to_undo("database"))) == ([], 1)
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('since the undo')")
    assert revert_in_place(db, server.arguments, undo, redo, "blazz")["merged"] == {"campaigns": 1}
    assert [row[0] for row in db.rows(names)] == ["first", "second", "since the rollback", "since the undo"]
    assert [step.state for step in journal.steps()] == ["done"]
    assert not revert_in_place(db, server.arguments, undo, redo, "blazz")["changed"]


def test_a_run_that_lost_its_lease_dumps_loads_and_drops_nothing(db, fill, module, tmp_path):
    fill()
    fill("blazz__shadow_1")
    good, dest = str(tmp_path / "a.sql.zst"), str(tmp_path / "b.sql.zst")
    assert module("database_backup", schema="blazz", dest=good, progress=str(tmp_path / "progress"))["changed"]
    announce(str(tmp_path / "state"), 7, 1)
    stale = {"state_dir": True, "fencing": 6}
    db.run("INSERT INTO blazz.sessions VALUES ('witness', '')")
    for name, arguments in (
        ("database_backup", {"schema": "blazz", "dest": dest}),
        ("database_load", {"schema": "blazz__verify_1", "src": good}),
        ("database_load", {"schema": "blazz__shadow_1", "state": "absent"}),
        ("database_load", {"schema": "blazz", "src": good, "undo_src": good, "in_place": True}),
        ("database_load", {"schema": "blazz", "state": "reverted"}),
    ):
        assert "took the lease over" in module(name, **arguments, **stale)["msg"]
    assert not os.path.exists(dest)
    assert existing_schemas(db, ["blazz__verify_1", "blazz__shadow_1"]) == {"blazz__shadow_1"}
    assert db.value("SELECT COUNT(*) FROM blazz.sessions") == 1
