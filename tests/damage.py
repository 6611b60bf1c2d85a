"""Physical backups that something went wrong with: each kind of damage, and what finds it."""

from __future__ import annotations

import os
import re
import shutil

from ansible_collections.campaign.rollback.plugins.module_utils.database import existing_schemas, schema_info
from ansible_collections.campaign.rollback.plugins.module_utils.database_backup import back_up
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import Expected, load_beside
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

SHADOW = "damage__shadow_1"
PAGE = 16384


def leaves(data, index=None):
    """Numbers of the pages with the rows of an index in the bytes of a table's file; of the rows themselves without."""
    found = {}
    for number in range(len(data) // PAGE):
        page = data[number * PAGE : (number + 1) * PAGE]
        if page[24:26] == b"\x45\xbf" and page[64:66] == b"\0\0":
            found.setdefault(page[66:74], []).append(number)
    return found[min(found) if index is None else sorted(found)[index]]


class Damaged:
    """What a backup looks like after something went wrong with the file of the table ``logs``."""

    def __init__(self, directory, older):
        self.directory, self.older, self.path = directory, older, directory / "logs.ibd"

    def flip(self, position):
        data = bytearray(self.path.read_bytes())
        data[position] ^= 1
        self.path.write_bytes(data)

    def write_page(self, number, page):
        data = bytearray(self.path.read_bytes())
        data[number * PAGE : (number + 1) * PAGE] = page
        self.path.write_bytes(data)

    def one_byte(self):
        self.flip(leaves(self.path.read_bytes())[5] * PAGE + 5000)

    def page_zeroed(self):
        self.write_page(leaves(self.path.read_bytes())[5], bytes(PAGE))

    def first_page(self):
        self.flip(100)

    def cut(self):
        # In the last index. Beyond it are pages that nothing uses yet, and would not be missed.
        os.truncate(self.path, leaves(self.path.read_bytes(), -1)[-20] * PAGE)

    def stale_page(self):
        older, data = (self.older / "logs.ibd").read_bytes(), self.path.read_bytes()
        number = leaves(data)[5]
        page = older[number * PAGE : (number + 1) * PAGE]
        assert page[64:74] == data[number * PAGE + 64 : number * PAGE + 74]
        self.write_page(number, page)

    def pages_swapped(self):
        data = self.path.read_bytes()
        one, two = leaves(data)[5], leaves(data)[9]
        first, second = (data[number * PAGE : (number + 1) * PAGE] for number in (one, two))
        self.write_page(one, second)
        self.write_page(two, first)

    def file_missing(self):
        self.path.unlink()

    def layout_missing(self):
        (self.directory / "logs.cfg").unlink()

    def structure_cut(self):
        os.truncate(self.directory / "structure.sql", 1000)

    def other_table(self):
        shutil.copyfile(self.directory / "twins.ibd", self.path)

    def table_too_many(self):
        shutil.copyfile(self.path, self.directory / "more.ibd")

    def nothing(self):
        pass


def make_backups(server, base):
    """Two backups of one schema below ``base``, the second after every row was changed.

    Returns the files of the second, ``whole``, and what a test restore of it measured.
    """
    with server.connect() as db:
        db.run("CREATE DATABASE damage CHARACTER SET utf8mb4")
        for name, rows in (("logs", 40000), ("twins", 300)):
            table = f"damage.{name}"
            db.run(f"CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, message CHAR(36), n INT, t VARCHAR(100))")
            db.run(
                f"INSERT INTO {table} (message, n, t) SELECT MD5(seq), seq, REPEAT('x', 80) FROM damage.seq_1_to_{rows}"
            )
            # Built last, so it is what the end of the file holds.
            db.run(f"ALTER TABLE {table} ADD KEY (message)")
        back_up(db, server.arguments, "physical", "damage", str(base / "older"))
        db.run("UPDATE damage.logs SET n = n + 1")
        files = back_up(db, server.arguments, "physical", "damage", str(base / "whole"))["files"]
        loaded = load_beside(db, server.arguments, str(base / "whole"), "damage__verify_1", Expected(), files)
        expected = Expected(schema_info(db, "damage__verify_1")["tables"], None, loaded["checksums"])
    return files, expected


#: What finds a backup that was damaged before its digests were taken; more may.
CAUGHT = {
    "one_byte": {"import"},
    "page_zeroed": {"check"},
    "first_page": {"import"},
    "cut": {"check"},
    "stale_page": {"checksum", "portable"},
    "pages_swapped": {"import"},
    "file_missing": {"list"},
    "layout_missing": {"list"},
    "structure_cut": {"trailer"},
    "other_table": {"check"},
    "table_too_many": {"list"},
    "nothing": set(),
}


def caught(server, db, directory, expected):
    """By which means a backup without recorded digests is found to be damaged."""
    signs = {"truncated": "trailer", "files of the backup are not": "list", "database refused a statement": "import"}
    found = set()
    for version in (expected.checksums["version"], "another"):
        wanted = Expected(expected.tables, None, dict(expected.checksums, version=version))
        try:
            load_beside(db, server.arguments, str(directory), SHADOW, wanted, None)
        except RollbackError as error:
            found |= {means for text, means in signs.items() if text in error.what}
            found |= set(re.findall(r"\b(rows|checksum|portable|check) of ", str(error.found)))
            assert not existing_schemas(db, [SHADOW])
    return found
