"""database_swap against a real server: under writers, blocked, killed, and back."""

from __future__ import annotations

import os
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DEADLOCK,
    Database,
    error_code,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import load_beside
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import Carry, Request, revert, swap
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

CARRY = Carry("campaign_logs", ("id",), "live.status = 'sent'", ("status", "sent_at", "only_in_v2"))
REQUEST = Request("blazz", "blazz__shadow_1", "blazz__attic_1", keep=("sessions",), carry=(CARRY,), lock_wait_s=1)
UNDO = "blazz__attic_undo_1"
SCHEMAS = ["blazz", "blazz__shadow_1", "blazz__attic_1", UNDO]
V1 = {"campaigns", "campaign_logs", "migrations"}
V2 = V1 | {"campaign_hybrid_options"}


@pytest.fixture
def staged(server, db, fill, tmp_path):
    """Version 2 is live with a table and rows of its own; version 1 waits in the shadow."""
    fill()
    dump = server.dump("blazz", tmp_path / "v1.sql.zst")
    db.run(
        "CREATE TABLE blazz.campaign_hybrid_options (id INT AUTO_INCREMENT PRIMARY KEY, campaign_id BIGINT UNSIGNED,"
        " FOREIGN KEY (campaign_id) REFERENCES blazz.campaigns (id))"
    )
    db.run("ALTER TABLE blazz.campaign_logs ADD only_in_v2 INT")
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('of v2')")
    load_beside(db, server.arguments, dump.path, "blazz__shadow_1", {}, None)


def names(db):
    return [set(tables) for tables in read_tables(db, SCHEMAS).values()]


def sent(db, schema):
    return {row[0] for row in db.rows(f"SELECT id FROM {schema}.campaign_logs WHERE status = 'sent'")}


def references(db):
    return set(
        db.rows(
            "SELECT TABLE_SCHEMA, REFERENCED_TABLE_SCHEMA FROM information_schema.KEY_COLUMN_USAGE"
            " WHERE REFERENCED_TABLE_NAME IS NOT NULL AND TABLE_SCHEMA LIKE 'blazz%'"
        )
    )


def test_the_module_swaps_once_and_reverts_once(db, staged, module):
    db.run("UPDATE blazz.campaign_logs SET status = 'sent', sent_at = '2026-11-21 17:45:00' WHERE id <= 5")
    db.run("INSERT INTO blazz.sessions VALUES ('kept', '')")
    arguments = {
        "schema": "blazz",
        "shadow": "blazz__shadow_1",
        "attic": "blazz__attic_1",
        "keep_tables": ["sessions"],
        "carry": [{"table": "campaign_logs", "when": "live.status = 'sent'", "columns": ["status", "sent_at"]}],
        "state_dir": True,
    }
    planned = module("database_swap", check=True, **arguments)
    assert names(db) == [V2 | {"sessions"}, V1 | {"sessions"}, set(), set()]
    done = module("database_swap", **arguments)
    assert planned["changed"]
    assert planned["tables"] == done["tables"] == {"to_live": sorted(V1), "from_live": sorted(V2)}
    assert planned["diff"] == done["diff"]
    assert done["carried"] == {"campaign_logs": 5}
    assert done["attempts"] == 1
    assert names(db) == [V1 | {"sessions"}, {"sessions"}, V2, set()]
    assert sent(db, "blazz") == {1, 2, 3, 4, 5}
    assert db.value("SELECT COUNT(*) FROM blazz.sessions") == 1
    # A carried row keeps the time stamps that it had when it was backed up, apart from the carried one.
    assert db.rows(
        "SELECT DISTINCT CAST(sent_at AS CHAR), CAST(touched AS CHAR) FROM blazz.campaign_logs WHERE id <= 5"
    ) == [("2026-11-21 17:45:00", "2020-01-01 00:00:00")]
    assert references(db) == {("blazz", "blazz"), ("blazz__attic_1", "blazz__attic_1")}
    again = module("database_swap", **arguments)
    assert (again["changed"], again["carried"]) == (False, {"campaign_logs": 5})

    db.run("UPDATE blazz.campaign_logs SET status = 'sent' WHERE id = 6")
    assert module("database_swap", check=True, schema="blazz", state="reverted", state_dir=True)["changed"]
    assert names(db)[2] == V2
    back = module("database_swap", schema="blazz", state="reverted", state_dir=True)
    assert (back["changed"], back["carried"]) == (True, {"campaign_logs": 1})
    assert names(db) == [V2 | {"sessions"}, {"sessions"}, set(), V1]
    assert sent(db, "blazz") == {1, 2, 3, 4, 5, 6}
    assert references(db) == {("blazz", "blazz"), (UNDO, UNDO)}
    assert not module("database_swap", schema="blazz", state="reverted", state_dir=True)["changed"]
    assert names(db) == [V2 | {"sessions"}, {"sessions"}, set(), V1]


