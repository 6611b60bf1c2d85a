"""A verified copy that was left loaded is used as it is, and only while it is what was verified."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import schema_info
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import Expected, load_beside
from ansible_collections.campaign.rollback.plugins.module_utils.database_standby import proof
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from conftest import checksums

STANDBY = "blazz__standby"
GONE = "/gone.sql.zst"


@pytest.fixture
def standby(server, db, fill, tmp_path):
    """Leave a copy loaded; returns what loads it again from ``src``, and the path of its backup."""
    fill()
    path = server.dump("blazz", tmp_path / "a.sql.zst")

    def load(src, expected, check=False):
        with server.connect(lock_wait_s=30) as own:
            return load_beside(own, server.arguments, src, STANDBY, expected, None, check)

    first = load(path, Expected())
    found = schema_info(db, STANDBY)
    until = db.value("SELECT NOW() + INTERVAL 2 SECOND")
    while db.value("SELECT NOW()") < until:
        continue  # the server tells times in whole seconds
    expected = Expected(found["tables"], found["migrations"], first["checksums"], proof(db, STANDBY))
    return lambda src=path, check=False: load(src, expected, check), expected


def test_an_untouched_copy_serves_without_its_backup(standby):
    load, expected = standby
    for check in (True, False):
        found = load(GONE, check)
        assert (found["changed"], found["standby"]["tables"]) == (False, expected.standby["tables"])
        # Nothing was looked at.
        assert found["checksums"] == {}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {}.campaigns SET name = 'other' LIMIT 1",
        "DELETE FROM {}.campaign_logs LIMIT 1",
        "DROP TABLE {}.sessions",
        "CREATE TABLE {}.more (id INT)",
        "INSERT INTO {}.campaign_logs (campaign_id, message_id) VALUES (1, 'late')",
    ],
)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_copy_that_was_written_to_is_loaded_again(server, db, standby, change, restarted):
    load, _expected = standby
    db.run(change.format(STANDBY))
    if restarted:
        server.kill()
        server.start()
    assert load(GONE, check=True)["standby"] == {}
    with pytest.raises(RollbackError):
        load(GONE)
    assert load()["changed"]
    with server.connect() as own:
        assert checksums(own, STANDBY) == checksums(own, "blazz")


def test_after_a_restart_the_copy_is_looked_at_and_serves(server, standby):
    load, expected = standby
    server.kill()
    server.start()
    found = load(GONE)
    assert (found["changed"], set(found["checksums"]["tables"])) == (False, set(expected.tables))


def test_a_copy_recorded_in_the_second_of_its_last_row_is_looked_at(server, standby):
    _load, expected = standby
    at = max(written for _made, written in expected.standby["tables"].values() if written != "None")
    early = dataclasses.replace(expected, standby=dict(expected.standby, at=at))
    with server.connect() as own:
        assert load_beside(own, server.arguments, GONE, STANDBY, early, None)["checksums"]["tables"]


def test_another_copy_is_not_taken_for_it(server, standby):
    load, expected = standby
    made = {name: ["2026-01-01 00:00:00", written] for name, (_made, written) in expected.standby["tables"].items()}
    other = dataclasses.replace(expected, standby=dict(expected.standby, tables=made))
    with server.connect() as own:
        assert load_beside(own, server.arguments, GONE, STANDBY, other, None, check=True)["standby"] == {}
    assert not load(GONE)["changed"]
