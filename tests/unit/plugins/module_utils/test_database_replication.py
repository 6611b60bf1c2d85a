"""What a server is to others, from what it says; the questions themselves are asked in tests/integration."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database_replication import Replication


@pytest.mark.parametrize(
    ("follows", "replicas", "cluster", "role", "refused"),
    [
        ((), 0, "", "single", ""),
        ((), 2, "", "source", ""),
        (("db1:3306",), 0, "", "replica", "replica of db1:3306"),
        # In a ring every server is both, and what one writes comes back to it.
        (("db1:3306", "db2:3306"), 1, "", "replica", "replica of db1:3306, db2:3306"),
        ((), 0, "galera", "galera", "Galera"),
        (("db1:3306",), 0, "group", "group", "replication group"),
    ],
)
def test_only_a_server_that_nobody_else_writes_to_is_rolled_back(follows, replicas, cluster, role, refused):
    found = Replication(follows, replicas, "ROW", True, cluster)
    assert found.role == role
    assert refused in found.refused
    assert bool(found.refused) is bool(refused)
