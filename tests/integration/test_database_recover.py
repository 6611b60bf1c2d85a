"""database_recover against a real server: what comes back, what is refused and told, killed anywhere, and undone."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import Database, existing_schemas, read_tables
from ansible_collections.campaign.rollback.plugins.module_utils.database_compare import Request as Question
from ansible_collections.campaign.rollback.plugins.module_utils.database_compare import compare
from ansible_collections.campaign.rollback.plugins.module_utils.database_recover import kept_schema, recover, revert
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import Request as Swap
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import revert as swap_back
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import swap
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_plan import Request
from ansible_collections.campaign.rollback.plugins.module_utils.table_policies import Policies
from conftest import RUN_ID

ATTIC = "blazz__attic_1"
KEPT = kept_schema("blazz", RUN_ID)
STARTS = {"campaigns": 3, "campaign_logs": 41, "jobs": 1}
REQUEST = Request("blazz", ATTIC, KEPT, starts=STARTS)

NEW = "00000000-0000-4000-8000-000000000002"

MORE = """
CREATE TABLE {0}.contact_group (group_id INT, contact_id INT, PRIMARY KEY (group_id, contact_id));
CREATE TABLE {0}.notifications (id CHAR(36) PRIMARY KEY, payload VARCHAR(20) NOT NULL);
CREATE TABLE {0}.jobs (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, payload VARCHAR(200) NOT NULL);
CREATE TABLE {0}.keyless (word VARCHAR(20));
INSERT INTO {0}.contact_group VALUES (1, 1), (1, 2);
INSERT INTO {0}.notifications VALUES ('00000000-0000-4000-8000-000000000001', 'old')
"""


@pytest.fixture
def fallen(db, fill):
    """After a rollback: the restored rows are live, with a gap in their ids; the attic has a column more."""
    for schema in ("blazz", ATTIC):
        fill(schema)
        for statement in MORE.format(schema).split(";\n"):
            db.run(statement)
    db.run(f"ALTER TABLE {ATTIC}.campaigns ADD campaign_type VARCHAR(20) NOT NULL DEFAULT 'standard'")
    for table in ("campaigns", "campaign_logs", "jobs"):
        db.run(f"ALTER TABLE blazz.{table} AUTO_INCREMENT = 1000")


@pytest.fixture
def later(db, fallen):
    """Rows that were written after the restore point."""
    db.run(f"INSERT INTO {ATTIC}.campaigns (id, name, campaign_type) VALUES (3, 'n3', 'standard'), (4, 'n4', 'hybrid')")
    logs = ", ".join(f"({100 + n}, {3 + n % 2}, 'later{n}', 'sent', '2026-11-21 18:00:00')" for n in range(20))
    db.run(f"INSERT INTO {ATTIC}.campaign_logs (id, campaign_id, message_id, status, sent_at) VALUES {logs}")
    db.run(f"INSERT INTO {ATTIC}.jobs (id, payload) VALUES (7, 'send')")
    db.run(f"INSERT INTO {ATTIC}.contact_group VALUES (1, 3), (2, 1)")
    db.run(f"INSERT INTO {ATTIC}.notifications VALUES ('{NEW}', 'new')")
    db.run(f"INSERT INTO {ATTIC}.sessions VALUES ('s', 'x')")
    db.run(f"INSERT INTO {ATTIC}.migrations (migration, batch) VALUES ('2026_of_v2', 2)")
    db.run(f"INSERT INTO {ATTIC}.keyless VALUES ('w')")


def content(db, *schemas):
    """Every row of the schemas."""
    return {
        (schema, table): sorted(map(repr, db.rows(f"SELECT * FROM {schema}.{table}")))
        for schema in schemas
        for table in read_tables(db, [schema])[schema]
    }


def ids(db, table, schema="blazz"):
    return {row[0] for row in db.rows(f"SELECT id FROM {schema}.{table}")}


def wanted(result):
    return {name: entry["wanted"] for name, entry in result["tables"].items() if entry["wanted"]}


def brought(result):
    return {name: entry["brought"] for name, entry in result["tables"].items() if entry["brought"]}


ALL = {"campaigns": 2, "campaign_logs": 20, "jobs": 1, "contact_group": 2, "notifications": 1}


def test_later_rows_come_back_whole_and_once(db, later, journal):
    before = content(db, "blazz", ATTIC)
    planned = recover(db, journal, REQUEST, check=True)
    assert content(db, "blazz", ATTIC) == before
    assert not existing_schemas(db, [KEPT])
    assert journal.steps() == []
    done = recover(db, journal, REQUEST)
    assert (
        brought(done) == {name: entry["wanted"] for name, entry in planned["tables"].items() if entry["wanted"]} == ALL
    )
    assert planned["diff"] == done["diff"]
    assert (planned["changed"], done["changed"], done["complete"], done["conflicts"]) == (True, True, True, [])
    # One of them was special in the newer release.
    assert planned["tables"]["campaigns"]["reduced"] == done["tables"]["campaigns"]["reduced"] == 1
    # A message that was sent arrives as sent, with every column and stamp.
    for columns, table in (("id, name, note, raw, shout", "campaigns"), ("*", "campaign_logs"), ("*", "notifications")):
        sides = [db.rows(f"SELECT {columns} FROM {schema}.{table} ORDER BY id") for schema in ("blazz", ATTIC)]
        assert sides[0] == sides[1]
    assert content(db, ATTIC) == {key: rows for key, rows in before.items() if key[0] == ATTIC}
    told = {name: entry["note"] for name, entry in done["tables"].items() if entry["note"]}
    assert sorted(told) == ["keyless", "migrations", "sessions"]
    assert "no columns identify a row" in told["keyless"]
    assert {name for name, entry in done["tables"].items() if entry["undated"]} == {"contact_group", "notifications"}
    after = content(db, "blazz", KEPT)
    again = recover(db, journal, REQUEST)
    assert (again["changed"], brought(again)) == (False, ALL)
    assert content(db, "blazz", KEPT) == after
    assert [(step.name, step.state) for step in journal.steps()] == [("recover", "done")]


def test_queued_jobs_come_after_all_rows_that_they_work_on(server, db, later, journal):
    order = []

    class Watched(Database):
        def run(self, sql):
            if sql.startswith("INSERT INTO `blazz`."):
                order.append(sql.split("`")[3])
            return super().run(sql)

    with Watched(socket=server.socket) as own:
        recover(own, journal, REQUEST)
    assert order[-1] == "jobs"
    assert order.index("campaigns") < order.index("campaign_logs")


def test_what_somebody_deleted_since_stays_deleted_until_it_is_named(db, later, journal, other_run):
    # This one was deleted before any recovery; its key says that it is no later row.
    db.run("DELETE FROM blazz.campaign_logs WHERE id = 5")
    recover(db, journal, REQUEST)
    for row in (
        "campaign_logs WHERE id = 101",
        "contact_group WHERE contact_id = 3",
        "contact_group WHERE contact_id = 2",
    ):
        db.run(f"DELETE FROM blazz.{row}")
    assert not recover(db, journal, REQUEST)["changed"]
    second = dataclasses.replace(REQUEST, kept=kept_schema("blazz", "2"))
    assert brought(recover(db, other_run(1), second)) == {}
    assert not {5, 101} & ids(db, "campaign_logs")
    chosen = {"campaign_logs": [5, "101"], "contact_group": [[1, 3]]}
    third = dataclasses.replace(REQUEST, kept=kept_schema("blazz", "3"), ids=chosen)
    assert brought(recover(db, other_run(2), third)) == {"campaign_logs": 2, "contact_group": 1}
    assert {5, 101} <= ids(db, "campaign_logs")
    assert (1, 2) not in db.rows("SELECT * FROM blazz.contact_group")


def test_refused_rows_are_told_in_words_and_tried_again(db, later, journal, other_run):
    secret = "canary-7f3a"
    db.run(f"UPDATE {ATTIC}.campaign_logs SET message_id = '{secret}' WHERE id = 104")
    db.run(f"UPDATE blazz.campaign_logs SET message_id = '{secret}' WHERE id = 1")
    # MySQL also wants room for what it computes of the name.
    wider = "MODIFY name VARCHAR(300) NOT NULL, MODIFY shout VARCHAR(300) AS (UPPER(name)) VIRTUAL"
    db.run(f"ALTER TABLE {ATTIC}.campaigns {wider}")
    db.run(f"UPDATE {ATTIC}.campaigns SET name = REPEAT('{secret}', 20) WHERE id = 4")
    planned = recover(db, journal, REQUEST, check=True)
    done = recover(db, journal, REQUEST)
    # That its parent would not fit cannot be known beforehand.
    assert planned["tables"]["campaign_logs"]["conflicts"] == 1
    reasons = {(told["table"], told["id"]): told["reason"] for told in done["conflicts"]}
    assert reasons.pop(("campaigns", 4)) == "a value does not fit into its column: name"
    assert reasons.pop(("campaign_logs", 104)) == "another row has the same value in message_id"
    orphans = {("campaign_logs", 100 + n) for n in range(1, 20, 2)}
    assert reasons == dict.fromkeys(orphans, "the row that it refers to in campaigns is missing")
    numbers = done["tables"]["campaign_logs"]
    assert (numbers["brought"], numbers["conflicts"], numbers["wanted"]) == (9, 11, 0)
    assert done["complete"]
    assert secret not in json.dumps(done) + json.dumps([dataclasses.asdict(step) for step in journal.steps()])
    assert not recover(db, journal, REQUEST)["changed"]
    # Somebody makes room; another run knows what was refused.
    db.run(f"ALTER TABLE blazz.campaigns {wider}")
    db.run("UPDATE blazz.campaign_logs SET message_id = 'free' WHERE id = 1")
    second = dataclasses.replace(REQUEST, kept=kept_schema("blazz", "2"))
    again = recover(db, other_run(1), second)
    assert (brought(again), again["conflicts"]) == ({"campaigns": 1, "campaign_logs": 11}, [])
    assert ids(db, "campaign_logs") == ids(db, "campaign_logs", ATTIC)


def test_a_row_that_users_wrote_again_meanwhile(db, later, journal, other_run):
    db.run("INSERT INTO blazz.contact_group VALUES (1, 3)")
    db.run(f"INSERT INTO blazz.notifications VALUES ('{NEW}', 'other')")
    done = recover(db, journal, REQUEST)
    assert brought(done)["contact_group"] == 1
    # Told as changed by the comparison, and never overwritten.
    assert db.value("SELECT payload FROM blazz.notifications WHERE id LIKE '%2'") == "other"
    found = compare(db, Question("blazz", ATTIC, tables=("notifications",)))["tables"]["notifications"]
    assert found["ids"]["changed"] == [NEW]


def test_a_row_that_appears_between_plan_and_insert(server, db, later, journal):
    """Equal ones are no conflict; others are, and stay."""

    class Racing(Database):
        def run(self, sql):
            if sql.startswith("INSERT INTO `blazz`.`contact_group`"):
                db.run("INSERT IGNORE INTO blazz.contact_group VALUES (1, 3)")
            if sql.startswith("INSERT INTO `blazz`.`notifications`"):
                db.run(
                    "INSERT IGNORE INTO blazz.notifications VALUES ('00000000-0000-4000-8000-000000000002', 'other')"
                )
            return super().run(sql)

    with Racing(socket=server.socket) as own:
        done = recover(own, journal, REQUEST)
    assert (done["tables"]["contact_group"]["brought"], done["tables"]["contact_group"]["present"]) == (1, 1)
    assert done["conflicts"] == [
        {
            "table": "notifications",
            "id": NEW,
            "reason": "another row has the same key",
        }
    ]


def test_named_rows_bring_along_what_was_deleted_with_them(db, later, journal):
    db.run("DELETE FROM blazz.campaigns WHERE id = 2")
    db.run("DELETE FROM blazz.campaign_logs WHERE id = 2")
    lost = {row[0] for row in db.rows(f"SELECT id FROM {ATTIC}.campaign_logs WHERE campaign_id = 2")}
    request = dataclasses.replace(REQUEST, ids={"campaigns": [2, 99]})
    planned = recover(db, journal, request, check=True)
    done = recover(db, journal, request)
    assert wanted(planned) == brought(done) == {"campaigns": 1, "campaign_logs": len(lost)}
    assert [(told["id"], told["reason"]) for told in done["conflicts"]] == [(99, f"it is not in {ATTIC}")]
    assert planned["tables"]["campaigns"]["conflicts"] == 1
    # A log of another campaign, and later rows, were not named.
    assert ids(db, "campaign_logs") == set(range(1, 41)) - {2} | lost
    assert not recover(db, journal, request)["changed"]


def test_changed_rows_are_overwritten_only_when_asked_and_put_back(db, later, journal):
    db.run("UPDATE blazz.campaigns SET name = 'mine', note = 'canary-7f3a', raw = X'00FF' WHERE id = 1")
    db.run(f"UPDATE {ATTIC}.campaigns SET name = 'theirs' WHERE id = 1")
    before = content(db, "blazz")
    asked = dataclasses.replace(REQUEST, ids={"campaigns": [1, 2]})
    done = recover(db, journal, asked)
    assert [(told["id"], told["reason"]) for told in done["conflicts"]] == [(1, "it is there, with another content")]
    assert content(db, "blazz") == before
    done = recover(db, journal, dataclasses.replace(asked, changed=True))
    assert (done["tables"]["campaigns"]["overwritten"], done["conflicts"]) == (1, [])
    assert db.rows("SELECT name, note, shout FROM blazz.campaigns WHERE id = 1") == [("theirs", None, "THEIRS")]
    assert db.rows(f"SELECT name, note, raw FROM {KEPT}.campaigns") == [("mine", "canary-7f3a", b"\x00\xff")]
    assert "canary-7f3a" not in json.dumps([dataclasses.asdict(step) for step in journal.steps()])
    assert revert(db, journal, journal, "blazz")["tables"] == {"campaigns": {"rows": 1}}
    assert content(db, "blazz") == before


def test_an_overwritten_row_keeps_its_stamps(db, later, journal):
    db.run(f"UPDATE {ATTIC}.campaign_logs SET status = 'sent', touched = '2026-01-02 03:04:05' WHERE id = 1")
    recover(db, journal, dataclasses.replace(REQUEST, ids={"campaign_logs": [1]}, changed=True))
    assert db.value("SELECT CAST(touched AS CHAR) FROM blazz.campaign_logs WHERE id = 1") == "2026-01-02 03:04:05"
    revert(db, journal, journal, "blazz")
    assert db.value("SELECT CAST(touched AS CHAR) FROM blazz.campaign_logs WHERE id = 1") == "2020-01-01 00:00:00"


def test_an_undo_takes_out_exactly_what_was_brought_and_can_be_undone(db, later, journal, other_run):
    before = content(db, "blazz")
    recover(db, journal, REQUEST)
    after = content(db, "blazz")
    first, second = other_run(1), other_run(2)
    assert revert(db, journal, first, "blazz", check=True)["changed"]
    assert content(db, "blazz") == after
    undone = revert(db, journal, first, "blazz")
    assert {name: entry["rows"] for name, entry in undone["tables"].items() if entry["rows"]} == ALL
    assert content(db, "blazz") == before
    assert not revert(db, journal, first, "blazz")["changed"]
    assert revert(db, first, second, "blazz")["changed"]
    assert content(db, "blazz") == after
    assert [step.state for step in journal.to_undo("database")] == ["done"]
    revert(db, second, other_run(3), "blazz")
    assert content(db, "blazz") == before
    # And from the beginning.
    assert brought(recover(db, other_run(4), dataclasses.replace(REQUEST, kept=kept_schema("blazz", "4")))) == ALL


def test_an_undo_leaves_what_was_changed_or_is_referred_to_and_tells(db, later, journal, other_run):
    recover(db, journal, REQUEST)
    db.run("UPDATE blazz.campaign_logs SET status = 'failed' WHERE id = 104")
    db.run("INSERT INTO blazz.campaign_logs (campaign_id, message_id) VALUES (4, 'since')")
    db.run("DELETE FROM blazz.contact_group WHERE contact_id = 3")
    undone = revert(db, journal, other_run(1), "blazz")
    assert sorted((told["table"], told["id"], told["reason"]) for told in undone["conflicts"]) == [
        ("campaign_logs", 104, "it was changed since it was recovered"),
        ("campaigns", 3, "other rows refer to it"),
        ("campaigns", 4, "other rows refer to it"),
    ]
    assert ids(db, "campaigns") == {1, 2, 3, 4}
    # Deleting the campaign would have taken the row along that users wrote since.
    assert db.value("SELECT COUNT(*) FROM blazz.campaign_logs WHERE message_id = 'since'") == 1
    assert ids(db, "campaign_logs") & set(range(100, 120)) == {104}


def test_after_the_rollback_was_undone_nothing_is_taken_out(db, fill, journal, other_run):
    """The tables that are live then had these rows first: they are no copies."""
    fill("blazz")
    fill("blazz__shadow_1")
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('later')")
    swap(db, journal, Swap("blazz", "blazz__shadow_1", ATTIC, keep=("sessions",), lock_wait_s=1))
    request = dataclasses.replace(REQUEST, starts={"campaigns": 3})
    assert brought(recover(db, journal, request)) == {"campaigns": 1}
    undo = other_run(1)
    swap_back(db, journal, undo, "blazz", 1, 1)
    before = content(db, "blazz")
    assert db.value("SELECT COUNT(*) FROM blazz.campaigns WHERE name = 'later'") == 1
    assert not revert(db, journal, undo, "blazz")["changed"]
    assert content(db, "blazz") == before
    assert journal.to_undo("database") == []
    # Undone in its turn, the rollback is in force again, with what was brought, and what users wrote in between.
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('between')")
    swap_back(db, undo, other_run(2), "blazz", 1, 1)
    revert(db, undo, other_run(2), "blazz")
    names = {row[0] for row in db.rows("SELECT name FROM blazz.campaigns")}
    assert names == {"first", "second", "later", "between"}


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the code under test runs on it, but its transaction is gone."""


