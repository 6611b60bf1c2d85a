"""Private servers for the tests of this directory, first MariaDB, then MySQL: own data directory, socket only.

Every test runs against both, unless it is marked as ``only`` one server's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    qualified,
    quote,
    read_tables,
    schema_info,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_backup import back_up
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import Expected, load_beside, remove
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from servers import ROOT, program, running

RUN_ID = "20261121T174500Z"
SHADOW, VERIFY = "blazz__shadow_1", "blazz__verify_1"

# The shapes that matter: a foreign key, a self-stamping and a generated column, a unique string, bytes.
TABLES = """
CREATE TABLE {0}.campaigns (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(200) NOT NULL, note TEXT NULL, raw VARBINARY(300) NULL,
  shout VARCHAR(200) AS (UPPER(name)) VIRTUAL
) DEFAULT CHARSET utf8mb4;
CREATE TABLE {0}.campaign_logs (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, campaign_id BIGINT UNSIGNED NOT NULL,
  message_id CHAR(36) NOT NULL UNIQUE, status VARCHAR(20) NOT NULL DEFAULT 'pending', sent_at TIMESTAMP NULL,
  touched TIMESTAMP NOT NULL DEFAULT '2020-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP,
  FOREIGN KEY (campaign_id) REFERENCES {0}.campaigns (id) ON DELETE CASCADE
) DEFAULT CHARSET utf8mb4;
CREATE TABLE {0}.migrations (
  id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, migration VARCHAR(255) NOT NULL, batch INT NOT NULL
);
CREATE TABLE {0}.sessions (id VARCHAR(40) PRIMARY KEY, payload TEXT NOT NULL);
INSERT INTO {0}.campaigns (name) VALUES ('first'), ('second');
INSERT INTO {0}.campaign_logs (campaign_id, message_id)
  WITH RECURSIVE numbers AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < 40)
  SELECT 1 + n % 2, CONCAT('m', n) FROM numbers;
INSERT INTO {0}.migrations (migration, batch) VALUES ('2021_01_01_create_campaigns', 1);
"""


def pytest_collection_modifyitems(items):
    for item in items:
        only = item.get_closest_marker("only")
        # A test that starts servers of its own chooses them itself.
        if only and "server" in item.fixturenames and item.callspec.params["server"] not in only.args:
            item.add_marker(pytest.mark.skip(reason=only.kwargs["reason"]))


@pytest.fixture(scope="session", params=["mariadb", "mysql"])
def server(request):
    program("zstd")
    path = os.environ["PATH"]
    try:
        # Tests kill servers, which takes nothing from the operating system; nobody waits for a disk here.
        unsynced = ["--innodb-flush-method=nosync", "--sync-binlog=0"]
        with running(request.param, "--skip-networking", *unsynced) as found:
            yield found
    finally:
        os.environ["PATH"] = path


@pytest.fixture
def db(server):
    with server.connect() as connection:
        _drop_all(connection)
        yield connection
    # Another one, because a test may have restarted the server.
    with server.connect() as connection:
        _drop_all(connection)


def _drop_all(connection):
    connection.run("SET SESSION foreign_key_checks=0")
    for (name,) in connection.rows("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA"):
        if name not in ("mysql", "sys", "information_schema", "performance_schema"):
            connection.run(f"DROP DATABASE {quote(name)}")
    # Those of rehearsals.
    for (name,) in connection.rows("SELECT User FROM mysql.user WHERE User LIKE 'rollback%' AND Host = '%'"):
        connection.run(f"DROP USER {quote(name)}@'%'")
    connection.run("SET SESSION foreign_key_checks=1")


def create(connection, name):
    """Make a schema with the usual tables and rows."""
    connection.run(f"CREATE DATABASE {quote(name)} CHARACTER SET utf8mb4")
    for statement in TABLES.format(quote(name)).split(";\n"):
        if statement.strip():
            connection.run(statement)


@pytest.fixture
def fill(db):
    """Create a schema with the usual tables and rows."""

    def fill_schema(name="blazz"):
        create(db, name)
        return name

    return fill_schema


@pytest.fixture
def journal(tmp_path):
    return Journal(RUN_ID, str(tmp_path / "state"))


@pytest.fixture
def other_run(tmp_path):
    """Journals of other runs on the same host, by the second of their id."""
    return lambda second: Journal(f"20261121T1800{second:02d}Z", str(tmp_path / "state"))


@pytest.fixture
def module(server, tmp_path):
    """Run a module the way Ansible's wrapper does: arguments as JSON on standard input."""

    def run(name, check=False, state_dir=False, **arguments):
        arguments.update(login_unix_socket=server.socket, _ansible_check_mode=check)
        if state_dir:
            arguments.update(state_dir=str(tmp_path / "state"))
            arguments.setdefault("run_id", RUN_ID)
        process = subprocess.run(
            [sys.executable, "-m", f"ansible_collections.campaign.rollback.plugins.modules.{name}"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, PYTHONPATH=str(ROOT / "collections")),
        )
        return json.loads(process.stdout)

    return run


def checksums(db, schema):
    names = sorted(read_tables(db, [schema])[schema])
    return {name: db.rows(f"CHECKSUM TABLE {qualified(schema, name)}")[0][1] for name in names}


@pytest.fixture
def made(server, tmp_path):
    """Write a physical backup; returns its files as they are recorded."""

    def make(name="backup", schema="blazz"):
        with server.connect(read_only=True) as own:
            return back_up(own, server.arguments, "physical", schema, str(tmp_path / name))["files"]

    return make


@pytest.fixture
def load(server, tmp_path):
    """Load a backup beside the live schema, compared with what a test restore measured."""

    def load_backup(files, expected=None, schema=SHADOW, src="backup", **more):
        with server.connect(lock_wait_s=30) as own:
            return load_beside(
                own, server.arguments, str(tmp_path / src), schema, expected or Expected(), files, **more
            )

    return load_backup


@pytest.fixture
def recorded(db, load):
    """What a manifest says of a backup, from a test restore."""

    def record(files, src="backup"):
        loaded = load(files, schema=VERIFY, src=src)
        found = schema_info(db, VERIFY)
        remove(db, VERIFY)
        return Expected(found["tables"], found["migrations"], loaded["checksums"])

    return record


@pytest.fixture(scope="module")
def plain(server, tmp_path_factory):
    """A backup of the usual tables with a trigger: its directory, its files, what is expected of a copy."""
    base = tmp_path_factory.mktemp("plain")
    with server.connect() as db:
        create(db, "blazz")
        db.run("CREATE TRIGGER blazz.fires AFTER INSERT ON blazz.campaigns FOR EACH ROW DELETE FROM blazz.sessions")
        files = back_up(db, server.arguments, "physical", "blazz", str(base / "plain"))["files"]
        loaded = load_beside(db, server.arguments, str(base / "plain"), VERIFY, Expected(), files)
        found = schema_info(db, VERIFY)
        return str(base / "plain"), files, Expected(found["tables"], found["migrations"], loaded["checksums"])
