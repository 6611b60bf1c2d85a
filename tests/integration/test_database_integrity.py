"""database_integrity against a real server: sound schemas, damaged ones, and a bounded time."""

from __future__ import annotations

import pathlib
import time

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import table_checks
from ansible_collections.campaign.rollback.plugins.module_utils.database import Database, table_digests
from ansible_collections.campaign.rollback.plugins.module_utils.database_integrity import Request, run_checks
from ansible_collections.campaign.rollback.plugins.module_utils.table_checks import check_table

LOGS = "campaign_logs.campaign_id refers to campaigns.id"
TOO_LONG = {"mariadb": "1969", "mysql": "3024"}
#: What is checked without being asked for.
ALWAYS = {
    "schema blazz has tables": "passed",
    "tables that cannot be read": "passed",
    "tables without an id left": "passed",
    LOGS: "passed",
}


def numbers(count):
    """Rows ``n`` of ``numbers``; ten tables of ten, as both servers bound a recursion."""
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    n = "a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 1"
    return (
        f"WITH digits AS ({digits}), numbers AS (SELECT {n} AS n FROM digits a, digits b, digits c, digits e, digits f"
        f" WHERE {n} <= {count})"
    )


def verdicts(found):
    return {entry["name"]: entry["verdict"] for entry in found["checks"]}


def checked(server, request=None, schema="blazz"):
    with server.connect(read_only=True, statement_s=60) as reader:
        return run_checks(reader, schema, request or Request())


def test_a_verdict_for_each_check_with_what_it_rests_on(db, fill, module):
    fill()
    db.run("SET SESSION foreign_key_checks=0")
    db.run("INSERT INTO blazz.campaign_logs (campaign_id, message_id) VALUES (99, 'orphan'), (99, 'another')")
    digest = table_digests(db, "blazz")["campaigns"]
    found = module(
        "database_integrity",
        schema="blazz",
        expected={
            "tables": {"campaigns": {"digest": digest}, "gone": {"digest": "x"}},
            "absent_tables": ["campaign_hybrid_options"],
            "absent_columns": ["campaigns.name"],
        },
        assertions=[
            {"name": "two campaigns", "query": "SELECT COUNT(*) FROM campaigns", "expect": 2},
            {"name": "broken", "query": "SELECT nonsense FROM campaigns", "expect": 1},
        ],
        orphans=[{"table": "campaign_logs", "column": "campaign_id", "references_table": "campaigns"}],
        check_tables="fast",
    )
    assert verdicts(found) == {
        **ALWAYS,
        LOGS: "failed",
        "structure of campaigns": "passed",
        "structure of gone": "failed",
        "no table campaign_hybrid_options": "passed",
        "no column campaigns.name": "failed",
        "two campaigns": "passed",
        "broken": "failed",
        **{f"check of {table}": "passed" for table in ("campaigns", "campaign_logs", "migrations", "sessions")},
    }
    assert next(entry["found"] for entry in found["checks"] if entry["name"] == LOGS) == "2"
    assert (found["checks_passed"], found["checks_failed"], found["checks_not_made"]) == (10, 4, 0)
    assert all(entry["seconds"] >= 0 and entry["passed"] == (entry["verdict"] == "passed") for entry in found["checks"])
    assert (found["threads_connected"] >= 1, found["seconds"] > 0, found["changed"]) == (True, True, False)


@pytest.mark.parametrize("level", ["none", "fast", "medium", "extended"])
def test_no_false_alarm_on_a_sound_schema(server, db, fill, level):
    fill()
    db.run("CREATE TABLE blazz.parts (id INT PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 3")
    db.run("CREATE TABLE blazz.other_engine (id INT PRIMARY KEY) ENGINE=MyISAM")
    db.run("CREATE TABLE blazz.words (id TINYINT AUTO_INCREMENT PRIMARY KEY, t TEXT, FULLTEXT (t)) COMMENT='crashed'")
    db.run("INSERT INTO blazz.words VALUES (120, 'a')")
    db.run("CREATE VIEW blazz.v AS SELECT * FROM blazz.campaigns")
    db.run("CREATE TABLE blazz.empty_refs (campaign_id BIGINT UNSIGNED NULL, x INT)")
    db.run("INSERT INTO blazz.empty_refs VALUES (NULL, 1)")
    found = checked(server, Request(level=level, since=time.time()))
    assert set(verdicts(found).values()) == {"passed"}
    assert (sum(name.startswith("check of ") for name in verdicts(found)) > 0) is (level != "none")
    assert [entry["orphans"] for entry in found["undeclared"]] == [0]


