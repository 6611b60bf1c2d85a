"""Swapping a schema with triggers, views, routines, events, sequences and foreign keys across the border."""

from __future__ import annotations

import dataclasses
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DEADLOCK,
    Database,
    error_code,
    read_objects,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_events import sleeping
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import Expected, load_beside
from ansible_collections.campaign.rollback.plugins.module_utils.database_objects import read_definitions
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import revert, swap
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from furniture import ATTIC, LIVE, REQUEST, SHADOW, UNDO, clear, furnish, has_sequences, seen
from stopping import die, stopped

READ_ONLY = 1290
VIEW_OF_NOTHING = 1356


def definitions(db, schema):
    found = read_definitions(db, schema, read_objects(db, [schema])[schema])
    return {str(one): dataclasses.replace(one, grants=()) for one in found}


def undo(db, journal, by=None, **given):
    return revert(db, journal, by or journal, LIVE, REQUEST.lock_wait_s, 5, freeze_s=REQUEST.freeze_s, **given)


class Watched(Database):
    """Keeps the statements that change something, and calls ``before`` and ``after`` around each."""

    def __init__(self, server, before=lambda sql: None, after=lambda sql: None):
        self.statements, self.before, self.after = [], lambda sql: None, lambda sql: None
        super().__init__(socket=server.socket)
        self.statements, self.before, self.after = [], before, after

    def _execute(self, sql, arguments):
        self.statements.append(sql)
        return super()._execute(sql, arguments)

    def run(self, sql):
        self.before(sql)
        found = super().run(sql)
        self.after(sql)
        return found


@pytest.fixture
def furnished(server, db):
    furnish(server)
    yield
    clear(server)


@pytest.fixture
def app(server, db, tmp_path):
    """Connections of a user whom read_only stops."""
    db.run("DROP USER IF EXISTS app@localhost")
    db.run("CREATE USER app@localhost IDENTIFIED BY 'x'")
    db.run("GRANT PROCESS ON *.* TO app@localhost")
    path = tmp_path / "app.cnf"
    path.write_text("[client]\nuser=app\npassword=x\ndatabase=blazz\n")
    yield lambda: server.connect(defaults_file=str(path), lock_wait_s=60)
    db.run("DROP USER app@localhost")


def test_everything_is_swapped_and_comes_back(db, furnished, journal, other_run):
    before, staged = seen(db), definitions(db, SHADOW)
    result = swap(db, journal, REQUEST)
    assert definitions(db, LIVE) == staged
    assert seen(db)["keys"] == before["keys"]
    assert (seen(db)["read_only"], result["ended"], result["orphans"]) == (0, [], [])
    assert {"view swapped_2", "event nightly", "function version_of"} <= set(result["objects"]["to_live"])
    assert {"view swapped_1", "trigger only_in_2", "procedure only_in_2"} <= set(result["objects"]["from_live"])
    assert "function steady" not in str(result["objects"])
    db.run("INSERT INTO blazz.posts (user, text) VALUES (1, 'new')")
    assert db.value("SELECT text FROM blazz.posts ORDER BY id DESC LIMIT 1") == "new/1/2v1"
    assert db.rows("SELECT what FROM blazz.audit") == [("new/1/2v11",)]
    assert db.rows("SELECT was FROM blazz.a_top") == [(2,), (3,)]
    assert db.value("SELECT COUNT(*) FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s", [ATTIC]) == 0
    swapped = seen(db)
    back = undo(db, journal, other_run(1))
    # The row written since is merged, and what its triggers did is not done again.
    assert back["merged"] == {"posts": 1, "audit": 1}
    for name in ("definitions", "keys", "tables", "order", "read_only"):
        assert seen(db)[name] == before[name]
    assert undo(db, other_run(1), other_run(2))["changed"]
    assert seen(db) == swapped


def test_partitions_and_generated_columns_work_on_both_sides(db, furnished, journal):
    for version, act in ((1, lambda: swap(db, journal, REQUEST)), (2, lambda: undo(db, journal))):
        act()
        assert db.rows("SELECT value FROM blazz.metrics PARTITION (p1)") == [(version,)]
        db.run("INSERT INTO blazz.users (name) VALUES ('cid')")
        assert db.rows("SELECT name FROM blazz.users FORCE INDEX (shout) WHERE shout = 'CID'")
        assert db.value("SELECT COUNT(*) FROM blazz.users WHERE shout <> UPPER(name)") == 0


