"""Where MariaDB and MySQL differ behind the same question, the same guarantee holds on both."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import Database, read_tables, table_digests
from ansible_collections.campaign.rollback.plugins.module_utils.database_backup import back_up
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import Request, revert, swap
from ansible_collections.campaign.rollback.plugins.module_utils.dump import connection_arguments

SHADOW, ATTIC = "blazz__shadow_1", "blazz__attic_1"


@pytest.fixture
def both(db):
    """Make the same table live and in the shadow, and nothing else."""

    def create(columns):
        for schema in ("blazz", SHADOW):
            db.run(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")
            db.run(f"CREATE TABLE {schema}.notes ({columns})")

    return create


def test_rows_of_a_table_that_was_empty_survive_an_undo(db, both, journal):
    both("id INT AUTO_INCREMENT PRIMARY KEY, x INT")
    assert read_tables(db, [SHADOW])[SHADOW]["notes"].auto_increment == 1
    swap(db, journal, Request("blazz", SHADOW, ATTIC))
    db.run("INSERT INTO blazz.notes (x) VALUES (7)")
    assert revert(db, journal, journal, "blazz", 1, 1)["merged"] == {"notes": 1}
    assert db.rows("SELECT id, x FROM blazz.notes") == [(1001, 7)]


def test_text_that_is_no_json_stays_behind_as_a_conflict(db, both, journal):
    both("id INT AUTO_INCREMENT PRIMARY KEY, x JSON")
    db.run(f"ALTER TABLE {SHADOW}.notes MODIFY x TEXT")
    swap(db, journal, Request("blazz", SHADOW, ATTIC))
    db.run("""INSERT INTO blazz.notes (x) VALUES ('{"a": 1}'), ('no json')""")
    result = revert(db, journal, journal, "blazz", 1, 1)
    assert (result["merged"], result["conflicts"]) == ({"notes": 1}, {"notes": 1})
    assert db.rows("SELECT x FROM blazz.notes") == [('{"a": 1}',)]


@pytest.mark.only("mysql", reason="MariaDB has no indexes on expressions")
def test_digests_tell_indexes_on_expressions_apart(db, fill):
    fill()
    found = set()
    for number in (1, 2):
        db.run(f"ALTER TABLE blazz.sessions ADD KEY k ((LENGTH(payload) + {number}))")
        found.add(table_digests(db, "blazz")["sessions"])
        db.run("ALTER TABLE blazz.sessions DROP KEY k")
    assert len(found) == 2


@pytest.fixture
def account(db, server, tmp_path):
    """An option file for an account with a password, of the kind that the server gives new accounts."""
    db.run("CREATE USER rollback@localhost IDENTIFIED BY 'two words'")
    db.run("GRANT ALL ON *.* TO rollback@localhost")
    path = tmp_path / "client.cnf"
    path.write_text("[client]\nuser=rollback\npassword='two words'\n")
    path.chmod(0o600)
    yield str(path)
    with server.connect() as own:
        own.run("DROP USER rollback@localhost")


def test_a_password_is_enough_on_the_socket(server, db, fill, account, tmp_path, monkeypatch):
    """PyMySQL needs another package for MySQL's passwords, except where nobody listens, as on a socket."""
    monkeypatch.setattr("pymysql._auth._have_cryptography", False)
    fill()
    with Database(account, server.socket) as own:
        assert own.value("SELECT CURRENT_USER()") == "rollback@localhost"
    arguments = connection_arguments(account, server.socket)
    with Database(account, server.socket) as own:
        assert back_up(own, arguments, "logical", "blazz", str(tmp_path / "a"))["bytes"] > 0