def killed_at(server, moment, work):
    """Run ``work`` and kill it at the statement of that number; False once it needs fewer statements."""
    counter = itertools.count()

    class Dying(Database):
        def run(self, sql):
            # What would have been undone by a handler is undone by the server: the connection is closed below.
            if next(counter) == moment:
                raise Killed
            return super().run(sql)

    try:
        with Dying(socket=server.socket) as own:
            work(own)
    except Killed:
        return True
    return False


def test_killed_at_any_statement_and_run_again(server, db, later, journal, other_run):
    """Every other statement of a run that is killed again and again, and of its undo."""
    before = content(db, "blazz")
    with server.connect() as own:
        recover(own, journal, REQUEST)
    after = content(db, "blazz")
    revert(db, journal, journal, "blazz")
    db.run(f"DROP DATABASE {KEPT}")
    moment, met = 3, set()
    while killed_at(server, moment, lambda own: recover(own, journal, REQUEST)):
        moment += 2
        seen = content(db, "blazz")
        met.add(tuple(sorted(table for schema, table in seen if seen[schema, table] != before[schema, table])))
        # A chunk is there as a whole, and its rows are known to be brought.
        if existing_schemas(db, [KEPT]) and read_tables(db, [KEPT])[KEPT].get("campaign_logs"):
            states = dict(db.rows(f"SELECT id, rollback__state FROM {KEPT}.campaign_logs"))
            assert {key for key, state in states.items() if state == "inserted"} == ids(db, "campaign_logs") - set(
                range(41)
            )
        assert set(seen["blazz", "campaigns"]) <= set(after["blazz", "campaigns"])
    assert moment > 12
    # It was killed before the first row and between two tables; how many statements that takes is the server's matter.
    assert {(), ("campaigns", "contact_group")} <= met
    assert content(db, "blazz") == after
    assert len(journal.steps()) == 2
    undo, moment = other_run(1), 3
    while killed_at(server, moment, lambda own: revert(own, journal, undo, "blazz")):
        moment += 2
    assert content(db, "blazz") == before
    assert [step.state for step in undo.steps()] == ["done"]


