"""A source with a replica attached: both are rolled back and back again, and the replica itself is refused."""

from __future__ import annotations

import contextlib
import socket

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import read_tables
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import Expected, load_beside
from ansible_collections.campaign.rollback.plugins.module_utils.database_replication import read_replication
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import Request, revert, swap
from conftest import create, running

SCHEMAS = ["blazz", "blazz__shadow_1", "blazz__attic_1", "blazz__attic_undo_1"]
FOLLOW = {
    "mariadb": "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={}, MASTER_USER='follower',"
    " MASTER_PASSWORD='f', MASTER_USE_GTID=slave_pos; START SLAVE",
    "mysql": "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={}, SOURCE_USER='follower',"
    " SOURCE_PASSWORD='f', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1; START REPLICA",
}
# Where a source is, and how a replica waits until it is there too.
CAUGHT_UP = {
    "mariadb": ("SELECT @@gtid_binlog_pos", "SELECT MASTER_GTID_WAIT('{}', 300)"),
    "mysql": ("SELECT @@gtid_executed", "SELECT WAIT_FOR_EXECUTED_GTID_SET('{}', 300)"),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def pair(server):
    """Connections to a source and to the replica that follows it, over the network, as replication does."""
    engine, port = server.engine, free_port()
    options = ["--log-bin", "--gtid-mode=ON", "--enforce-gtid-consistency=ON"][: 1 if engine == "mariadb" else 3]
    listen = ["--bind-address=127.0.0.1", f"--port={port}"]
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(running(engine, "--server-id=1", *listen, *options))
        replica = stack.enter_context(running(engine, "--server-id=2", "--skip-networking", *options))
        first, second = stack.enter_context(source.connect()), stack.enter_context(replica.connect())
        first.run("CREATE USER follower@'127.0.0.1' IDENTIFIED BY 'f'")
        first.run("GRANT REPLICATION SLAVE ON *.* TO follower@'127.0.0.1'")
        for statement in FOLLOW[engine].format(port).split("; "):
            second.run(statement)
        yield source, first, second


def content(db):
    """All tables and the sums of their rows."""
    return {
        (schema, name): db.rows(f"CHECKSUM TABLE {schema}.{name}")
        for schema, tables in read_tables(db, SCHEMAS).items()
        for name in tables
    }


def catch_up(first, second):
    where, wait = CAUGHT_UP[first.engine]
    assert second.value(wait.format(first.value(where).replace("\n", ""))) == 0


def test_a_replica_follows_load_swap_and_undo(pair, journal, tmp_path):
    source, first, second = pair
    create(first, "blazz")
    path = source.dump("blazz", tmp_path / "a.sql.zst")
    first.run("INSERT INTO blazz.campaigns (name) VALUES ('later')")
    load_beside(first, source.arguments, path, "blazz__shadow_1", Expected(), None)
    swap(first, journal, Request("blazz", "blazz__shadow_1", "blazz__attic_1"))
    first.run("INSERT INTO blazz.campaigns (name) VALUES ('since')")
    catch_up(first, second)
    swapped = content(first)
    assert len(swapped) == 8
    assert content(second) == swapped
    assert revert(first, journal, journal, "blazz", 1, 1)["merged"] == {"campaigns": 1}
    catch_up(first, second)
    assert content(first) != swapped
    assert content(second) == content(first)
    found = read_replication(first)
    assert (found.role, found.replicas, found.refused, found.gtid) == ("source", 1, "", True)
    assert read_replication(second).role == "replica"
