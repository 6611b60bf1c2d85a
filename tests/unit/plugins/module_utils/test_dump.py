"""Dump files: written whole or not at all, damaged or foreign ones recognised."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.dump import (
    Dump,
    Progress,
    client_message,
    connection_arguments,
    is_complete,
    unzstd,
    zstd,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

TRAILER = b"-- Dump completed on 2026-11-21 17:45:00\n"
SANDBOX = b"/*M!999999\\- enable the sandbox mode */ \n"
BODY = b"-- MariaDB dump\nCREATE TABLE `a` (id int);\n" + b"INSERT INTO `a` VALUES (1),(2);\n" * 5000


@pytest.fixture
def make(tmp_path):
    def make_dump(text, suffix=".sql"):
        path = tmp_path / ("dump" + suffix)
        if suffix == ".sql.gz":
            path.write_bytes(gzip.compress(text))
        elif suffix == ".sql.zst":
            path.write_bytes(
                subprocess.run(["zstd", "-q", "-c"], input=text, stdout=subprocess.PIPE, check=True).stdout
            )
        else:
            path.write_bytes(text)
        return path

    return make_dump


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a shell script in front of the real program of that name."""

    def make_program(name, script):
        tools = tmp_path / "bin"
        tools.mkdir(exist_ok=True)
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    return make_program


def verify(path, sha256=None):
    with Dump(str(path)) as dump:
        return dump.verify(sha256)


def shell(script):
    return ["sh", "-c", script]


@pytest.mark.parametrize(
    ("tail", "complete"),
    [
        (TRAILER, True),
        (b"x\n-- Dump completed\n\n", True),
        (b"-- Dump completed on 2026-11-21 17:45:00\nINSERT INTO a VALUES (1);\n", False),
        (b"INSERT INTO a VALUES ('-- Dump completed');\n", False),
        (b"", False),
    ],
)
def test_trailer(tail, complete):
    assert is_complete(tail) is complete


@pytest.mark.parametrize("suffix", [".sql", ".sql.gz", ".sql.zst"])
def test_a_whole_dump_passes(make, suffix):
    path = make(SANDBOX + BODY + TRAILER, suffix)
    assert verify(path, hashlib.sha256(path.read_bytes()).hexdigest()) == len(SANDBOX + BODY + TRAILER)


@pytest.mark.parametrize("suffix", [".sql", ".sql.gz", ".sql.zst"])
def test_a_dump_cut_at_a_statement_is_truncated(make, suffix):
    with pytest.raises(RollbackError, match="truncated"):
        verify(make(BODY, suffix))


@pytest.mark.parametrize("suffix", [".sql.gz", ".sql.zst"])
@pytest.mark.parametrize("damage", ["flip", "last byte", "cut", "empty", "not compressed"])
def test_a_damaged_file_is_recognised(make, suffix, damage):
    path = make(BODY + TRAILER, suffix)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 0x10
    elif damage == "last byte":
        data[-1] ^= 0x10
    elif damage == "cut":
        del data[-5:]
    elif damage == "empty":
        data.clear()
    else:
        data[:] = BODY + TRAILER
    path.write_bytes(data)
    with pytest.raises(RollbackError, match=r"damaged|truncated"):
        verify(path)


def test_the_decompressor_has_the_last_word(tmp_path, program):
    program("zstd", "cat; echo checksum >&2; exit 1")
    path = tmp_path / "a.sql.zst"
    path.write_bytes(BODY + TRAILER)
    with pytest.raises(RollbackError, match=r"does not decompress.*checksum"):
        verify(path)


def test_another_file_of_the_same_form_is_not_the_recorded_one(make):
    with pytest.raises(RollbackError, match="not the one that was recorded"):
        verify(make(BODY + TRAILER), "0" * 64)


@pytest.mark.parametrize(
    "line",
    [
        b"USE `blazz`;",
        b"use blazz;",
        b"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `blazz`;",
        b"/*!40000 DROP DATABASE IF EXISTS `blazz`*/;",
        b"ALTER DATABASE `blazz` CHARACTER SET utf8mb4;",
        b"SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '';",
        b"DELIMITER ;;\nCREATE PROCEDURE p() SELECT 1;;\nDELIMITER ;\nUSE `blazz`;",
    ],
)
def test_a_dump_that_leaves_its_schema_is_refused(make, line):
    with pytest.raises(RollbackError, match="outside one schema"):
        verify(make(BODY + line + b"\n" + TRAILER))


@pytest.mark.parametrize(
    "line",
    [
        b"INSERT INTO `a` VALUES ('USE blazz;\\nCREATE DATABASE x;');",
        b"-- USE blazz",
        b"INSERT INTO `a` VALUES ('" + b"x" * (1024 * 1024 - 25) + b"USE ');",
        b"DELIMITER ;;\nCREATE PROCEDURE p() BEGIN\nDROP DATABASE x;\nEND ;;\nDELIMITER ;",
    ],
)
def test_data_and_routine_bodies_may_say_anything(make, line):
    assert verify(make(BODY + line + b"\n" + TRAILER))


