"""Random histories around a restore point: every row is kept, restored, merged, or told as conflict or difference."""

from __future__ import annotations

import contextlib

from ansible_collections.campaign.rollback.plugins.module_utils.database import read_tables
from ansible_collections.campaign.rollback.plugins.module_utils.database_compare import Request as Question
from ansible_collections.campaign.rollback.plugins.module_utils.database_compare import compare
from ansible_collections.campaign.rollback.plugins.module_utils.database_recover import kept_schema, recover, revert
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_plan import Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_database_recover import killed_at

ATTIC = "blazz__attic_1"
TABLES = """
CREATE TABLE {0}.parents (id INT AUTO_INCREMENT PRIMARY KEY, v INT);
CREATE TABLE {0}.children (id INT AUTO_INCREMENT PRIMARY KEY, parent INT NOT NULL, code INT NULL UNIQUE, v INT,
  FOREIGN KEY (parent) REFERENCES {0}.parents (id) ON DELETE CASCADE);
CREATE TABLE {0}.words (word VARCHAR(20) PRIMARY KEY, v INT)
"""
#: What happens: the statement, with two small numbers to choose from.
HAPPENS = [
    "INSERT INTO {0}.parents (v) VALUES ({1})",
    "INSERT INTO {0}.children (parent, code, v) SELECT id, NULL, {2} FROM {0}.parents ORDER BY id DESC LIMIT {1}, 1",
    "INSERT INTO {0}.children (parent, code, v) SELECT id, {2}, 0 FROM {0}.parents ORDER BY id LIMIT {1}, 1",
    "REPLACE INTO {0}.words VALUES ('w{1}', {2})",
    "UPDATE {0}.parents SET v = v + {2} WHERE id = {1}",
    "UPDATE {0}.children SET v = v + {2} WHERE id = {1}",
    "DELETE FROM {0}.parents WHERE id = {1}",
    "DELETE FROM {0}.children WHERE id = {1}",
    "DELETE FROM {0}.words WHERE word = 'w{1}'",
]
EVENTS = st.lists(st.tuples(st.sampled_from(HAPPENS), st.integers(0, 7), st.integers(1, 7)), max_size=14)


def happen(db, schema, events):
    for statement, first, second in events:
        # A code that is taken: the application would have told its user.
        with contextlib.suppress(RollbackError):
            db.run(statement.format(schema, first, second))


def rows(db, schema):
    """Table -> key -> row."""
    return {
        table: {row[0]: row for row in db.rows(f"SELECT * FROM {schema}.{table}")}
        for table in ("parents", "children", "words")
    }


def counters(db):
    return {
        name: table.auto_increment
        for name, table in read_tables(db, ["blazz"])["blazz"].items()
        if table.auto_increment
    }


def history(db, before, later, since):
    """Live with the state of the restore point and what happened since, the attic with what happened instead."""
    for schema in ("blazz", ATTIC):
        db.run(f"DROP DATABASE IF EXISTS {schema}")
        db.run(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")
        for statement in TABLES.format(schema).split(";\n"):
            db.run(statement)
    happen(db, "blazz", before)
    for table in ("parents", "children", "words"):
        db.run(f"INSERT INTO {ATTIC}.{table} SELECT * FROM blazz.{table}")
    base, starts = rows(db, "blazz"), counters(db)
    for table, start in starts.items():
        db.run(f"ALTER TABLE {ATTIC}.{table} AUTO_INCREMENT = {start}")
    happen(db, ATTIC, later)
    for table in starts:
        db.run(f"ALTER TABLE blazz.{table} AUTO_INCREMENT = 1000")
    happen(db, "blazz", since)
    return base, starts


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=EVENTS, later=EVENTS, since=EVENTS, moment=st.integers(3, 60))
def test_every_row_is_accounted_for(server, db, tmp_path, before, later, since, moment):
    base, starts = history(db, before, later, since)
    attic, live = rows(db, ATTIC), rows(db, "blazz")
    state = str(tmp_path / "state")
    first = Request("blazz", ATTIC, kept_schema("blazz", "first"), starts=starts)
    journal = Journal("20261121T174500Z", state)
    done = recover(db, journal, first)
    result = rows(db, "blazz")
    refused = {(told["table"], told["id"]) for told in done["conflicts"]}
    differing = compare(db, Question("blazz", ATTIC))["tables"]
    for table, lost in attic.items():
        for key, row in lost.items():
            told = key if isinstance(key, int) else "(text)"
            if key in live[table]:
                # Nothing is overwritten; what differs is told.
                assert result[table][key] == live[table][key]
                assert row == live[table][key] or told in differing[table]["ids"]["changed"]
            elif key in base[table] and table in starts:
                # Deleted since by somebody: stays so, and is told.
                assert key not in result[table]
                assert told in differing[table]["ids"]["new"]
            else:
                assert result[table].get(key) == row or (table, told) in refused
    for table, kept in live.items():
        assert {key: result[table].get(key) for key in kept} == kept
        assert set(result[table]) <= set(kept) | set(attic[table])
    assert {row[1] for row in result["children"].values()} <= set(result["parents"])
    assert done["complete"]

    assert not recover(db, journal, first)["changed"]
    assert rows(db, "blazz") == result
    # The undo takes out exactly what was brought.
    revert(db, journal, journal, "blazz")
    assert rows(db, "blazz") == live
    # Killed somewhere and run again it ends the same.
    again = Journal("20261121T180000Z", state)
    second = Request("blazz", ATTIC, kept_schema("blazz", "second"), starts=starts)
    killed_at(server, moment, lambda own: recover(own, again, second))
    recover(db, again, second)
    assert rows(db, "blazz") == result
    for schema in (first.kept, second.kept):
        db.run(f"DROP DATABASE {schema}")
    for run in (journal, again):
        (tmp_path / "state" / "runs" / run.run_id / "journal.jsonl").unlink()
