"""database_swap against a real server: under writers, blocked, killed, and back."""

from __future__ import annotations

import dataclasses
import os
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DEADLOCK,
    Database,
    error_code,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import Carry
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import Expected, load_beside
from ansible_collections.campaign.rollback.plugins.module_utils.database_prepare import Request
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import revert, swap
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.fences import announce
from conftest import RUN_ID

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
    load_beside(db, server.arguments, dump, "blazz__shadow_1", Expected(), None)


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
    assert (planned["in_force"], done["in_force"], again["in_force"]) == (False, True, True)

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
    revert(db, journal, journal, "blazz", 1, 1)
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
        # Writers that nothing holds back may give out more ids than the usual gap before the rename gets through.
        result = swap(db, journal, dataclasses.replace(REQUEST, gap=1_000_000))
        everyone_goes_on()
        revert(db, journal, journal, "blazz", 1, 5)
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
        assert not revert(db, journal, journal, "blazz", 1, 1)["changed"]
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
    assert revert(db, journal, journal, "blazz", 1, 1)["changed"] is (moment == "after" or then == "resume")
    assert names(db)[0] == original[0]
    assert journal.to_undo("database") == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_revert_killed_at_the_rename(server, db, staged, journal, moment):
    swap(db, journal, REQUEST)
    killed(server, moment, lambda own: revert(own, journal, journal, "blazz", 1, 1))
    assert revert(db, journal, journal, "blazz", 1, 1)["changed"] is (moment == "before")
    assert names(db) == [V2 | {"sessions"}, {"sessions"}, set(), V1]
    assert journal.to_undo("database") == []


def test_attic_tables_that_vanished_are_no_successful_undo(db, staged, journal):
    swap(db, journal, REQUEST)
    db.run("SET SESSION foreign_key_checks=0")
    db.run("DROP DATABASE blazz__attic_1")
    with pytest.raises(RollbackError, match="neither where it put them"):
        revert(db, journal, journal, "blazz", 1, 1)
    assert len(journal.to_undo("database")) == 1


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE TABLE blazz__attic_1.campaigns (id INT)", "is not empty"),
        ("CREATE VIEW blazz__attic_1.campaigns AS SELECT 1", "is not empty"),
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


def ids(db, schema, table):
    return [row[0] for row in db.rows(f"SELECT id FROM {schema}.{table} ORDER BY id")]


def test_an_undo_is_a_run_of_its_own_and_can_be_undone_again_and_again(db, staged, journal, other_run):
    swap(db, journal, REQUEST)
    forward = names(db)
    undone = [V2 | {"sessions"}, {"sessions"}, set(), V1]
    previous = journal
    for second in range(4):
        acting = other_run(second)
        assert revert(db, previous, acting, "blazz", 1, 1)["changed"]
        assert names(db) == (forward if second % 2 else undone)
        assert [step.state for step in previous.steps()] == ["undone"]
        assert [step.state for step in acting.steps()] == ["done"]
        if second == 1:
            # The rollback is in force again once its undo was undone, so that an undo finds it.
            assert [step.state for step in journal.steps()] == ["done"]
        assert not revert(db, previous, acting, "blazz", 1, 1)["changed"]
        db.run("INSERT INTO blazz.campaigns (name) VALUES ('later')")
        previous = acting
    assert db.value("SELECT COUNT(*) FROM blazz.campaigns WHERE name = 'later'") == 4


def test_the_run_itself_may_swap_again_after_its_undo(server, db, staged, journal, tmp_path):
    for _time in range(3):
        assert swap(db, journal, REQUEST)["changed"]
        assert revert(db, journal, journal, "blazz", 1, 1)["changed"]
        load_beside(db, server.arguments, str(tmp_path / "v1.sql.zst"), "blazz__shadow_1", Expected(), None)
    assert names(db)[0] == V2 | {"sessions"}
    assert set(read_tables(db, [f"{UNDO}_3"])[f"{UNDO}_3"]) == V1


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("then", ["repeat", "undo"])
@pytest.mark.parametrize("level", ["undo", "undo of the undo"])
def test_an_undo_killed_at_the_rename(server, db, staged, journal, other_run, moment, then, level):
    swap(db, journal, REQUEST)
    subject = journal
    if level == "undo of the undo":
        subject = other_run(1)
        revert(db, journal, subject, "blazz", 1, 1)
    before, acting = names(db), other_run(2)
    row = "INSERT INTO blazz.campaigns (name) VALUES ('written since')"
    db.run(row)
    written = db.value("SELECT LAST_INSERT_ID()")
    killed(server, moment, lambda own: revert(own, subject, acting, "blazz", 1, 1))
    assert [step.state for step in acting.steps()] == ["begin"]
    if then == "repeat":
        assert revert(db, subject, acting, "blazz", 1, 1)["changed"] is (moment == "before")
        assert names(db)[0] != before[0]
        assert (subject.to_undo("database"), len(acting.to_undo("database"))) == ([], 1)
        assert acting.steps()[0].state == "done"
    assert ids(db, "blazz", "campaigns").count(written) == 1
    last = other_run(3)
    revert(db, acting, last, "blazz", 1, 1)
    assert names(db)[0] == before[0]
    assert acting.to_undo("database") == []
    assert len(subject.to_undo("database")) == 1
    assert subject.steps()[0].state == "done"
    # Nothing was put back that could be undone, if the killed one had not come to its rename.
    assert len(last.to_undo("database")) == (0 if (then, moment) == ("undo", "before") else 1)
    assert ids(db, "blazz", "campaigns").count(written) == 1


