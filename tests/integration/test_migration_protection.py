"""Emergency copies before migrations are reversed, the rehearsal on a copy, and the way back, against a real server."""

from __future__ import annotations

import dataclasses
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import database_swap, migration_protection
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    existing_schemas,
    read_objects,
    read_tables,
    table_digests,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import Carry
from ansible_collections.campaign.rollback.plugins.module_utils.database_migrations import (
    differences,
    losses,
    read_applied,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_objects import read_definitions
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import declared
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.migration_protection import (
    STEP,
    Request,
    confirm,
    protect,
)
from ansible_collections.campaign.rollback.plugins.module_utils.migration_rehearsal import compare, prepare, remove
from ansible_collections.campaign.rollback.plugins.module_utils.table_copy import checksums, without_constraints

OLD, NEW = "2021_01_01_create_campaigns", "2025_11_10_add_options"
SHADOW, ATTIC, COPY = "blazz__shadow_1", "blazz__attic_1", "blazz__verify_1"
CHANGED = ("campaigns", "options")
REQUEST = Request("blazz", SHADOW, ATTIC, (OLD,), CHANGED, lock_wait_s=1, attempts=2)
TO_CAMPAIGNS = "REFERENCES blazz.campaigns (id)"
UP = (
    "ALTER TABLE blazz.campaigns ADD kind VARCHAR(20) NOT NULL DEFAULT 'standard' AFTER name, ADD KEY (kind)",
    "CREATE TABLE blazz.options (id INT AUTO_INCREMENT PRIMARY KEY, campaign_id BIGINT UNSIGNED NOT NULL UNIQUE,"
    " text VARCHAR(50), CONSTRAINT options_campaign FOREIGN KEY (campaign_id) REFERENCES blazz.campaigns (id)"
    " ON DELETE CASCADE)",
    f"INSERT INTO blazz.migrations (migration, batch) VALUES ('{NEW}', 2)",
    "INSERT INTO blazz.campaigns (name, kind) VALUES ('third', 'hybrid')",
    "INSERT INTO blazz.options (campaign_id, text) VALUES (3, 'kept')",
)
OBJECTS = (
    "CREATE TRIGGER blazz.noted BEFORE INSERT ON blazz.campaigns FOR EACH ROW"
    " SET NEW.note = COALESCE(NEW.note, 'noted')",
    "CREATE TRIGGER blazz.touches AFTER UPDATE ON blazz.campaign_logs FOR EACH ROW SET @touched = 1",
    "CREATE VIEW blazz.kinds AS SELECT id, kind FROM blazz.campaigns",
    "CREATE PROCEDURE blazz.count_options() SELECT COUNT(*) FROM blazz.options",
)
DOWN = (
    "DROP VIEW IF EXISTS {0}.kinds",
    "DROP TABLE IF EXISTS {0}.options",
    "ALTER TABLE {0}.campaigns DROP KEY kind",
    "ALTER TABLE {0}.campaigns DROP COLUMN kind",
    "DELETE FROM {0}.migrations WHERE migration = '" + NEW + "'",
)


@pytest.fixture
def recorded(db, fill):
    """Digests of the restore point; since then a migration ran and rows were written with it."""
    fill()
    db.run("CREATE TABLE blazz.owners (id INT PRIMARY KEY, name VARCHAR(20))")
    db.run("INSERT INTO blazz.owners VALUES (1, 'one')")
    db.run("ALTER TABLE blazz.campaigns ADD owner_id INT DEFAULT 1")
    db.run("ALTER TABLE blazz.campaigns ADD CONSTRAINT `own``er` FOREIGN KEY (owner_id) REFERENCES blazz.owners (id)")
    digests = table_digests(db, "blazz")
    for statement in (*UP, *OBJECTS):
        db.run(statement)
    return digests


def down(db, schema="blazz", count=None):
    for statement in DOWN[:count]:
        db.run(statement.format(schema))


def revert(db, journal, by, *waits):
    return database_swap.revert(db, journal, by, "blazz", *(waits or (1, 2)), name=STEP)


def state(db, schema="blazz"):
    """Everything that an undo has to bring back; names of foreign keys and indexes are in the digests."""
    tables = sorted(read_tables(db, [schema])[schema])
    objects = read_definitions(db, schema, read_objects(db, [schema])[schema])
    named = {str(one): dataclasses.replace(one, sound=True) for one in objects}
    return table_digests(db, schema), checksums(db, schema, tables), named


def test_protected_reversed_confirmed_and_undone(db, recorded, journal):
    before = state(db)
    planned = protect(db, journal, REQUEST, check=True)
    assert (planned["changed"], planned["copied"]) == (True, ["campaigns", "migrations", "options"])
    assert (journal.steps(), existing_schemas(db, [SHADOW, ATTIC])) == ([], set())
    done = protect(db, journal, REQUEST)
    assert (done["copied"], done["reverse"]) == (["campaigns", "migrations", "options"], [NEW])
    assert done["rows"] == {"campaigns": 3, "migrations": 2, "options": 1}
    assert state(db) == before
    assert set(read_tables(db, [ATTIC])[ATTIC]) == {"campaigns", "migrations", "options"}
    assert {key.parent[0] for key in declared(db, ATTIC)} == {ATTIC}
    assert not existing_schemas(db, [SHADOW])
    assert [step.state for step in journal.to_undo("database")] == ["begin"]
    down(db)
    confirm(db, journal, "blazz", recorded, [OLD], {NEW: 0.1})
    assert [(step.state, step.result) for step in journal.to_undo("database")] == [("done", {"reversed": {NEW: 0.1}})]
    assert confirm(db, journal, "blazz", recorded, [OLD], {})["changed"] is False

    undone = revert(db, journal, journal)
    assert undone["changed"]
    assert state(db) == before
    assert journal.to_undo("database") == []
    assert revert(db, journal, journal)["changed"] is False
    with pytest.raises(RollbackError, match="refused a statement"):
        db.run("INSERT INTO blazz.campaign_logs (campaign_id, message_id) VALUES (99, 'x')")


@pytest.mark.parametrize("count", range(len(DOWN) + 1))
def test_a_run_that_stopped_half_way_begins_anew(db, recorded, journal, count):
    """Half of down() cannot be run again: the tables are put back first, unless everything was reversed."""
    before = state(db)
    protect(db, journal, REQUEST)
    down(db, count=count)
    again = protect(db, journal, REQUEST)
    if count == len(DOWN):
        assert (again["changed"], again["in_force"], again["reverse"]) == (False, True, [])
    else:
        assert state(db) == before
        assert again["reverse"] == [NEW]
        down(db)
    confirm(db, journal, "blazz", recorded, [OLD], {})
    revert(db, journal, journal)
    assert state(db) == before


def test_nothing_to_reverse_is_nothing_to_do(db, recorded, journal):
    down(db)
    result = protect(db, journal, REQUEST)
    assert (result["changed"], result["in_force"]) == (False, False)
    assert confirm(db, journal, "blazz", recorded, [OLD], {})["changed"] is False
    assert journal.steps() == []
    assert not existing_schemas(db, [SHADOW, ATTIC])


def test_all_tables_are_copied_if_none_are_named(db, recorded, journal):
    before = state(db)
    done = protect(db, journal, Request("blazz", SHADOW, ATTIC, (OLD,)))
    assert set(done["copied"]) == set(before[0])
    db.run("UPDATE blazz.campaign_logs SET status = 'damaged'")
    db.run("DELETE FROM blazz.owners WHERE id > 1")
    down(db)
    revert(db, journal, journal)
    assert state(db) == before


def test_rows_written_since_come_along(db, recorded, journal):
    protect(
        db,
        journal,
        Request("blazz", SHADOW, ATTIC, (OLD,), CHANGED, (Carry("campaigns", ("id",), "live.id = 1", ("note",)),)),
    )
    down(db)
    confirm(db, journal, "blazz", recorded, [OLD], {})
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('since')")
    db.run("INSERT INTO blazz.campaign_logs (campaign_id, message_id) VALUES (4, 'since')")
    db.run("UPDATE blazz.campaigns SET note = 'carried' WHERE id = 1")
    result = revert(db, journal, journal)
    assert (result["merged"], result["carried"], result["orphans"]) == ({"campaigns": 1}, {"campaigns": 1}, [])
    assert db.rows("SELECT id, name, kind, note FROM blazz.campaigns ORDER BY id") == (
        [
            (1, "first", "standard", "carried"),
            (2, "second", "standard", None),
            (3, "third", "hybrid", None),
            (4, "since", "standard", "noted"),
        ]
    )
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('later')")
    assert db.value("SELECT MAX(id) FROM blazz.campaigns") > 1000


def test_rows_that_lost_their_parent_are_counted(db, recorded, journal):
    protect(db, journal, REQUEST)
    down(db)
    db.run("UPDATE blazz.campaigns SET owner_id = NULL")
    db.run("DELETE FROM blazz.owners")
    result = revert(db, journal, journal)
    key = {"name": "own`er", "table": "blazz.campaigns", "references": "blazz.owners", "rows": 3}
    assert result["orphans"] == [key]


def test_a_key_from_another_schema_refers_to_the_live_table_again(db, recorded, journal):
    db.run("CREATE DATABASE other")
    db.run(f"CREATE TABLE other.x (c BIGINT UNSIGNED, CONSTRAINT out_of_it FOREIGN KEY (c) {TO_CAMPAIGNS})")
    protect(db, journal, REQUEST)
    down(db)
    revert(db, journal, journal)
    assert [key.parent for key in declared(db, "other")] == [("blazz", "campaigns")]


def test_an_undo_by_another_run_is_undone_in_its_turn(db, recorded, journal, other_run):
    before = state(db)
    protect(db, journal, REQUEST)
    down(db)
    confirm(db, journal, "blazz", recorded, [OLD], {})
    rolled_back = state(db)
    undo, redo = other_run(1), other_run(2)
    revert(db, journal, undo)
    assert state(db) == before
    assert [step.state for step in journal.steps()] == ["undone"]
    revert(db, undo, redo)
    assert (state(db)[0], state(db)[2]) == (rolled_back[0], rolled_back[2])
    assert differences(db, "blazz", recorded, [OLD]) == []
    assert [step.state for step in journal.steps()] == ["done"]
    revert(db, redo, other_run(3))
    assert state(db) == before


class Killed(BaseException):
    """The process ends here."""


CUTS = [("create_copies", False), ("_fill", False), ("_check", False), ("_move", False), ("_move", True)]


@pytest.mark.parametrize(("cut", "after"), CUTS)
def test_a_copy_that_was_cut_off_is_made_again(db, recorded, journal, monkeypatch, cut, after):
    before = state(db)
    original = getattr(migration_protection, cut)

    def killed(*arguments):
        if after:
            original(*arguments)
        raise Killed

    monkeypatch.setattr(migration_protection, cut, killed)
    with pytest.raises(Killed):
        protect(db, journal, REQUEST)
    monkeypatch.undo()
    assert state(db) == before
    assert protect(db, journal, REQUEST)["in_force"]
    down(db)
    revert(db, journal, journal)
    assert state(db) == before
    assert journal.to_undo("database") == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("own", [True, False], ids=["automatic", "asked"])
def test_an_undo_that_was_cut_off_is_completed(db, recorded, journal, other_run, monkeypatch, after, own):
    before = state(db)
    protect(db, journal, REQUEST)
    down(db)
    rolled_back = state(db)
    by = journal if own else other_run(1)
    original = database_swap.execute

    def killed(*arguments):
        if after:
            original(*arguments)
        raise Killed

    monkeypatch.setattr(database_swap, "execute", killed)
    with pytest.raises(Killed):
        revert(db, journal, by)
    monkeypatch.undo()
    revert(db, journal, by)
    assert state(db) == before
    assert journal.to_undo("database") == []
    if not own:
        revert(db, by, other_run(2))
        assert (state(db)[0], state(db)[2]) == (rolled_back[0], rolled_back[2])


def test_an_undo_that_has_to_wait_in_vain_leaves_everything_as_it_was(server, db, recorded, journal):
    protect(db, journal, REQUEST)
    down(db)
    before = state(db)
    with server.connect() as other:
        other.run("START TRANSACTION")
        other.rows("SELECT * FROM blazz.migrations")
        with pytest.raises(RollbackError, match="stayed in use"):
            revert(db, journal, journal, 1, 1)
    assert state(db) == before
    revert(db, journal, journal)
    assert "options" in read_tables(db, ["blazz"])["blazz"]


def test_a_copy_that_has_to_wait_in_vain_changes_nothing(server, db, recorded, journal):
    with server.connect() as other:
        other.run("START TRANSACTION")
        other.run("UPDATE blazz.campaigns SET note = 'open' WHERE id = 1")
        blocking = other.value("SELECT CONNECTION_ID()")
        with pytest.raises(RollbackError, match=f"connection {blocking}"):
            protect(db, journal, REQUEST)
    assert journal.steps() == []
    assert not existing_schemas(db, [SHADOW, ATTIC])


def test_nobody_writes_while_it_is_copied_and_everybody_reads(server, db, recorded, journal, monkeypatch):
    seen = {}

    def check(_db, _request, _tables):
        with server.connect(lock_wait_s=1) as other:
            seen["read"] = other.value("SELECT COUNT(*) FROM blazz.campaigns")
            with pytest.raises(RollbackError, match="1205"):
                other.run("UPDATE blazz.campaigns SET note = 'late'")
            other.run("UPDATE blazz.campaign_logs SET status = 'sent' WHERE id = 1")

    monkeypatch.setattr(migration_protection, "_check", check)
    protect(db, journal, REQUEST)
    assert seen["read"] == 3
    db.run("UPDATE blazz.campaigns SET note = 'after'")


def test_no_acknowledged_row_is_lost_under_writers(server, db, recorded, journal):
    stop, written = threading.Event(), []

    def write():
        with server.connect(lock_wait_s=10) as own:
            while not stop.is_set():
                own.run("INSERT INTO blazz.campaigns (name) VALUES ('by a writer')")
                written.append(own.value("SELECT LAST_INSERT_ID()"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for target in (5, 10):
            while len(written) < target:
                pass
            if target == 5:
                protect(db, journal, Request("blazz", SHADOW, ATTIC, (OLD,), CHANGED, attempts=10))
                down(db)
    finally:
        stop.set()
        writer.join()
    revert(db, journal, journal)
    found = {row[0] for row in db.rows("SELECT id FROM blazz.campaigns")}
    assert set(written) <= found


def test_a_copy_that_is_not_the_same_is_refused(db, recorded, journal, monkeypatch):
    original = migration_protection._fill

    def damage(own, request, tables):
        counts = original(own, request, tables)
        own.run(f"UPDATE {SHADOW}.campaigns SET name = 'damaged' WHERE id = 1")
        return counts

    monkeypatch.setattr(migration_protection, "_fill", damage)
    with pytest.raises(RollbackError, match="not the same as the live tables"):
        protect(db, journal, REQUEST)
    assert not read_tables(db, [ATTIC])[ATTIC]
    assert [step.state for step in journal.to_undo("database")] == ["failed"]


def refused(db, journal, request):
    for check in (True, False):
        with pytest.raises(RollbackError, match="nothing was touched") as caught:
            protect(db, journal, request, check)
    assert journal.steps() == []
    assert not existing_schemas(db, [SHADOW, ATTIC])
    return str(caught.value)


def test_a_key_to_another_schema_is_refused_beforehand(db, recorded, journal):
    db.run("CREATE DATABASE other")
    db.run("CREATE TABLE other.x (id INT PRIMARY KEY)")
    db.run("INSERT INTO other.x VALUES (1)")
    db.run("ALTER TABLE blazz.owners ADD CONSTRAINT leads_out FOREIGN KEY (id) REFERENCES other.x (id)")
    assert "leads_out" in refused(db, journal, REQUEST)


@pytest.mark.only("mariadb", reason="MySQL has no sequences")
def test_a_sequence_stays_and_is_refused_where_anything_may_change(db, recorded, journal):
    db.run("CREATE SEQUENCE blazz.numbers")
    db.run("ALTER TABLE blazz.campaigns ADD number INT DEFAULT NEXTVAL(blazz.numbers)")
    before = state(db)
    assert "sequence numbers" in refused(db, journal, dataclasses.replace(REQUEST, tables=()))
    protect(db, journal, REQUEST)
    down(db)
    revert(db, journal, journal)
    assert state(db) == before
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('numbered')")


def test_an_undo_that_would_be_refused_is_refused_beforehand(db, recorded, journal):
    for request in (
        dataclasses.replace(REQUEST, carry=(Carry("campaigns", ("id",), "live.nonsense = 1"),)),
        dataclasses.replace(REQUEST, attic="blazz"),
    ):
        with pytest.raises(RollbackError):
            protect(db, journal, request)
    assert journal.steps() == []


def test_what_was_not_reversed_to_the_recorded_state_is_told(db, recorded, journal):
    protect(db, journal, REQUEST)
    down(db, count=2)
    with pytest.raises(RollbackError) as caught:
        confirm(db, journal, "blazz", recorded, [OLD, "2020_gone"], {})
    assert caught.value.found == (
        f"migration {NEW} is still in force; migration 2020_gone is missing; table campaigns has another structure"
    )
    assert [step.state for step in journal.to_undo("database")] == ["failed"]


def test_rows_and_values_that_would_be_lost_are_counted(db, recorded):
    db.run("ALTER TABLE blazz.campaigns ADD stamped DATETIME DEFAULT CURRENT_TIMESTAMP, ADD plain INT NULL")
    drops = [
        {"table": "options", "column": None},
        {"table": "options", "column": None},
        {"table": "campaigns", "column": "kind"},
        {"table": "campaigns", "column": "stamped"},
        {"table": "campaigns", "column": "plain"},
        {"table": "campaigns", "column": "never"},
        {"table": "campaigns", "column": "owner_id"},
        {"table": "never", "column": None},
        {"table": "sessions", "column": None},
    ]
    found = {(loss["table"], loss["column"]): loss["rows"] for loss in losses(db, "blazz", drops)}
    assert found == {("options", None): 1, ("campaigns", "kind"): 1, ("campaigns", "stamped"): 3}


def test_a_schema_without_a_record_of_migrations_is_refused(db, fill):
    fill()
    assert [(row.name, row.batch) for row in read_applied(db, "blazz")] == [(OLD, 1)]
    db.run("DROP TABLE blazz.migrations")
    with pytest.raises(RollbackError, match="no record of its migrations"):
        read_applied(db, "blazz")


def rehearsed(db, recorded, count=None, named=CHANGED, whole=False, rows=100):
    made = prepare(db, "blazz", COPY, rows, "Secret-1")
    down(db, COPY, count)
    return compare(db, "blazz", COPY, recorded, [OLD], made["checksums"], named, whole)


def test_a_rehearsal_leaves_the_live_schema_alone_and_names_what_changed(db, recorded):
    before = state(db)
    found = rehearsed(db, recorded)
    assert found == {
        "differences": [],
        "affected": ["campaigns", "migrations", "options"],
        "losses": ["table options with 1 rows", "column campaigns.kind with 1 values"],
        "demands": [],
    }
    assert state(db) == before
    assert remove(db, COPY, check=True)
    assert existing_schemas(db, [COPY])
    assert remove(db, COPY)
    assert not remove(db, COPY)
    assert not existing_schemas(db, [COPY])
    assert not db.value("SELECT COUNT(*) FROM mysql.user WHERE User = 'rollback_1'")
    assert not db.rows("SELECT * FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE LIKE '%rollback_1%'")


def test_a_rehearsal_that_ends_elsewhere_is_told(db, recorded):
    found = rehearsed(db, recorded, count=2)
    assert found["differences"] == [f"migration {NEW} is still in force", "table campaigns has another structure"]


def test_tables_that_nobody_named_are_found_by_their_structure_and_their_rows(db, recorded):
    made = prepare(db, "blazz", COPY, 100, "Secret-1")
    down(db, COPY)
    db.run(f"ALTER TABLE {COPY}.owners ADD x INT")
    found = compare(db, "blazz", COPY, recorded, [OLD], made["checksums"], CHANGED, False)
    assert found["affected"] == ["campaigns", "migrations", "options", "owners"]
    db.run(f"UPDATE {COPY}.campaign_logs SET status = 'x'")
    found = compare(db, "blazz", COPY, recorded, [OLD], made["checksums"], CHANGED, False)
    assert set(found["affected"]) == set(read_tables(db, ["blazz"])["blazz"])
    assert set(rehearsed(db, recorded, whole=True)["affected"]) == set(found["affected"])


def test_a_bounded_copy_has_no_orphans_and_tells_itself_from_the_live_schema(db, recorded):
    db.run("INSERT INTO blazz.campaigns (name) SELECT id FROM blazz.campaign_logs")
    made = prepare(db, "blazz", COPY, 10, "Secret-1")
    assert made["rows"]["campaigns"] == 10
    assert made["rows"]["migrations"] == 2
    assert made["rows"]["campaign_logs"] == 0, "their campaigns were not copied"
    assert {row[0] for row in db.rows(f"SELECT batch FROM {COPY}.migrations")} == {made["batch"]}
    assert made["batch"] not in {row[0] for row in db.rows("SELECT batch FROM blazz.migrations")}
    assert prepare(db, "blazz", COPY, 10, "Secret-1")["batch"] != made["batch"]


def test_the_account_of_a_rehearsal_may_do_nothing_elsewhere(server, db, recorded, tmp_path):
    prepare(db, "blazz", COPY, 10, "Secret-1")
    db.run("CREATE DATABASE blazzxxverifyx1")
    options = tmp_path / "client.cnf"
    options.write_text("[client]\nuser=rollback_1\npassword=Secret-1\n")
    with server.connect(defaults_file=str(options)) as own:
        own.run(f"DROP TABLE {COPY}.options")
        for statement in ("DELETE FROM blazz.options", "CREATE TABLE blazzxxverifyx1.x (id INT)"):
            with pytest.raises(RollbackError, match="denied"):
                own.run(statement)


def test_only_what_may_be_dropped_is_made_anew(db, recorded):
    for name in ("blazz", "blazz__standby", "other"):
        with pytest.raises(RollbackError, match="are dropped"):
            prepare(db, "blazz", name, 10, "Secret-1")
        with pytest.raises(RollbackError, match="are dropped"):
            remove(db, name)


def test_definitions_lose_only_the_keys_that_are_named():
    create = (
        "CREATE TABLE `t` (\n  `a` int,\n  CONSTRAINT `x``y` FOREIGN KEY (`a`) REFERENCES `u` (`id`),\n"
        "  CONSTRAINT `z` FOREIGN KEY (`a`) REFERENCES `v` (`id`)\n) ENGINE=InnoDB COMMENT=')'\n"
        " PARTITION BY HASH (`a`)"
    )
    assert without_constraints(create, {"z"}) == create.replace(
        ",\n  CONSTRAINT `z` FOREIGN KEY (`a`) REFERENCES `v` (`id`)", ""
    )
    assert "CONSTRAINT" not in without_constraints(create, {"z", "x`y"})
    assert without_constraints(create, set()) == create
