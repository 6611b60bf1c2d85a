"""An operator's words become exactly one restore point, or one clear error."""

from __future__ import annotations

import datetime
import json
import os
import tempfile

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import restore_points
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.restore_points import Store
from hypothesis import given
from hypothesis import strategies as st

IDS = st.datetimes(datetime.datetime(2026, 11, 20), datetime.datetime(2026, 11, 22)).map(
    lambda moment: moment.strftime("%Y%m%dT%H%M%SZ")
)


def manifest(point_id, known_good=False, **values):
    return {
        "schema": 1,
        "id": point_id,
        "taken_at": "2026-11-21T17:45:00Z",
        "taken_by": "test",
        "environment": "drill",
        "application": {},
        "database": {},
        "known_good": known_good,
        **values,
    }


@given(st.dictionaries(IDS, st.booleans(), max_size=6), st.sampled_from(["latest", "20261120", "20261121", "20261122"]))
def test_a_target_means_the_newest_good_one_or_else_the_newest(points, target):
    with tempfile.TemporaryDirectory() as directory:
        store = Store(directory)
        for point_id, known_good in points.items():
            store.write(manifest(point_id, known_good))
        os.makedirs(os.path.join(store.root, "20261122T235959Z"), exist_ok=True)  # begun and never finished
        assert store.ids() == sorted(points)
        matching = sorted(point_id for point_id in points if target == "latest" or point_id.startswith(target))
        good = [point_id for point_id in matching if points[point_id]]
        if not matching:
            with pytest.raises(RollbackError, match="No restore point"):
                store.resolve(target)
        else:
            assert store.resolve(target)["id"] == (good or matching)[-1]
        if not good:
            with pytest.raises(RollbackError, match="No restore point"):
                store.resolve(target, known_good_only=True)


@given(st.text(max_size=20))
def test_other_words_are_refused(target):
    with tempfile.TemporaryDirectory() as directory, pytest.raises(RollbackError):
        Store(directory).resolve(target)


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path))
    for point_id in ("20261120T100000Z", "20261121T100000Z", "20261122T100000Z"):
        store.write(manifest(point_id, known_good=True))
    return store


@pytest.mark.parametrize(
    "target",
    ["20261121T100000Z\n", "../20261121T100000Z", "\uff120261121T100000Z", "20261121T100001Z", "20261121 ", ""],
)
def test_nothing_but_a_whole_id_names_a_restore_point(store, target):
    with pytest.raises(RollbackError):
        store.resolve(target)


def test_an_older_broken_manifest_does_not_stop_a_rollback_and_a_newer_one_does(store):
    with open(store.path("20261120T100000Z"), "wb") as stream:
        stream.write(b'{"schema": 1, "id"')
    assert store.resolve("latest")["id"] == "20261122T100000Z"
    with open(store.path("20261122T100000Z"), "wb") as stream:
        stream.write(b"\xff")
    with pytest.raises(RollbackError, match="cannot be read"):
        store.resolve("latest")
    assert store.resolve("20261121T100000Z")["id"] == "20261121T100000Z"


@pytest.mark.parametrize(
    "document",
    [
        [],
        7,
        {},
        {**manifest("20261121T100000Z"), "schema": 2},
        {**manifest("20261121T100000Z"), "known_good": "False"},
        manifest("20261119T100000Z"),
        manifest("../../etc"),
        {key: value for key, value in manifest("20261121T100000Z").items() if key != "database"},
    ],
)
def test_a_manifest_that_is_not_understood_is_refused(store, document):
    with open(store.path("20261121T100000Z"), "w", encoding="utf-8") as stream:
        json.dump(document, stream)
    with pytest.raises(RollbackError):
        store.read("20261121T100000Z")


def test_writing_is_atomic_and_private(tmp_path, durability):
    store = Store(str(tmp_path))
    store.write(manifest("20261121T100000Z"))
    path = store.path("20261121T100000Z")
    fsync, rename, last = durability[-3:]
    assert (rename[0], rename[2], last) == ("rename", path, ("fsync", os.path.dirname(path)))
    assert fsync == ("fsync", rename[1])
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_the_newest_backup_of_a_date_is_found_by_name(tmp_path):
    for name in (
        "backup_20261114_0100.sql.zst",
        "backup_20261114_0200.sql",
        "backup_20261114_0300.txt",
        "backup_20261115.sql",
    ):
        (tmp_path / name).touch()
    assert restore_points.find_backup(str(tmp_path), "20261114").endswith("backup_20261114_0200.sql")
    with pytest.raises(RollbackError, match=r"backup_20261113\*"):
        restore_points.find_backup(str(tmp_path), "20261113")


@pytest.mark.parametrize("commit", ["", "1a2b3c4", "main", "1A2B3C4D5E6F708192A3B4C5D6E7F80912A3B4C5", "g" * 40])
def test_a_commit_is_given_whole(commit):
    with pytest.raises(RollbackError, match="40 hexadecimal digits"):
        restore_points.assemble("20261114", "drill", "test", commit, {})


def test_an_assembled_point_is_complete_and_never_known_good(tmp_path):
    assembled = restore_points.assemble(
        "20261114",
        "drill",
        "test",
        "1a2b3c4d5e6f708192a3b4c5d6e7f80912a3b4c5",
        {"path": "/b", "bytes": 1, "sha256": "x"},
    )
    assert assembled["known_good"] is False
    Store(str(tmp_path)).write(assembled)
    with pytest.raises(RollbackError, match="no such date"):
        restore_points.assemble("20261399", "drill", "test", "1a2b3c4d5e6f708192a3b4c5d6e7f80912a3b4c5", {})