@pytest.fixture
def related(db, staged):
    """Tables of both versions whose rows refer to each other and to themselves."""
    for schema in ("blazz", "blazz__shadow_1"):
        db.run(
            f"CREATE TABLE {schema}.a_children (id INT AUTO_INCREMENT PRIMARY KEY, parent INT, peer INT NOT NULL,"
            f" FOREIGN KEY (parent) REFERENCES {schema}.a_children (id))"
        )
        db.run(f"CREATE TABLE {schema}.z_peers (id INT AUTO_INCREMENT PRIMARY KEY, child INT NULL, code INT UNIQUE)")
        db.run(f"ALTER TABLE {schema}.a_children ADD FOREIGN KEY (peer) REFERENCES {schema}.z_peers (id)")
        db.run(f"ALTER TABLE {schema}.z_peers ADD FOREIGN KEY (child) REFERENCES {schema}.a_children (id)")
    db.run("INSERT INTO blazz.z_peers (code) VALUES (7)")
    db.run("ALTER TABLE blazz.campaigns ADD strict INT CHECK (strict > 0), ADD added VARCHAR(9) DEFAULT 'new'")
    db.run("ALTER TABLE blazz__shadow_1.campaigns ADD strict INT")


def test_an_undo_keeps_the_rows_written_since_the_swap(db, related, journal):
    swap(db, journal, REQUEST)
    attic = {
        table: ids(db, "blazz__attic_1", table) for table in ("campaigns", "campaign_logs", "a_children", "z_peers")
    }
    db.run("INSERT INTO blazz.campaigns (name, strict) VALUES ('good', 1), ('bad', 0)")
    first = db.value("SELECT LAST_INSERT_ID()")
    logs = f"(1, 'n1'), ({first}, 'n2'), ({first + 1}, 'n3')"
    db.run(f"INSERT INTO blazz.campaign_logs (campaign_id, message_id) VALUES {logs}")
    # Rows in a ring between two tables, one that refers to a later one of its own table, and a code that was taken.
    db.run("INSERT INTO blazz.z_peers (code) VALUES (1), (7), (2)")
    peer = db.value("SELECT LAST_INSERT_ID()")
    db.run(f"INSERT INTO blazz.a_children (peer) VALUES ({peer}), ({peer + 2}), ({peer + 1})")
    child = db.value("SELECT LAST_INSERT_ID()")
    db.run(f"UPDATE blazz.a_children SET parent = {child + 1} WHERE id = {child}")
    db.run(f"UPDATE blazz.z_peers SET child = {child} WHERE id = {peer + 2}")
    # An old row that was deleted before the restore point stays deleted: only ids given out since count.
    db.run("SET SESSION foreign_key_checks=0")
    db.run("DELETE FROM blazz__attic_1.campaigns WHERE id = 2")
    db.run("SET SESSION foreign_key_checks=1")
    attic["campaigns"].remove(2)
    before = names(db)
    assert revert(db, journal, journal, "blazz", 1, 1, check=True)["changed"]
    assert names(db) == before
    result = revert(db, journal, journal, "blazz", 1, 1)
    # A ring between tables needs one row to go in first, which the server refuses: kept, not forced.
    assert result["merged"] == {"campaigns": 1, "campaign_logs": 2, "z_peers": 1}
    assert result["conflicts"] == {"campaigns": 1, "campaign_logs": 1, "z_peers": 2, "a_children": 3}
    assert ids(db, "blazz", "campaigns") == attic["campaigns"] + [first]
    assert db.rows(f"SELECT name, shout, added FROM blazz.campaigns WHERE id = {first}") == [("good", "GOOD", "new")]
    assert ids(db, UNDO, "campaigns")[-2:] == [first, first + 1]
    assert ids(db, UNDO, "a_children") == [child, child + 1, child + 2]
    orphans = "FROM blazz.{0} c LEFT JOIN blazz.{1} p ON p.id = c.{2} WHERE c.{2} IS NOT NULL AND p.id IS NULL"
    for place in (("a_children", "z_peers", "peer"), ("z_peers", "a_children", "child")):
        assert db.value("SELECT COUNT(*) " + orphans.format(*place)) == 0


