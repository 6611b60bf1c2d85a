"""The database as series: whether it answers, whether it is sound, how full its connections are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    error_code,
    threads_connected,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_integrity import Request, run_checks
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import Series, counted, looked
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import FAILED, PASSED

#: A restart of the server is no damage; it says so in its log if it found some.
NO_DAMAGE = ("error log: server crash", "error log: crash recovery")
#: Too many connections, shutting down, no server, gone: what users would be told, too.
SILENT = (1040, 1053, 2002, 2003, 2006, 2013)


def sample(connect: Callable[[], Database], host: str, schema: str, request: Request) -> list[Series]:
    """Everything; a server that does not answer is one observation. Raises RollbackError if it refuses this account."""
    try:
        with connect() as db:
            found = [counted("database", "reachable", 1, 0, host=host), _connections(db, host)]
            return found + (_integrity(host, run_checks(db, schema, request)["checks"]) if schema else [])
    except RollbackError as error:
        if error_code(error) not in SILENT:
            raise
        return [counted("database", "reachable", 1, 1, host=host, evidence=[f"{host}: {error.what}"])]


def _connections(db: Database, host: str) -> Series:
    most = int(db.rows("SHOW GLOBAL VARIABLES LIKE 'max_connections'")[0][1])
    connected = threads_connected(db)
    place = f"{host}: {connected} of {most} connections"
    return looked("database", "connections_share", connected / most, host=host, evidence=[place])


def _integrity(host: str, checks: list[Mapping[str, Any]]) -> list[Series]:
    counting = [check for check in checks if check["name"] not in NO_DAMAGE]
    if not counting:
        return []
    failed = [check for check in counting if check["verdict"] == FAILED]
    passed = [check for check in counting if check["verdict"] == PASSED]
    unsure = len(counting) - len(failed) - len(passed)
    told = [check for check in counting if check not in passed]
    # Failed ones first; their values may be rows, so only names and reasons.
    places = [f"{host}: {check['name']}: {check['verdict']}" for check in [*failed, *told] if check in told]
    evidence = list(dict.fromkeys(places))
    total = len(failed) + len(passed)
    return [counted("database", "integrity", total, len(failed), unsure, host=host, evidence=evidence)]
