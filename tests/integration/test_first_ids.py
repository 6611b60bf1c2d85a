"""Rows of transactions that were under way when a backup began come back after a rollback to it."""

from __future__ import annotations

import time

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import database_backup
from ansible_collections.campaign.rollback.plugins.module_utils.database_backup import back_up
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import Expected, load_beside
from ansible_collections.campaign.rollback.plugins.module_utils.database_recover import kept_schema, recover
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import Request as Swap
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import swap
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_plan import Request
from conftest import RUN_ID, SHADOW

ATTIC = "blazz__attic_1"


@pytest.fixture
def late(server, db, fill):
    """A transaction that has its id and did not commit, while another one that came later did."""
    fill()
    with server.connect() as other:
        other.run("SET autocommit = 0")
        other.run("INSERT INTO blazz.campaigns (name, note) VALUES ('late', '')")
        db.run("INSERT INTO blazz.campaigns (name, note) VALUES ('overtook it', '')")
        yield other
        other.run("ROLLBACK")


def names(db):
    return {row[0] for row in db.rows("SELECT name FROM blazz.campaigns")}


@pytest.mark.parametrize("ends", [True, False])
def test_a_transaction_under_way_is_lost_from_sight_by_no_rollback(
    server, db, late, journal, tmp_path, monkeypatch, ends
):
    wait = time.sleep

    def ended_meanwhile(seconds):
        late.run("COMMIT")
        wait(seconds)

    # It ends while it is waited for, or not before the backup is there.
    if ends:
        monkeypatch.setattr(database_backup.time, "sleep", ended_meanwhile)
    monkeypatch.setattr(database_backup, "_SETTLE_S", 30 if ends else 0)
    made = back_up(db, server.arguments, "logical", "blazz", str(tmp_path / "backup"))
    assert bool(made["starts"]) is ends
    late.run("COMMIT")
    db.run("INSERT INTO blazz.campaigns (name, note) VALUES ('later', '')")
    before = names(db)
    assert {"late", "overtook it", "later"} <= before
    load_beside(db, server.arguments, made["path"], SHADOW, Expected(), made["files"])
    swap(db, journal, Swap("blazz", SHADOW, ATTIC))
    assert ("late" in names(db)) is ends
    request = Request("blazz", ATTIC, kept_schema("blazz", RUN_ID), starts=made["starts"], tables=("campaigns",))
    done = recover(db, journal, request)
    assert names(db) == before
    assert done["tables"]["campaigns"]["brought"] == (1 if ends else 2)