def test_rows_are_merged_once_however_often_the_undo_begins(server, db, staged, journal):
    swap(db, journal, REQUEST)
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('new')")
    new = db.value("SELECT LAST_INSERT_ID()")
    db.run(f"INSERT INTO blazz.campaign_logs (campaign_id, message_id) VALUES ({new}, 'n1'), ({new}, 'x')")
    db.run("UPDATE blazz__attic_1.campaign_logs SET message_id = 'x' WHERE id = 1")
    killed(server, "before", lambda own: revert(own, journal, journal, "blazz", 1, 1))
    merged = ids(db, "blazz__attic_1", "campaign_logs")
    result = revert(db, journal, journal, "blazz", 1, 1)
    assert (result["merged"], result["conflicts"]) == ({}, {"campaign_logs": 1})
    assert ids(db, "blazz", "campaign_logs") == merged
    assert merged[-1] > 1000
    assert ids(db, "blazz", "campaigns")[-1] == new
    assert db.value(f"SELECT COUNT(*) FROM {UNDO}.campaign_logs WHERE message_id = 'x'") == 1


def test_rows_refused_one_by_one_do_not_hide_a_lost_server(server, db, staged, journal):
    swap(db, journal, REQUEST)
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('new')")

    class Broken(Database):
        def run(self, sql):
            if sql.startswith("INSERT"):
                self.rows("SELECT 1 FROM blazz.nothing")
            return super().run(sql)

    before = names(db)
    with Broken(socket=server.socket) as own, pytest.raises(RollbackError, match="1146"):
        revert(own, journal, journal, "blazz", 1, 1)
    assert names(db) == before
    assert len(journal.to_undo("database")) == 1


def test_check_mode_plans_a_swap_before_the_shadow_is_loaded(db, staged, module):
    arguments = {"schema": "blazz", "shadow": "blazz__shadow_1", "attic": "blazz__attic_1", "keep_tables": ["sessions"]}
    arguments.update(
        incoming_tables=sorted(V1 | {"sessions"}),
        carry=[{"table": "campaign_logs", "when": "live.status = 'sent'", "columns": ["status"]}],
        state_dir=True,
    )
    real = module("database_swap", check=True, **arguments)
    # A part of it, as a killed load leaves it behind, is no shadow either.
    db.run("DROP TABLE blazz__shadow_1.campaign_logs, blazz__shadow_1.campaigns")
    partial = module("database_swap", check=True, **arguments)
    db.run("DROP DATABASE blazz__shadow_1")
    planned = module("database_swap", check=True, **arguments)
    assert planned["changed"]
    assert (planned["diff"], planned["tables"]) == (real["diff"], real["tables"])
    assert (partial["diff"], partial["tables"]) == (real["diff"], real["tables"])
    assert read_tables(db, SCHEMAS)["blazz__shadow_1"] == {}
    assert "does not exist" in module("database_swap", **arguments)["msg"]
    assert (
        "1054"
        in module("database_swap", check=True, **dict(arguments, carry=[{"table": "campaigns", "when": "live.x"}]))[
            "msg"
        ]
    )
    # What is known already stands against it already.
    db.run("CREATE TABLE blazz.newer (id BIGINT UNSIGNED PRIMARY KEY)")
    db.run("ALTER TABLE blazz.sessions ADD c BIGINT UNSIGNED, ADD FOREIGN KEY (c) REFERENCES blazz.newer (id)")
    assert "there will be no table newer" in module("database_swap", check=True, **arguments)["msg"]


def test_a_run_that_lost_its_lease_swaps_nothing(db, staged, module, tmp_path):
    announce(str(tmp_path / "state"), 7, 1)
    arguments = {"schema": "blazz", "shadow": "blazz__shadow_1", "attic": "blazz__attic_1", "keep_tables": ["sessions"]}
    before = names(db)
    assert "took the lease over" in module("database_swap", state_dir=True, fencing=6, **arguments)["msg"]
    assert names(db) == before
    assert module("database_swap", state_dir=True, fencing=7, **arguments)["changed"]
    after = names(db)
    back = {"schema": "blazz", "state": "reverted", "state_dir": True, "reverts": RUN_ID, "run_id": "20261121T180000Z"}
    assert "took the lease over" in module("database_swap", fencing=6, **back)["msg"]
    assert names(db) == after
    assert module("database_swap", fencing=7, **back)["changed"]
    assert names(db)[0] == before[0]


def test_whoever_takes_the_lease_over_waits_for_a_module_left_running(server, db, staged, module, tmp_path):
    """The module waits for a transaction; its run is dead, and the next one announces itself."""
    arguments = {"schema": "blazz", "shadow": "blazz__shadow_1", "attic": "blazz__attic_1", "keep_tables": ["sessions"]}
    result = []
    with server.connect() as blocking:
        blocking.run("START TRANSACTION")
        blocking.rows("SELECT * FROM blazz.campaigns")
        orphan = threading.Thread(
            target=lambda: result.append(
                module("database_swap", state_dir=True, fencing=1, lock_wait_s=60, **arguments)
            )
        )
        orphan.start()
        while not db.value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'RENAME%'"):
            assert orphan.is_alive(), result
        with pytest.raises(RollbackError, match="still under way"):
            announce(str(tmp_path / "state"), 2, 0)
        blocking.run("COMMIT")
        orphan.join()
    assert result[0]["changed"]
    assert announce(str(tmp_path / "state"), 2, 0)