def test_no_id_is_given_out_twice(db, staged, journal):
    highest = db.value("SELECT MAX(id) FROM blazz.campaigns")
    swap(db, journal, REQUEST)
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('after the swap')")
    after = db.value("SELECT MAX(id) FROM blazz.campaigns")
    assert after == highest + 1 + REQUEST.gap
    revert(db, journal, "blazz", 1, 1)
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('after the undo')")
    assert db.value("SELECT MAX(id) FROM blazz.campaigns") == after + 1 + REQUEST.gap


def test_writers_see_no_error_and_lose_nothing(server, db, staged, journal):
    stop = threading.Event()
    progress = [threading.Semaphore(0) for _number in range(4)]
    acknowledged, problems = [], []

    def write(number):
        count = 0
        with server.connect(lock_wait_s=30) as own:
            while not stop.is_set():
                count += 1
                token = f"w{number}-{count}"
                try:
                    own.run("START TRANSACTION")
                    own.run(f"INSERT INTO blazz.campaign_logs (campaign_id, message_id) VALUES (1, '{token}')")
                    own.run(f"UPDATE blazz.campaigns SET note = '{token}' WHERE id = {1 + count % 2}")
                    own.run("COMMIT")
                    acknowledged.append(token)
                except RollbackError as error:
                    # Writers deadlock among themselves on parent and child rows, with or without a swap.
                    if error_code(error) != DEADLOCK:
                        problems.append(error)
                progress[number].release()

    def everyone_goes_on():
        for semaphore in progress:
            while semaphore.acquire(blocking=False):
                pass
            for _step in range(10):
                semaphore.acquire()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        everyone_goes_on()
        result = swap(db, journal, REQUEST)
        everyone_goes_on()
        revert(db, journal, "blazz", 1, 5)
        everyone_goes_on()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert result["attempts"] <= REQUEST.attempts
    live = {row[0] for row in db.rows("SELECT message_id FROM blazz.campaign_logs")}
    kept = {row[0] for row in db.rows(f"SELECT message_id FROM {UNDO}.campaign_logs")}
    assert set(acknowledged) <= live | kept
    assert set(acknowledged) & live
    assert set(acknowledged) & kept
    reused = f"FROM blazz.campaign_logs a JOIN {UNDO}.campaign_logs b USING (id) WHERE a.message_id <> b.message_id"
    assert db.value(f"SELECT COUNT(*) {reused}") == 0


def test_a_blocked_swap_names_the_transaction_and_leaves_all_as_it_was(server, db, staged, journal):
    before = names(db)
    with server.connect() as other:
        identity = other.value("SELECT CONNECTION_ID()")
        other.run("START TRANSACTION")
        other.run("UPDATE blazz.campaigns SET name = 'a secret'")
        with pytest.raises(RollbackError, match=f"nothing was swapped.*connection {identity}, user ") as caught:
            swap(
                db,
                journal,
                Request("blazz", "blazz__shadow_1", "blazz__attic_1", keep=("sessions",), lock_wait_s=1, attempts=2),
            )
        assert "secret" not in str(caught.value)
        assert names(db) == before
        assert journal.to_undo("database") == []
        assert not revert(db, journal, "blazz", 1, 1)["changed"]
        other.run("ROLLBACK")
    assert swap(db, journal, REQUEST)["changed"]


def test_a_short_block_is_waited_out(server, db, staged, journal):
    bounds = []

    def look(_sql):
        bounds.append(own.rows("SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout")[0])

    with server.connect() as other, Interrupted(server, look, lambda _sql: None) as own:
        other.run("START TRANSACTION")
        other.rows("SELECT * FROM blazz.campaigns")
        own.refused = lambda: other.run("COMMIT")
        assert swap(own, journal, REQUEST)["attempts"] == 2
    assert bounds == [(1, 1), (1, 1)]


class Interrupted(Database):
    """Calls ``before`` and ``after`` around the rename, ``refused`` when it was refused."""

    def __init__(self, server, before, after):
        self.before, self.after, self.refused = before, after, lambda: None
        super().__init__(socket=server.socket)

    def run(self, sql):
        if not sql.startswith("RENAME"):
            return super().run(sql)
        self.before(sql)
        try:
            found = super().run(sql)
        except RollbackError:
            self.refused()
            raise
        self.after(sql)
        return found


