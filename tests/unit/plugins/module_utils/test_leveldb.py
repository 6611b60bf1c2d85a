"""LevelDB from outside: every table that the manifest names is there with its size, or the database is broken."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import leveldb


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def text(value):
    return varint(len(value)) + value


def added(number, size):
    return varint(7) + varint(0) + varint(number) + varint(size) + text(b"first-key") + text(b"last-key")


def removed(number):
    return varint(6) + varint(1) + varint(number)


def log(*edits):
    """The edits as LevelDB's log writes them, cut at the ends of blocks."""
    out = b""
    for edit in edits:
        rest, first = edit, True
        while first or rest:
            room = leveldb.BLOCK - len(out) % leveldb.BLOCK
            if room < leveldb.HEADER:
                out += b"\0" * room
                continue
            part, rest = rest[: room - leveldb.HEADER], rest[room - leveldb.HEADER :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not rest]
            crc = leveldb.masked_crc(bytes([kind]) + part)
            out += crc.to_bytes(4, "little") + len(part).to_bytes(2, "little") + bytes([kind]) + part
            first = False
    return out


BEGIN = varint(1) + text(b"idb_cmp1") + varint(2) + varint(9) + varint(9) + varint(0) + varint(3) + varint(10)
POINTER = varint(5) + varint(1) + text(b"key") + varint(4) + varint(700)


def table(size):
    return b"x" * (size - 8) + leveldb.TABLE_MAGIC


def make(path, manifest=None):
    """A database with the tables 5 (named .sst, as older versions did) and 7; number 4 was compacted away."""
    path.mkdir(parents=True)
    (path / "CURRENT").write_text("MANIFEST-000001\n")
    edits = (BEGIN, added(4, 90), removed(4) + added(5, 300), POINTER + added(7, 70000))
    (path / "MANIFEST-000001").write_bytes(log(*edits) if manifest is None else manifest)
    (path / "000005.sst").write_bytes(table(300))
    (path / "000007.ldb").write_bytes(table(70000))
    (path / "000009.log").write_bytes(b"torn")
    return path


@pytest.fixture
def database(tmp_path):
    return make(tmp_path / "leveldb")


def test_a_whole_database_has_nothing_against_it(database):
    assert leveldb.check(str(database)) == ""


def test_checksum_is_that_of_the_specification():
    # RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 8a9136aa.
    crc = 0x8A9136AA
    assert leveldb.masked_crc(b"\0" * 32) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_an_edit_longer_than_a_block_is_read(tmp_path):
    long = varint(7) + varint(0) + varint(7) + varint(70000) + text(b"k" * 80000) + text(b"l")
    assert leveldb.live_tables(log(BEGIN, added(5, 300), long)) == {5: 300, 7: 70000}


@pytest.mark.parametrize("fill", range(leveldb.BLOCK - 30, leveldb.BLOCK + 2))
def test_records_are_found_wherever_a_block_ends(fill):
    edits = [b"a" * (fill - 2 * leveldb.HEADER), b"b" * 40, b"c"]
    assert list(leveldb.records(log(*edits))) == edits


def rewrite(path, change):
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: (path / "CURRENT").unlink(), "CURRENT is missing"),
        (lambda path: (path / "CURRENT").write_text("MANIFEST-00"), "CURRENT names no manifest"),
        (lambda path: (path / "CURRENT").write_text("../../x\n"), "CURRENT names no manifest"),
        (lambda path: (path / "CURRENT").write_bytes(b"\xff\xff"), "cannot be read"),
        (lambda path: (path / "MANIFEST-000001").unlink(), "MANIFEST-000001 is missing"),
        (lambda path: (path / "MANIFEST-000001").write_bytes(b""), "MANIFEST-000001 is empty"),
        (lambda path: rewrite(path / "MANIFEST-000001", lambda data: data[:8] + b"~" + data[9:]), "checksum"),
        (lambda path: (path / "MANIFEST-000001").write_bytes(log(varint(42))), "unknown tag 42"),
        (lambda path: (path / "MANIFEST-000001").write_bytes(log(varint(7) + varint(0))), "ends early"),
        (lambda path: (path / "000007.ldb").unlink(), "000007.ldb is missing"),
        (lambda path: rewrite(path / "000007.ldb", lambda data: data[:-1]), "has 69999 bytes, the manifest says 70000"),
        (lambda path: rewrite(path / "000007.ldb", lambda data: data[:-1] + b"~"), "does not end as a table does"),
        (lambda path: (path / "000005.sst").write_bytes(b""), "000005.sst has 0 bytes"),
    ],
)
def test_damage_is_recognised_and_named(database, damage, reason):
    damage(database)
    assert reason in leveldb.check(str(database))


def test_a_last_edit_that_was_cut_off_is_left_out(database):
    """As LevelDB does: whoever wrote it died before it counted."""
    rewrite(database / "MANIFEST-000001", lambda data: data + log(added(8, 50))[:-3])
    assert leveldb.check(str(database)) == ""