def test_a_sequence_gives_nothing_out_twice(server, db, furnished, journal):
    if not has_sequences(server):
        pytest.skip("MySQL has no sequences")

    def drawn():
        db.run("INSERT INTO blazz.users (name) VALUES ('cid')")
        return db.value("SELECT number FROM blazz.users ORDER BY id DESC LIMIT 1")

    first = drawn()
    swap(db, journal, REQUEST)
    # From the live sequence, although the default was written for the staged one.
    assert "`blazz`.`numbers`" in str(db.rows("SHOW CREATE TABLE blazz.users"))
    second = drawn()
    assert second > first + REQUEST.gap - 1
    undo(db, journal)
    assert drawn() > second


def test_what_is_the_same_is_not_touched(server, db, furnished, journal):
    with Watched(server) as own:
        swap(own, journal, REQUEST)
        undo(own, journal)
        changes = [sql for sql in own.statements if sql.startswith(("CREATE", "DROP", "ALTER", "GRANT"))]
    assert len(changes) > 20
    assert not [sql for sql in changes if "`m_fixed`" in sql or "`steady`" in sql or "`stays`" in sql]


def test_grants_stand_on_names(db, furnished, journal, app):
    db.run("GRANT SELECT ON blazz.users TO app@localhost")
    db.run("GRANT INSERT ON blazz.audit TO app@localhost")
    db.run("GRANT EXECUTE ON PROCEDURE blazz.told TO app@localhost WITH GRANT OPTION")
    db.run("GRANT EXECUTE ON PROCEDURE blazz.only_in_2 TO app@localhost")
    before = seen(db)

    def may(sql):
        with app() as own:
            try:
                own.rows(sql)
            except RollbackError as error:
                return error_code(error)

    for act, gone in ((lambda: swap(db, journal, REQUEST), True), (lambda: undo(db, journal), False)):
        act()
        assert may("SELECT name FROM blazz.users") is None
        assert may("INSERT INTO blazz.audit (what) VALUES ('x')") is None
        assert may("CALL blazz.told('x')") is None
        assert bool(may("CALL blazz.only_in_2()")) is gone
        assert may(f"SELECT name FROM {ATTIC}.users") == 1142
    assert seen(db)["definitions"] == before["definitions"]