def killed(server, moment, act):
    """Run ``act`` in a process that dies without a word right before or after its rename."""
    process = os.fork()
    if not process:
        try:
            hooks = [lambda _sql: None, lambda _sql: None]
            hooks[moment == "after"] = lambda _sql: os._exit(9)
            with Interrupted(server, *hooks) as own:
                act(own)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("then", ["revert", "resume"])
def test_a_swap_killed_at_the_rename(server, db, staged, journal, moment, then):
    original = names(db)
    killed(server, moment, lambda own: swap(own, journal, REQUEST))
    assert [step.state for step in journal.steps()] == ["begin"]
    if then == "resume":
        assert swap(db, journal, REQUEST)["changed"] is (moment == "before")
        assert names(db) == [V1 | {"sessions"}, {"sessions"}, V2, set()]
        assert [step.state for step in journal.to_undo("database")] == ["done"]
    assert revert(db, journal, "blazz", 1, 1)["changed"] is (moment == "after" or then == "resume")
    assert names(db)[0] == original[0]
    assert journal.to_undo("database") == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_revert_killed_at_the_rename(server, db, staged, journal, moment):
    swap(db, journal, REQUEST)
    killed(server, moment, lambda own: revert(own, journal, "blazz", 1, 1))
    assert revert(db, journal, "blazz", 1, 1)["changed"] is (moment == "before")
    assert names(db) == [V2 | {"sessions"}, {"sessions"}, set(), V1]
    assert journal.to_undo("database") == []


def test_attic_tables_that_vanished_are_no_successful_undo(db, staged, journal):
    swap(db, journal, REQUEST)
    db.run("SET SESSION foreign_key_checks=0")
    db.run("DROP DATABASE blazz__attic_1")
    with pytest.raises(RollbackError, match="neither where it put them"):
        revert(db, journal, "blazz", 1, 1)
    assert len(journal.to_undo("database")) == 1


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            "CREATE TRIGGER blazz.t BEFORE INSERT ON blazz.campaigns FOR EACH ROW SET NEW.name = 'x'",
            "triggers in blazz: t",
        ),
        ("CREATE VIEW blazz.v AS SELECT 1", "views in blazz: v"),
        ("CREATE PROCEDURE blazz__shadow_1.p() SELECT 1", "routines in blazz__shadow_1: p"),
        ("CREATE EVENT blazz.e ON SCHEDULE EVERY 1 DAY DO SELECT 1", "events in blazz: e"),
        ("CREATE SEQUENCE blazz.s", "sequences in blazz: s"),
        (
            "ALTER TABLE blazz.sessions ADD c BIGINT UNSIGNED,"
            " ADD CONSTRAINT fk FOREIGN KEY (c) REFERENCES blazz.campaigns (id)",
            "fk ",
        ),
        (
            "CREATE TABLE other.x (c BIGINT UNSIGNED, CONSTRAINT fk FOREIGN KEY (c) REFERENCES blazz.campaigns (id))",
            "fk ",
        ),
        ("CREATE TABLE blazz__attic_1.campaigns (id INT)", "is not empty"),
        (f"CREATE TABLE {UNDO}.campaigns (id INT)", "is not empty"),
        (
            "DROP TABLE blazz__shadow_1.campaign_logs, blazz__shadow_1.campaigns, blazz__shadow_1.migrations",
            "no table to bring in",
        ),
        ("ALTER TABLE blazz__shadow_1.campaign_logs CHANGE id uid BIGINT UNSIGNED AUTO_INCREMENT", "key column"),
    ],
)
def test_what_cannot_be_swapped_is_refused_with_nothing_touched(db, staged, journal, statement, reason):
    for schema in ("other", "blazz__attic_1", UNDO):
        db.run(f"CREATE DATABASE {schema}")
    db.run(statement)
    before = names(db)
    for check in (True, False):
        with pytest.raises(RollbackError, match=reason):
            swap(db, journal, REQUEST, check)
    assert names(db) == before
    assert journal.steps() == []


def test_a_carry_condition_that_is_not_understood_is_refused(db, staged, journal):
    request = Request(
        "blazz", "blazz__shadow_1", "blazz__attic_1", carry=(Carry("campaign_logs", ("id",), "live.nonsense = 1"),)
    )
    with pytest.raises(RollbackError, match="1054"):
        swap(db, journal, request)
    assert journal.steps() == []