def test_composite_and_cyclic_keys_are_followed(server, db):
    db.run("CREATE DATABASE blazz")
    db.run("CREATE TABLE blazz.p (a INT, b INT, boss INT, PRIMARY KEY (a, b), UNIQUE (a))")
    db.run("ALTER TABLE blazz.p ADD CONSTRAINT cycle FOREIGN KEY (boss) REFERENCES blazz.p (a)")
    db.run(
        "CREATE TABLE blazz.c (id INT PRIMARY KEY, a INT, b INT,"
        " CONSTRAINT two FOREIGN KEY (a, b) REFERENCES blazz.p (a, b))"
    )
    db.run("INSERT INTO blazz.p VALUES (1, 1, NULL), (2, 2, 1)")
    db.run("INSERT INTO blazz.c VALUES (1, 1, 1), (2, NULL, 7), (3, 7, NULL)")
    names = ["c.a+b refers to p.a+b", "p.boss refers to p.a"]
    assert [verdicts(checked(server))[name] for name in names] == ["passed", "passed"]
    db.run("SET SESSION foreign_key_checks=0")
    db.run("INSERT INTO blazz.c VALUES (4, 1, 2)")
    db.run("UPDATE blazz.p SET boss = 9 WHERE a = 2")
    assert [verdicts(checked(server))[name] for name in names] == ["failed", "failed"]


def test_a_relation_that_nobody_declared_is_reported_and_fails_only_if_it_is_listed(server, db, fill):
    fill()
    db.run("CREATE TABLE blazz.messages (id INT PRIMARY KEY, campaign_id BIGINT UNSIGNED NULL)")
    db.run("INSERT INTO blazz.messages VALUES (1, 1), (2, 99), (3, 99), (4, NULL)")
    name = "messages.campaign_id refers to campaigns.id"
    found = checked(server)
    assert [(entry["relation"], entry["orphans"]) for entry in found["undeclared"]] == [(name, 2)]
    assert (found["checks_failed"], name in verdicts(found)) == (0, False)
    orphan = {"table": "messages", "column": "campaign_id", "references_table": "campaigns", "references_column": "id"}
    found = checked(server, Request(orphans=[orphan]))
    assert (found["undeclared"], verdicts(found)[name]) == ([], "failed")


def test_ids_that_are_used_up_are_found(server, db, fill):
    fill()
    assert "fullest is " in str(checked(server)["checks"])
    db.run("CREATE TABLE blazz.small (id TINYINT AUTO_INCREMENT PRIMARY KEY)")
    db.run("INSERT INTO blazz.small VALUES (127)")
    found = next(entry for entry in checked(server)["checks"] if entry["name"] == "tables without an id left")
    assert (found["verdict"], found["found"]) == ("failed", "small")


@pytest.mark.parametrize("query", ["DELETE FROM campaigns", "DROP TABLE sessions", "CREATE TABLE x (id INT)"])
def test_an_assertion_cannot_change_anything(server, db, fill, query):
    fill()
    found = checked(server, Request(assertions=[{"name": "n", "query": query, "expect": "2"}]))
    assert verdicts(found)["n"] == "failed"
    assert db.value("SELECT COUNT(*) FROM blazz.campaigns") == 2
    assert len(table_digests(db, "blazz")) == 4


# 40 rows in each; the condition keeps the server from multiplying the numbers instead of looking.
MANY = ", ".join(f"campaign_logs {alias}" for alias in "abcdefgh")
ENDLESS = {"name": "endless", "query": f"SELECT COUNT(*) FROM {MANY} WHERE a.id + b.id + h.id < 0", "expect": "0"}


def test_a_query_that_takes_too_long_has_not_passed(server, db, fill):
    fill()
    found = checked(server, Request(assertions=[ENDLESS], statement_s=1))
    entry = next(entry for entry in found["checks"] if entry["name"] == "endless")
    assert (entry["verdict"], TOO_LONG[server.engine] in entry["detail"]) == ("failed", True)


def test_what_the_time_does_not_reach_is_not_checked(server, db, fill):
    fill()
    many = [dict(ENDLESS, name=f"endless {number}") for number in range(4)]
    found = checked(server, Request(assertions=many, seconds=1, level="fast"))
    assert found["checks_failed"] == 0
    late = {name for name, verdict in verdicts(found).items() if verdict == "not checked"}
    assert {entry["name"] for entry in many} <= late
    assert {name for name in verdicts(found) if name.startswith("check of ")} <= late
    assert found["checks_not_made"] == len(late)
    assert found["undeclared"] == []


def test_a_check_that_was_stopped_has_not_passed_although_the_server_says_ok(server, db, fill, monkeypatch):
    fill()
    db.run(f"INSERT INTO blazz.campaigns (name) {numbers(60000)} SELECT REPEAT('x', 200) FROM numbers")
    # Every index is checked, so that it takes a while on any machine.
    db.run("ALTER TABLE blazz.campaigns " + ", ".join(f"ADD KEY `{number}` (name, id)" for number in range(8)))
    with server.connect() as own:
        said = []
        rows = Database.rows

        def recorded(self, sql, arguments=None):
            answer = rows(self, sql, arguments)
            if sql.startswith("CHECK TABLE"):
                said.extend(answer)
            return answer

        monkeypatch.setattr(Database, "rows", recorded)
        stopped = check_table(own, "blazz", "campaigns", "extended", 0.01)
        assert said[-1][3] == "OK", "this is why the answer does not count"
        assert (stopped["verdict"], stopped["passed"]) == ("not checked", False)
        assert own.value("SELECT 1 + 1") == 2
        assert check_table(own, "blazz", "campaigns", "fast", 60)["verdict"] == "passed"