def test_other_names_and_missing_files_are_refused(tmp_path):
    with pytest.raises(RollbackError, match="name ends in"):
        Dump(str(tmp_path / "dump.tar"))
    with pytest.raises(RollbackError, match="cannot be read"):
        Dump(str(tmp_path / "dump.sql"))


@pytest.mark.parametrize(
    ("script", "reason"), [("echo no space >&2; exit 1", "no space"), ("cat > /dev/full", "No space left")]
)
def test_a_compressor_that_fails_is_said_so(tmp_path, program, script, reason):
    program("zstd", script)

    def compress():
        with zstd(str(tmp_path / "a")) as sink:
            sink.write(b"x" * 9000000)

    with pytest.raises(RollbackError, match=f"Compressing the backup failed.*{reason}"):
        compress()


def test_what_is_compressed_comes_back(tmp_path):
    with zstd(str(tmp_path / "a")) as sink:
        sink.write(BODY)
    with open(tmp_path / "a", "rb") as file, unzstd(file, "a") as text:
        assert text.read() == BODY


def test_the_sandbox_line_never_reaches_the_client(make, tmp_path):
    path = make(SANDBOX + BODY + TRAILER, ".sql.zst")
    with Dump(str(path)) as dump:
        dump.load(shell(f"cat > {tmp_path}/received"), Progress(None, 0))
    assert (tmp_path / "received").read_bytes() == BODY + TRAILER


def test_a_client_that_stops_early_is_an_error_without_data(make):
    path = make(BODY * 20 + TRAILER)
    said = "ERROR 1062 (23000) at line 7: Duplicate entry '+10000000001' for key 'x'"
    script = f'head -c 10 >/dev/null; echo "{said}" >&2; exit 1'
    with Dump(str(path)) as dump, pytest.raises(RollbackError, match="line 7") as caught:
        dump.load(shell(script), Progress(None, 0))
    assert "1000" not in str(caught.value)


def test_client_messages_keep_the_place_and_lose_the_statement():
    assert client_message("ERROR 1273 (HY000) at line 25: Unknown collation: 'utf8mb4_0900_ai_ci'") == (
        "line 25: (1273) Unknown collation: 'utf8mb4_0900_ai_ci'"
    )
    assert "secret" not in client_message("ERROR 1064 (42000) at line 3 in file: '/x': near 'secret' at line 1")
    assert "secret" not in client_message("--------------\ninsert 'secret'\n--------------")


def test_progress_is_told_once_a_second_and_removed(tmp_path):
    path, clock = tmp_path / "new" / "progress.json", iter([100.0, 100.4, 101.0, 103.0])
    with Progress(str(path), 10, lambda: next(clock)) as progress:
        told = [json.loads(path.read_text())]
        for count in (4, 3, 5):
            progress.add(count)
            told.append(json.loads(path.read_text()))
    assert [entry["at"] for entry in told] == [100.0, 100.0, 101.0, 103.0]
    # The total is an estimate for a dump, which may turn out larger.
    assert [(entry["done"], entry["total"]) for entry in told] == [(0, 10), (0, 10), (7, 10), (12, 12)]
    assert os.listdir(tmp_path / "new") == []


def test_a_limited_transfer_waits_until_it_is_due():
    # Starts at 100, then 50 bytes in 1, 50 more after a pause of 18, 50 at once, and then the clock is set back.
    clock, slept = iter([100.0, 101.0, 119.0, 119.0, 0.0]), []
    with Progress(None, 10, lambda: next(clock), limit=10, sleep=slept.append) as progress:
        for _number in range(4):
            progress.add(50)
    assert slept == [0.0, 4.0, 0.0, 5.0, 5.0]


def test_progress_that_cannot_be_written_stops_nothing(make, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with Dump(str(make(BODY + TRAILER))) as dump, Progress(str(tmp_path / "file" / "p.json"), 1) as progress:
        dump.load(shell("cat >/dev/null"), progress)


def test_the_tables_of_a_dump_are_known_once_it_was_read(make):
    text = b"CREATE TABLE `b``x` (\n);\nCREATE TABLE IF NOT EXISTS `a` (id INT);\nINSERT INTO `a` VALUES (1);\n"
    with Dump(str(make(text + TRAILER))) as dump:
        dump.verify()
        assert dump.tables == ["a", "b`x"]


def test_a_server_without_room_is_told_from_a_bad_dump(make):
    with Dump(str(make(BODY + TRAILER))) as dump, pytest.raises(RollbackError, match="no room left"):
        dump.load(
            shell("cat >/dev/null; echo \"ERROR 1114 (HY000) at line 7: The table 'x' is full\" >&2; exit 1"),
            Progress(None, 0),
        )


def test_secrets_stay_in_the_option_file():
    arguments = connection_arguments("/root/.rollback.cnf", "/run/s.sock")
    assert arguments == ["--defaults-file=/root/.rollback.cnf", "--socket=/run/s.sock"]
