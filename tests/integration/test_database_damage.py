"""Damaged physical backups against a real server: each kind of damage, and what finds it."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import read_tables
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import load_beside
from ansible_collections.campaign.rollback.plugins.module_utils.database_verify import verify_copy
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from damage import CAUGHT, SHADOW, Damaged, caught, make_backups

PHYSICAL = pytest.mark.only("mariadb", reason="physical backups are MariaDB's")


@pytest.fixture(scope="module")
def prepared(server, tmp_path_factory):
    base = tmp_path_factory.mktemp("prepared")
    return base, *make_backups(server, base)


@PHYSICAL
@pytest.mark.parametrize("what", sorted(CAUGHT))
def test_a_damaged_backup_is_found_before_anything_is_touched(server, db, prepared, tmp_path, what):
    base, files, expected = prepared
    shutil.copytree(base / "whole", tmp_path / "copy")
    getattr(Damaged(tmp_path / "copy", base / "older"), what)()
    db.run(f"CREATE DATABASE {SHADOW}")
    db.run(f"CREATE TABLE {SHADOW}.witness (id INT)")
    arguments = (db, server.arguments, str(tmp_path / "copy"), SHADOW, expected, files)
    if what == "nothing":
        assert load_beside(*arguments)["tables"] == {"logs": {"rows": 40000}, "twins": {"rows": 300}}
        return
    with pytest.raises(RollbackError, match=r"not the one that was recorded|not consist of the files"):
        load_beside(*arguments)
    assert list(read_tables(db, [SHADOW])[SHADOW]) == ["witness"]


@PHYSICAL
@pytest.mark.parametrize("what", sorted(CAUGHT))
def test_damage_older_than_the_digests_is_found_before_a_swap(server, db, prepared, tmp_path, what):
    base, _files, expected = prepared
    shutil.copytree(base / "whole", tmp_path / "copy")
    getattr(Damaged(tmp_path / "copy", base / "older"), what)()
    found = caught(server, db, tmp_path / "copy", expected)
    assert found >= CAUGHT[what]
    assert bool(found) == bool(CAUGHT[what]), found


@pytest.mark.parametrize("change", ["x = x + 1", "t = CONCAT(t, ' ')", "t = NULL", "f = f + 0.0000001", "b = b'111'"])
@pytest.mark.parametrize("version", ["this", "another"])
def test_every_changed_value_is_found(server, db, change, version):
    db.run("CREATE DATABASE blazz")
    db.run("CREATE TABLE blazz.a (x INT, t TEXT, u TEXT, f FLOAT, b BIT(3), g POINT, s TIMESTAMP NULL) ")
    # Two equal rows, because sums without a carry do not see those.
    db.run("INSERT INTO blazz.a SELECT 1, '', '#', 0.1, b'101', POINT(1, 2), NULL FROM (SELECT 1 UNION ALL SELECT 2) n")
    recorded = verify_copy(db, "blazz", {}).recorded()
    if version == "another":
        recorded["version"] = "another"
    assert verify_copy(db, "blazz", recorded).wrong == []
    db.run(f"UPDATE blazz.a SET {change}")
    form = "checksum" if version == "this" else "portable"
    assert [text.split(" is ")[0] for text in verify_copy(db, "blazz", recorded).wrong] == [f"{form} of a"]
