"""database_dump and database_load against a real server."""

from __future__ import annotations

import gzip
import os
import pathlib
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import existing_schemas, quote, schema_info
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import (
    load_beside,
    load_in_place,
    remove,
    revert_in_place,
)
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Dump
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

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
    assert module("database_dump", check=True, schema="blazz", dest=dest)["changed"]
    assert not os.path.exists(dest)
    dumped = module("database_dump", schema="blazz", dest=dest)
    again = module("database_dump", schema="blazz", dest=dest)
    assert (dumped["changed"], again["changed"], again["sha256"]) == (True, False, dumped["sha256"])
    arguments = {"schema": "blazz__shadow_1", "src": dest, "sha256": dumped["sha256"]}
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
    text = text_of(server.dump(hostile, tmp_path / "a.sql.zst").path)
    first, rest = text.split(b"\n", 1)
    body = sandbox + (rest if b"sandbox" in first else text)
    path = tmp_path / ("b" + suffix)
    path.write_bytes(gzip.compress(body) if suffix == ".sql.gz" else body)
    load_beside(db, server.arguments, str(path), "blazz__shadow_1", {}, None)
    assert checksums(db, "blazz__shadow_1") == checksums(db, "blazz")


@pytest.mark.parametrize("form", ["zst", "gz", "sql"])
@pytest.mark.parametrize("damage", ["cut", "flip", "garbage"])
def test_a_bad_dump_is_refused_before_anything_is_touched(server, db, hostile, tmp_path, form, damage):
    good = server.dump(hostile, tmp_path / "a.sql.zst")
    load_beside(db, server.arguments, good.path, "blazz__shadow_1", {}, None)
    db.run("INSERT INTO blazz__shadow_1.sessions VALUES ('witness', 'x')")
    path = tmp_path / (f"bad.sql.{form}" if form != "sql" else "bad.sql")
    text = text_of(good.path)
    data = bytearray({"zst": pathlib.Path(good.path).read_bytes(), "gz": gzip.compress(text), "sql": text}[form])
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "flip":
        data[len(data) // 2] ^= 1
    else:
        data[:] = os.urandom(len(data))
    path.write_bytes(data)
    # In plain SQL only the recorded digest can tell one changed byte.
    digest = good.sha256 if form == "sql" and damage == "flip" else None
    with pytest.raises(RollbackError, match=r"damaged|truncated|not the one that was recorded"):
        load_beside(db, server.arguments, str(path), "blazz__shadow_1", {}, digest)
    assert db.value("SELECT COUNT(*) FROM blazz__shadow_1.sessions") == 1


def test_a_dump_of_several_databases_is_refused(server, db, fill, tmp_path):
    fill()
    text = text_of(server.dump("blazz", tmp_path / "a.sql.zst").path)
    (tmp_path / "b.sql").write_bytes(b"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `blazz`;\nUSE `blazz`;\n" + text)
    before = checksums(db, "blazz")
    with pytest.raises(RollbackError, match="outside one schema"):
        load_beside(db, server.arguments, str(tmp_path / "b.sql"), "blazz__shadow_1", {}, None)
    assert checksums(db, "blazz") == before
    assert not existing_schemas(db, ["blazz__shadow_1"])


def test_only_schemas_made_here_are_replaced(server, db, fill, tmp_path):
    fill()
    fill("blazz__attic_1")
    path = server.dump("blazz", tmp_path / "a.sql.zst").path
    for schema in ("blazz", "blazz__attic_1"):
        before = checksums(db, schema)
        with pytest.raises(RollbackError):
            load_beside(db, server.arguments, path, schema, {}, None)
        with pytest.raises(RollbackError):
            remove(db, schema)
        assert checksums(db, schema) == before


@pytest.mark.parametrize("problem", ["statement", "count"])
def test_a_load_that_fails_leaves_no_schema(server, db, fill, tmp_path, problem):
    fill()
    text = text_of(server.dump("blazz", tmp_path / "a.sql.zst").path)
    if problem == "statement":
        twice = b"INSERT INTO campaign_logs (campaign_id, message_id) VALUES (1, 'a secret'), (1, 'a secret');\n"
        text = text.replace(b"-- Dump completed", twice + b"-- Dump completed")
    (tmp_path / "b.sql").write_bytes(text)
    with pytest.raises(RollbackError, match=r"Loading the dump failed|campaigns has 2 rows instead of 3") as caught:
        load_beside(db, server.arguments, str(tmp_path / "b.sql"), "blazz__shadow_1", {"campaigns": {"rows": 3}}, None)
    assert "secret" not in str(caught.value)
    assert not existing_schemas(db, ["blazz__shadow_1"])


def test_a_dump_cannot_run_programs(server, db, fill, tmp_path):
    """The sandbox line that forbids it is taken out for old clients, so something else has to."""
    fill()
    text = text_of(server.dump("blazz", tmp_path / "a.sql.zst").path)
    (tmp_path / "b.sql").write_bytes(
        text.replace(b"-- Dump completed", f"\\! touch {tmp_path}/witness\n-- Dump completed".encode())
    )
    with pytest.raises(RollbackError, match="Loading the dump failed"):
        load_beside(db, server.arguments, str(tmp_path / "b.sql"), "blazz__shadow_1", {}, None)
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
        load_beside(db, server.arguments, str(tmp_path / f"{number}.sql.zst"), "blazz__shadow_1", {}, None)
        assert db.value("SELECT COUNT(*) FROM blazz__shadow_1.sessions") == db.value(
            "SELECT COUNT(*) - 2 FROM blazz__shadow_1.campaigns"
        )


def test_in_place_and_back(db, fill, module, tmp_path):
    fill()
    old, new = str(tmp_path / "old.sql.zst"), str(tmp_path / "new.sql.zst")
    module("database_dump", schema="blazz", dest=old)
    before = checksums(db, "blazz")
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('later')")
    db.run("CREATE TABLE blazz.later (c BIGINT UNSIGNED, FOREIGN KEY (c) REFERENCES blazz.campaigns (id))")
    module("database_dump", schema="blazz", dest=new)
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
    good = server.dump("blazz", tmp_path / "a.sql.zst").path
    (tmp_path / "b.sql").write_bytes(text_of(good)[:-40])
    before = checksums(db, "blazz")
    for src, undo_src in ((good, str(tmp_path / "b.sql")), (str(tmp_path / "b.sql"), good)):
        with pytest.raises(RollbackError, match="truncated"):
            load_in_place(db, server.arguments, journal, src, undo_src, "blazz", {}, None)
    assert checksums(db, "blazz") == before
    assert journal.steps() == []


def test_in_place_that_breaks_half_way_can_be_undone(server, db, fill, journal, tmp_path):
    fill()
    good = server.dump("blazz", tmp_path / "a.sql.zst").path
    before = checksums(db, "blazz")
    text = text_of(good).replace(b"DROP TABLE IF EXISTS `migrations`", b"NONSENSE;\nDROP TABLE IF EXISTS `migrations`")
    (tmp_path / "b.sql").write_bytes(text)
    with pytest.raises(RollbackError, match="Loading the dump failed"):
        load_in_place(db, server.arguments, journal, str(tmp_path / "b.sql"), good, "blazz", {}, None)
    assert checksums(db, "blazz") != before
    assert revert_in_place(db, server.arguments, journal, "blazz")["changed"]
    assert checksums(db, "blazz") == before


def test_in_place_keeps_what_must_not_be_done_again(db, fill, module, tmp_path):
    fill()
    db.run("UPDATE blazz.campaign_logs SET status = 'pending'")
    old, new = str(tmp_path / "old.sql.zst"), str(tmp_path / "new.sql.zst")
    module("database_dump", schema="blazz", dest=old)
    first = db.rows("SELECT MIN(id) FROM blazz.campaign_logs")[0][0]
    db.run(f"UPDATE blazz.campaign_logs SET status = 'sent' WHERE id = {first}")
    module("database_dump", schema="blazz", dest=new)
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