def test_it_stops_when_the_time_is_over_and_goes_on_later(db, later, journal, monkeypatch):
    stopped = recover(db, journal, dataclasses.replace(REQUEST, seconds=1e-6))
    assert (stopped["complete"], brought(stopped)) == (False, {})
    assert not existing_schemas(db, ["nothing"])
    done = recover(db, journal, REQUEST)
    assert (done["complete"], brought(done)) == (True, ALL)


def test_rows_that_somebody_has_locked_are_told_and_the_others_brought(server, db, later, journal):
    with server.connect() as other:
        other.run("START TRANSACTION")
        other.run("UPDATE blazz.campaigns SET note = 'busy' WHERE id = 1")
        db.run(f"UPDATE {ATTIC}.campaign_logs SET campaign_id = 1 WHERE id IN (107, 108)")
        with server.connect(lock_wait_s=1) as own:
            done = recover(own, journal, REQUEST)
        assert brought(done) == {**ALL, "campaign_logs": 18}
        assert {told["id"] for told in done["conflicts"]} == {107, 108}
        assert "somebody else had it locked" in done["conflicts"][0]["reason"]
        other.run("ROLLBACK")
    assert brought(recover(db, journal, REQUEST)) == ALL


def test_rows_that_refer_to_each_other(db, fallen, journal):
    for schema in ("blazz", ATTIC):
        db.run(
            f"CREATE TABLE {schema}.tree (id INT AUTO_INCREMENT PRIMARY KEY, parent INT NULL,"
            f" FOREIGN KEY (parent) REFERENCES {schema}.tree (id) ON DELETE CASCADE)"
        )
    db.run(f"INSERT INTO {ATTIC}.tree VALUES (1, NULL), (2, 1), (3, NULL), (4, NULL)")
    db.run(f"UPDATE {ATTIC}.tree SET parent = 4 WHERE id = 1")
    db.run(f"UPDATE {ATTIC}.tree SET parent = 3 WHERE id = 4")
    done = recover(db, journal, REQUEST)
    assert (brought(done), done["conflicts"]) == ({"tree": 4}, [])
    assert revert(db, journal, journal, "blazz")["tables"]["tree"] == {"rows": 4}
    assert ids(db, "tree") == set()