def test_no_row_is_written_without_its_triggers(server, db, furnished, journal, app):
    db.run("GRANT ALL ON blazz.* TO app@localhost")
    stop, problems, frozen = threading.Event(), [], []
    # MySQL cannot replace a function in one step, so that a view which uses it is of no use in between.
    replaced = VIEW_OF_NOTHING if server.engine == "mysql" else None
    progress = [threading.Semaphore(0) for _number in range(4)]

    def work(number, act):
        count = 0
        with app() as own:
            while not stop.is_set():
                count += 1
                try:
                    act(own, f"w{number}-{count}")
                except RollbackError as error:
                    if error_code(error) == READ_ONLY:
                        frozen.append(number)
                    elif error_code(error) not in (DEADLOCK, replaced):
                        problems.append(error)
                progress[number].release()
                # Nobody waits for a disk here: without a pause they would outrun the undo that takes their rows along.
                stop.wait(0.005)

    def write(own, token):
        own.run(f"INSERT INTO posts (user, text) VALUES (1, '{token}')")

    def read(own, _token):
        own.rows("SELECT COUNT(*) FROM a_top JOIN posts ON posts.user = a_top.id")

    def everyone_goes_on():
        for semaphore in progress:
            while semaphore.acquire(blocking=False):
                pass
            for _step in range(5):
                semaphore.acquire()

    threads = [threading.Thread(target=work, args=(number, (write, read)[number % 2])) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        everyone_goes_on()
        swap(db, journal, REQUEST)
        everyone_goes_on()
        undo(db, journal)
        everyone_goes_on()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [problem.found for problem in problems] == []
    assert not set(frozen) & {1, 3}
    for schema, version in ((LIVE, 2), (UNDO, 1)):
        written = {row[0] for row in db.rows(f"SELECT text FROM {schema}.posts WHERE text LIKE 'w%'")}
        # Rows that an undo merged keep what the triggers of the other version made of them.
        assert written
        assert {text.split("/", 1)[1] for text in written} <= {f"1/2v{version}", "1/2v1"}
        told = {row[0][:-1] for row in db.rows(f"SELECT what FROM {schema}.audit")}
        assert {text for text in written if text.endswith(f"v{version}")} <= told


def test_a_schema_without_triggers_is_never_frozen(server, db, furnished, journal):
    for schema in (LIVE, SHADOW):
        for name in read_objects(db, [schema])[schema]["triggers"]:
            db.run(f"DROP TRIGGER {schema}.{name}")
    with Watched(server) as own:
        assert swap(own, journal, REQUEST)["frozen_s"] == 0
        undo(own, journal)
        assert not [sql for sql in own.statements if "read_only" in sql]


def test_a_plain_schema_pays_for_one_query(server, db, fill, journal):
    fill(LIVE)
    fill(SHADOW)
    with Watched(server) as own:
        swap(own, journal, REQUEST)
        undo(own, journal)
        dear = ("LOCK", "UNLOCK", "USE", "SHOW", "SET GLOBAL", "ALTER TABLE `blazz`", "CHECK")
        assert not [sql for sql in own.statements if sql.startswith(dear) or "mysql." in sql]
        assert len([sql for sql in own.statements if "information_schema.TRIGGERS" in sql]) == 2
    assert [step.name for step in journal.steps()] == ["swap"]


def test_a_server_that_is_read_only_stays_so(server, db, furnished, journal):
    db.run("SET GLOBAL read_only=1")
    before = seen(db)
    with Watched(server) as own:
        swap(own, journal, REQUEST)
        assert seen(db)["read_only"] == 1
        undo(own, journal)
        assert not [sql for sql in own.statements if sql.startswith("SET GLOBAL")]
    assert seen(db) == before


def test_who_holds_the_tables_is_waited_for_before_anything_is_frozen(server, db, furnished, journal, app):
    before = seen(db)
    db.run("GRANT ALL ON blazz.* TO app@localhost")
    request = dataclasses.replace(REQUEST, lock_wait_s=1, attempts=2)
    with app() as other, Watched(server) as own:
        identity = other.value("SELECT CONNECTION_ID()")
        other.run("START TRANSACTION")
        other.rows("SELECT * FROM posts")
        with pytest.raises(RollbackError, match=f"nothing was swapped.*connection {identity}, user app"):
            swap(own, journal, request)
        assert not [sql for sql in own.statements if sql.startswith("SET GLOBAL read_only=1")]
        other.run("COMMIT")
    assert seen(db) == before
    assert journal.to_undo("database") == []


def at(prefix, act):
    """A hook that acts once, at the first statement that begins like this."""
    pending = [act]

    def hook(sql):
        if sql.startswith(prefix) and pending:
            pending.pop()()

    return hook


def test_a_freeze_is_given_up_in_time(server, db, furnished, journal, app):
    """Somebody takes a table when everything is ready: all is put back, and the freeze ends with him still there."""
    before = seen(db)
    db.run("GRANT ALL ON blazz.* TO app@localhost")
    request = dataclasses.replace(REQUEST, freeze_s=2)
    with app() as other:
        identity = other.value("SELECT CONNECTION_ID()")

        def hold():
            other.run("START TRANSACTION")
            other.rows("SELECT * FROM audit")

        with (
            Watched(server, before=at("SET GLOBAL read_only=1", hold)) as own,
            pytest.raises(RollbackError, match=f"could not write; nothing was swapped.*connection {identity}, user"),
        ):
            swap(own, journal, request)
        assert seen(db) == before
        assert journal.to_undo("database") == []
        assert other.rows("SELECT 1 FROM audit") == []
        other.run("COMMIT")
    assert swap(db, journal, REQUEST)["changed"]


def test_who_is_in_the_way_of_putting_triggers_back_is_ended(server, db, furnished, journal, app):
    before = seen(db)
    db.run("GRANT ALL ON blazz.* TO app@localhost")
    with app() as other:
        identity = other.value("SELECT CONNECTION_ID()")

        def hold():
            other.run("START TRANSACTION")
            other.rows("SELECT * FROM posts")

        with (
            Watched(server, before=at("RENAME", hold)) as own,
            pytest.raises(RollbackError, match=f"nothing was swapped.*connection {identity} was ended"),
        ):
            swap(own, journal, dataclasses.replace(REQUEST, freeze_s=2))
    assert seen(db) == before
    assert journal.to_undo("database") == []


def test_a_reader_that_slips_in_after_the_rename_does_not_prolong_the_freeze(server, db, furnished, journal, app):
    db.run("GRANT ALL ON blazz.* TO app@localhost")
    staged = definitions(db, SHADOW)
    with app() as other:
        identity = other.value("SELECT CONNECTION_ID()")

        def hold():
            other.run("START TRANSACTION")
            other.rows("SELECT * FROM posts")

        with Watched(server, after=at("RENAME", hold)) as own:
            result = swap(own, journal, dataclasses.replace(REQUEST, freeze_s=2))
    assert result["ended"] == [identity]
    assert definitions(db, LIVE) == staged
    assert seen(db)["read_only"] == 0


def test_what_cannot_be_handed_over_is_refused_with_all_reasons(db, furnished, journal):
    db.run("CREATE DEFINER=ghost@nowhere VIEW blazz__shadow_1.ghostly AS SELECT 1")
    db.run("CREATE TABLE blazz__shadow_1.gone (id INT)")
    db.run("CREATE VIEW blazz__shadow_1.broken AS SELECT id FROM blazz__shadow_1.gone")
    db.run("DROP TABLE blazz__shadow_1.gone")
    db.run("CREATE TRIGGER blazz.same BEFORE UPDATE ON blazz.sessions FOR EACH ROW SET @x = 1")
    db.run("CREATE TRIGGER blazz__shadow_1.same BEFORE UPDATE ON blazz__shadow_1.audit FOR EACH ROW SET @x = 1")
    for table in ("swapped_2", "metrics_of"):
        db.run(f"CREATE TABLE IF NOT EXISTS blazz.{table} (id INT PRIMARY KEY)")
        db.run(
            f"CREATE TABLE other.{table} (id INT, CONSTRAINT c_{table} FOREIGN KEY (id) REFERENCES blazz.{table} (id))"
        )
    db.run("CREATE TABLE blazz__shadow_1.metrics_of (id BIGINT PRIMARY KEY)")
    db.run("CREATE TABLE other.staged (id INT, FOREIGN KEY (id) REFERENCES blazz__shadow_1.users (id))")
    before = seen(db)
    for check in (True, False):
        with pytest.raises(RollbackError) as caught:
            swap(db, journal, REQUEST, check)
        for reason in (
            "view ghostly is defined by ghost@nowhere, who does not exist",
            "view broken refers to something that is missing",
            "trigger same has the name of one of a table that stays",
            "c_swapped_2 (other.swapped_2 -> blazz.swapped_2): there will be no table swapped_2",
            "c_metrics_of (other.metrics_of -> blazz.metrics_of): the columns that it refers to will not fit",
            "(other.staged -> blazz__shadow_1.users): refers to the staged copy from outside",
        ):
            assert reason in str(caught.value)
    assert seen(db) == before
    assert journal.steps() == []


def test_keys_across_the_border_are_pointed_at_what_is_live(db, furnished, journal):
    db.run("INSERT INTO blazz.users (id, name) VALUES (40, 'of v2'), (41, 'too')")
    db.run("INSERT INTO blazz.sessions (id, user) VALUES (40, 40), (41, 41)")
    orphans = swap(db, journal, REQUEST)["orphans"]
    assert orphans == [{"name": "sessions_user", "table": "blazz.sessions", "references": "blazz.users", "rows": 2}]
    # What is checked and deleted along is live; the attic holds nothing and is held by nothing.
    with pytest.raises(RollbackError, match="1452"):
        db.run("INSERT INTO other.notes VALUES (2, 41)")
    db.run("INSERT INTO blazz.logins (session) VALUES (2)")
    db.run("DELETE FROM blazz.sessions WHERE id IN (1, 2)")
    assert db.value("SELECT COUNT(*) FROM blazz.logins") == 0
    assert db.value(f"SELECT COUNT(*) FROM {ATTIC}.logins") == 1
    assert undo(db, journal)["orphans"] == [
        {"name": "logins_session", "table": "blazz.logins", "references": "blazz.sessions", "rows": 1}
    ]


def test_what_the_server_refuses_after_the_rename_can_be_mended_or_undone(db, furnished, journal, other_run):
    before = seen(db)
    db.run("ALTER TABLE blazz__shadow_1.sessions ADD token INT")
    db.run("CREATE VIEW blazz__shadow_1.tokens AS SELECT token FROM blazz__shadow_1.sessions")
    for _time in range(2):
        with pytest.raises(RollbackError, match=r"tables were swapped.*view tokens"):
            swap(db, journal, REQUEST)
        found = seen(db)
        assert ("TRIGGER only_in_1" in found["definitions"], found["read_only"]) == (True, 0)
        assert found["keys"] == before["keys"]
    assert undo(db, journal, other_run(1))["changed"]
    assert seen(db) == before
    # The undo of the undo brings what there was before it, which is without the view.
    undo(db, other_run(1), other_run(2))
    assert "VIEW z_base" in seen(db)["definitions"]


def test_what_was_refused_is_made_once_it_can_be(db, furnished, journal):
    db.run("ALTER TABLE blazz__shadow_1.sessions ADD token INT")
    db.run("CREATE VIEW blazz__shadow_1.tokens AS SELECT token FROM blazz__shadow_1.sessions")
    with pytest.raises(RollbackError, match="view tokens"):
        swap(db, journal, REQUEST)
    db.run("ALTER TABLE blazz.sessions ADD token INT")
    assert swap(db, journal, REQUEST)["in_force"]
    assert db.rows("SELECT * FROM blazz.tokens") == [(None,), (None,)]
    assert [step.state for step in journal.to_undo("database")] == ["done"]


def test_a_broken_view_is_no_obstacle_and_comes_back_as_it_was(db, furnished, journal):
    db.run("CREATE VIEW blazz.broken AS SELECT id FROM blazz.swapped_2")
    db.run("CREATE TABLE blazz.short_lived (id INT)")
    db.run("CREATE VIEW blazz.unlike AS SELECT id FROM blazz.short_lived")
    db.run("CREATE VIEW blazz__shadow_1.unlike AS SELECT id FROM blazz__shadow_1.users")
    db.run("DROP TABLE blazz.short_lived")
    swap(db, journal, REQUEST)
    assert db.rows("SELECT * FROM blazz.unlike") == [(1,), (2,)]
    undo(db, journal)
    assert db.rows("SELECT * FROM blazz.broken") == []
    assert {"broken", "unlike"} <= set(read_objects(db, [LIVE])[LIVE]["views"])


def test_kinds_that_a_backup_lacks_can_stay(db, furnished, journal):
    for name in ("nightly", "paused", "only_in_1"):
        db.run(f"DROP EVENT blazz__shadow_1.{name}")
    before = definitions(db, LIVE)
    swap(db, journal, dataclasses.replace(REQUEST, keep_objects=("events", "routines")))
    after = definitions(db, LIVE)
    kept = {name for name in before if name.startswith(("event", "function", "procedure"))}
    assert {name: after.get(name) for name in kept} == {name: before[name] for name in kept}
    assert "procedure only_in_1" not in after
    assert "trigger only_in_1" in after
    undo(db, journal)
    assert definitions(db, LIVE) == before


ODD = """
CREATE FUNCTION `say``'"it` (x VARCHAR(9)) RETURNS VARCHAR(9) DETERMINISTIC COMMENT 'it''s' RETURN CONCAT(x, 'é€')
CREATE TRIGGER {0}.`tr ig` BEFORE INSERT ON {0}.`audit` FOR EACH ROW SET NEW.what = 'é'
CREATE VIEW `v ``x` AS SELECT `what` AS `w"'` FROM `audit` WHERE `what` LIKE '%é\\_%'
CREATE VIEW elsewhere AS SELECT audit.id, notes.user FROM audit JOIN other.notes ON notes.id = audit.id
CREATE PROCEDURE p(OUT x INT) BEGIN DECLARE y INT DEFAULT 1; /* {0}.x */ SET x = y; END
"""
OF_MARIADB = """
CREATE OR REPLACE ROLE keeper
CREATE DEFINER=keeper TRIGGER {0}.kept BEFORE INSERT ON {0}.`audit` FOR EACH ROW SET NEW.what = 'x'
CREATE AGGREGATE FUNCTION total(x INT) RETURNS INT BEGIN RETURN 1; LOOP FETCH GROUP NEXT ROW; END LOOP; END
SET SESSION sql_mode='ORACLE', time_zone='+03:00'
CREATE PACKAGE pk AS FUNCTION f RETURN INT; END
CREATE PACKAGE BODY pk AS FUNCTION f RETURN INT AS BEGIN RETURN 3; END; END
CREATE EVENT "or" ON SCHEDULE AT '2035-06-01 12:00:00' DO DELETE FROM audit WHERE what = "what"
"""
LATIN = """
SET SESSION sql_mode='ANSI_QUOTES,PIPES_AS_CONCAT', time_zone='SYSTEM', character_set_client=latin1
SET SESSION collation_connection=latin1_german1_ci
CREATE FUNCTION latin() RETURNS VARCHAR(9) CHARSET utf8mb4 DETERMINISTIC RETURN 'é' || pi()
SET NAMES utf8mb4
"""


def test_odd_definitions_survive(server, db, furnished, journal):
    db.run(f"USE {SHADOW}")
    for statement in (ODD + (OF_MARIADB if has_sequences(server) else "") + LATIN).splitlines():
        if statement:
            db.run(statement.format(SHADOW))
    with server.connect() as fresh:
        staged, live = definitions(fresh, SHADOW), definitions(fresh, LIVE)
        swap(fresh, journal, REQUEST)
        after = definitions(fresh, LIVE)
        # MariaDB names the schema of every table of a view that also refers to another one.
        del after["view elsewhere"], staged["view elsewhere"]
        text = "SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA='blazz'"
        text = fresh.value(text + " AND TABLE_NAME='elsewhere'")
        assert "`blazz`.`audit`" in text
        assert SHADOW not in text
        assert after == staged
        assert after["function latin"].collation == "latin1_german1_ci"
        # Sent as UTF-8 and meant as Latin-1: two characters.
        literal = "SELECT HEX(REGEXP_SUBSTR(ROUTINE_DEFINITION, '[^ -~]+')) FROM information_schema.ROUTINES"
        assert fresh.value(literal + " WHERE ROUTINE_SCHEMA='blazz' AND ROUTINE_NAME='latin'") == "C383C2A9"
        assert fresh.value("SELECT blazz.`say``'\"it`('x')") == "xé€"
        if has_sequences(server):
            assert fresh.value("SELECT blazz.pk.f()") == 3
        assert fresh.rows("SELECT @@character_set_client, @@time_zone") == [("utf8mb4", "SYSTEM")]
        assert "STRICT_TRANS_TABLES" in fresh.value("SELECT @@SESSION.sql_mode")
        undo(fresh, journal)
        assert definitions(fresh, LIVE) == live
    db.run("DROP ROLE IF EXISTS keeper")


ASLEEP = {"SLAVESIDE_DISABLED": "asleep", "REPLICA_SIDE_DISABLED": "asleep"}


def states(db, schema):
    rows = db.rows("SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s", [schema])
    return {name: ASLEEP.get(state, state) for name, state in rows}


@pytest.fixture
def dumped(server, db, tmp_path):
    """The dump of a schema whose event would fire at once, wherever it is loaded."""
    clear(server)
    db.run("CREATE DATABASE blazz")
    db.run("CREATE TABLE blazz.ticks (id INT AUTO_INCREMENT PRIMARY KEY)")
    state = "ON COMPLETION PRESERVE ENABLE"
    db.run(f"CREATE EVENT blazz.tick ON SCHEDULE EVERY 1 SECOND COMMENT '{state}' DO INSERT INTO ticks VALUES ()")
    db.run("CREATE EVENT blazz.off ON SCHEDULE EVERY 1 SECOND DISABLE DO INSERT INTO ticks VALUES ()")
    db.run(f"CREATE PROCEDURE blazz.p() SELECT ' {state} '")
    yield server.dump("blazz", tmp_path / "v1.sql.zst")
    db.run("SET GLOBAL event_scheduler=OFF")
    clear(server)


def clause(db):
    return sleeping(db.engine, db.version_number())


def loaded(server, db, path):
    load_beside(db, server.arguments, path, SHADOW, Expected(), None)


def test_events_of_a_copy_never_fire_and_wake_up_live(server, db, dumped, journal):
    db.run("SET GLOBAL event_scheduler=ON")
    recorded = definitions(db, LIVE)
    loaded(server, db, dumped)
    assert states(db, SHADOW) == {"tick": "asleep", "off": "DISABLED"}
    db.run("ALTER EVENT blazz.tick DISABLE")
    swap(db, journal, dataclasses.replace(REQUEST, keep=()))
    assert states(db, LIVE) == {"tick": "ENABLED", "off": "DISABLED"}
    assert definitions(db, LIVE) == recorded
    undo(db, journal)
    assert states(db, LIVE) == {"tick": "DISABLED", "off": "DISABLED"}


def test_a_plain_dump_acts_in_its_copy_only(server, db, dumped, tmp_path):
    db.run("CREATE TRIGGER blazz.fires BEFORE INSERT ON blazz.ticks FOR EACH ROW SET NEW.id = 1")
    dump = server.dump("blazz", tmp_path / "v2.sql.zst")
    db.run("DROP TRIGGER blazz.fires")
    loaded(server, db, dump)
    assert states(db, SHADOW) == {"tick": "asleep", "off": "DISABLED"}
    triggers = {schema: kinds["triggers"] for schema, kinds in read_objects(db, [LIVE, SHADOW]).items()}
    assert triggers == {LIVE: [], SHADOW: ["fires"]}


def test_on_a_replica_events_stay_disabled(server, db, dumped, journal):
    db.run(f"ALTER EVENT blazz.tick {clause(db)}")
    loaded(server, db, dumped)
    swap(db, journal, dataclasses.replace(REQUEST, keep=()))
    assert states(db, LIVE) == {"tick": "asleep", "off": "DISABLED"}


def test_another_run_finds_what_a_killed_one_left(server, db, furnished, journal, other_run):
    staged = definitions(db, SHADOW)
    dead = other_run(1)
    assert stopped(server, 1, die, lambda own: swap(own, dead, REQUEST), only="RENAME") == 9
    assert not [name for name in definitions(db, LIVE) if name == "trigger second"]
    assert swap(db, journal, REQUEST, check=True)["changed"]
    assert seen(db)["read_only"] == 1
    swap(db, journal, REQUEST)
    assert seen(db)["read_only"] == 0
    assert definitions(db, LIVE) == staged


def test_the_module_shows_what_it_hands_over(db, furnished, module):
    arguments = {"schema": LIVE, "shadow": SHADOW, "attic": ATTIC, "keep_tables": ["sessions"], "state_dir": True}
    planned = module("database_swap", check=True, **arguments)
    foreseen = module("database_swap", check=True, **arguments, incoming_tables=["users", "later"])
    done = module("database_swap", freeze_s=60, lock_wait_s=30, **arguments)
    assert (planned["diff"], planned["objects"]) == (done["diff"], done["objects"])
    lines = [set(done["diff"][side].splitlines()) for side in ("before", "after")]
    assert [any(line.startswith("blazz: view z_base ") for line in side) for side in lines] == [True, True]
    assert not {line for line in lines[0] & lines[1] if line.startswith("blazz: ")}
    # Nobody can tell the objects of a backup that was not loaded.
    assert foreseen["tables"]["to_live"] == ["later", "users"]
    assert foreseen["objects"]["to_live"] == foreseen["objects"]["from_live"] == []
    back = {"schema": LIVE, "state": "reverted", "state_dir": True, "freeze_s": 60, "lock_wait_s": 30}
    shown = module("database_swap", check=True, **back)
    assert module("database_swap", **back)["diff"] == shown["diff"]
    assert "more than 0" in module("database_swap", freeze_s=0, **arguments)["msg"]