@pytest.mark.only("mariadb", reason="a limit of MySQL holds for queries alone")
def test_a_limit_of_the_server_does_not_stop_a_check_unnoticed(server, db, fill):
    fill()
    with server.connect(statement_s=1) as own:
        check_table(own, "blazz", "campaigns", "fast", 60)
        assert float(own.value("SELECT @@max_statement_time")) == 0


class Damage:
    """Overwrites a part of a table's file while the server is stopped."""

    def __init__(self, server):
        self.server = server
        self.data = pathlib.Path(next(o for o in server.command if o.startswith("--datadir=")).split("=", 1)[1])

    def __call__(self, table, page, offset=0, data=bytes(range(256)) * 16):
        self.server.process.terminate()
        self.server.process.wait()
        with open(self.data / "blazz" / f"{table}.ibd", "r+b") as stream:
            stream.seek(page * 16384 + offset)
            stream.write(data)
        self.server.start()


@pytest.fixture
def big(db, fill):
    """A table with pages enough that one of them can be hit, closed cleanly."""
    fill()
    db.run("CREATE TABLE blazz.big (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(200), KEY (a))")
    db.run(f"INSERT INTO blazz.big (a, b) {numbers(20000)} SELECT n % 100, REPEAT(SHA2(n, 256), 3) FROM numbers")
    db.run("SET GLOBAL innodb_fast_shutdown=0")


@pytest.mark.only("mysql", reason="MariaDB survives a damaged page")
def test_a_server_that_ends_itself_at_a_damaged_page_leaves_a_verdict(server, big):
    Damage(server)("big", 40, 5000)
    found = checked(server, Request(level="fast"))
    server.process.wait()
    server.start()
    assert verdicts(found)["check of big"] == "failed"
    assert verdicts(found)["check of campaigns"] == "passed"


@pytest.mark.only("mariadb", reason="MySQL ends itself when it reads a damaged page")
@pytest.mark.parametrize("level", ["fast", "medium"])
def test_a_damaged_page_is_found_and_nothing_else_suffers(server, big, level):
    Damage(server)("big", 40, 5000)
    began = time.time()
    found = checked(server, Request(level=level, since=began - 60))
    assert verdicts(found)["check of big"] == "failed"
    others = {name: verdict for name, verdict in verdicts(found).items() if name.startswith("check of ")}
    assert {name for name, verdict in others.items() if verdict != "passed"} == {"check of big"}
    assert verdicts(found)["error log: page checksum"] == "failed"
    told = next(entry for entry in found["checks"] if entry["name"] == "error log: page checksum")
    assert int(told["found"]) >= 1
    lines = server.log.read_text().split("\n")
    first = int(told["detail"].split("lines ", 1)[1].split(",")[0].split(" ")[0])
    assert "corrupt" in lines[first - 1]
    assert "corrupt" not in told["detail"], "numbers, not text"


@pytest.mark.only("mariadb", reason="MySQL ends itself when it reads a damaged page")
def test_a_table_that_cannot_be_read_is_found(server, big, db):
    Damage(server)("big", 0, 0, b"\0" * 16384)
    with server.connect(read_only=True) as reader:
        found = run_checks(reader, "blazz", Request(expected={"tables": {"big": {}, "campaigns": {}}}, level="fast"))
    answers = verdicts(found)
    assert (answers["tables that cannot be read"], answers["check of big"]) == ("failed", "failed")
    assert (answers["table campaigns"], answers["check of campaigns"]) == ("passed", "passed")


def test_a_server_that_dies_of_a_check_fails_that_check(server, db, fill, monkeypatch):
    """The connection breaks in the middle of one check; the others are made, by a new connection."""
    fill()
    original = table_checks.check_table

    def deadly(own, schema, table, level, seconds):
        if table == "campaigns":
            with server.connect() as other:
                other.run(f"KILL CONNECTION {own.value('SELECT CONNECTION_ID()')}")
        return original(own, schema, table, level, seconds)

    monkeypatch.setattr(
        "ansible_collections.campaign.rollback.plugins.module_utils.database_integrity.check_table", deadly
    )
    found = checked(server, Request(level="fast"))
    assert verdicts(found)["check of campaigns"] == "failed"
    assert {name for name, verdict in verdicts(found).items() if verdict == "failed"} == {"check of campaigns"}


def test_the_log_is_read_only_if_a_time_is_given(server, db, fill, module):
    fill()
    assert not any(name.startswith("error log") for name in verdicts(checked(server)))
    found = module("database_integrity", schema="blazz", log_since="2026-01-01T00:00:00Z")
    assert sum(name.startswith("error log") for name in verdicts(found)) == 4
    assert "cannot be read" in module("database_integrity", schema="blazz", log_since="yesterday")["msg"]


def test_an_empty_schema_has_passed_nothing(server, db):
    db.run("CREATE DATABASE blazz")
    orphan = {"table": "a", "column": "b", "references_table": "c", "references_column": "d"}
    request = Request(assertions=[{"name": "n", "query": "SELECT 1", "expect": "1"}], orphans=[orphan])
    assert set(verdicts(checked(server, request)).values()) == {"failed"}