def test_where_no_first_key_is_known_all_that_is_missing_comes_back(db, later, journal):
    db.run(f"INSERT INTO {ATTIC}.jobs VALUES (5, 'begun before the restore point')")
    request = dataclasses.replace(REQUEST, starts={**STARTS, "jobs": 6}, tables=("jobs",))
    assert recover(db, journal, request, check=True)["tables"]["jobs"]["wanted"] == 1
    unknown = dataclasses.replace(request, starts={})
    assert recover(db, journal, unknown, check=True)["tables"]["jobs"]["wanted"] == 2
    # The comparison tells it either way.
    found = compare(db, Question("blazz", ATTIC, tables=("jobs",)))["tables"]["jobs"]
    assert found["ids"]["new"] == [5, 7]


def test_policies_and_names_that_do_not_fit_are_refused(db, later, journal):
    policies = Policies.of([{"table": "notifications", "policy": "report", "reason": "the auditor decides"}])
    request = dataclasses.replace(REQUEST, policies=policies)
    done = recover(db, journal, request, check=True)
    assert done["tables"]["notifications"]["note"] == "policy report: the auditor decides"
    named = {"notifications": [NEW]}
    assert (
        recover(db, journal, dataclasses.replace(request, ids=named), check=True)["tables"]["notifications"]["wanted"]
        == 1
    )
    for changes, message in (
        ({"ids": {"migrations": [2]}}, "No rows of this table can be recovered.*policy keep"),
        ({"ids": {"keyless": [2]}}, "no columns identify a row"),
        ({"ids": {"nowhere": [2]}}, "no such table on both sides"),
        ({"ids": {"campaigns": ["x"]}}, "id of campaigns is a number"),
        ({"ids": {"contact_group": [1]}}, "named by group_id, contact_id"),
        ({"ids": {"campaigns": [1]}, "tables": ("campaigns",)}, "Either tables or ids"),
        ({"tables": ("nowhere",)}, "no such table on both sides"),
        ({"source": "nowhere__attic_1"}, "does not exist"),
        ({"source": "blazz"}, "nothing to recover from itself"),
    ):
        with pytest.raises(RollbackError, match=message):
            recover(db, journal, dataclasses.replace(REQUEST, **changes))
    assert journal.steps() == []


def test_from_a_loaded_backup_only_named_rows_come(db, fill, fallen, journal):
    fill("blazz__backup")
    db.run("DELETE FROM blazz.campaigns WHERE id = 2")
    request = Request("blazz", "blazz__backup", KEPT)
    with pytest.raises(RollbackError, match="Only an attic has later rows"):
        recover(db, journal, request)
    named = recover(db, journal, dataclasses.replace(request, tables=("campaigns",)), check=True)
    assert named["tables"]["campaigns"]["wanted"] == 1
    assert recover(db, journal, dataclasses.replace(request, ids={"campaigns": [2]}))["changed"]
    with pytest.raises(RollbackError, match="recovers from another schema already"):
        recover(db, journal, REQUEST)
    # What was brought can be taken out even when the backup is gone.
    db.run("DROP DATABASE blazz__backup")
    assert revert(db, journal, journal, "blazz")["changed"]
    assert ids(db, "campaigns") == {1}


def test_the_module(db, later, module):
    arguments = {"schema": "blazz", "source": ATTIC, "starts": STARTS, "state_dir": True}
    planned = module("database_recover", check=True, **arguments)
    assert (planned["changed"], existing_schemas(db, [KEPT])) == (True, set())
    done = module("database_recover", **arguments)
    assert (done["changed"], brought(done), done["kept"]) == (True, ALL, KEPT)
    assert not module("database_recover", **arguments)["changed"]
    assert module("database_recover", check=True, schema="blazz", state="reverted", state_dir=True)["changed"]
    back = module("database_recover", schema="blazz", state="reverted", state_dir=True)
    assert back["changed"]
    assert "blazz.campaign_logs: 20 rows" in back["diff"]["before"]
    assert ids(db, "campaigns") == {1, 2}
    assert not module("database_recover", schema="blazz", state="reverted", state_dir=True)["changed"]
    assert "source" in module("database_recover", schema="blazz", state_dir=True)["msg"]
