"""Tell whether a copy that was left loaded is still the one that was verified, without reading it.

The server knows when each table was made and last written to. It forgets the latter when it restarts, so the time of
its start belongs to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import Database

# The server counts its uptime in whole seconds.
_START_TOLERANCE_S = 2


def proof(db: Database, schema: str) -> dict[str, Any]:
    """What to record of a copy once it was verified: ``{started, at, tables: {name: [made, written]}}``, as text."""
    db.run("SET SESSION time_zone='+00:00'")
    if db.engine == "mysql":
        # Otherwise it tells what it knew a day ago.
        db.run("SET SESSION information_schema_stats_expiry=0")
    uptime = int(db.rows("SHOW GLOBAL STATUS LIKE 'Uptime'")[0][1])
    select = "SELECT TABLE_NAME, CREATE_TIME, UPDATE_TIME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
    tables = {name: [str(made), str(written)] for name, made, written in db.rows(select, [schema])}
    # The clock that tells when a table was written may be some milliseconds behind the other, and so in another second.
    started, at = db.rows("SELECT UNIX_TIMESTAMP() - %s, CAST(NOW() - INTERVAL 1 SECOND AS CHAR)", [uptime])[0]
    return {"started": str(started), "at": at, "tables": tables}


def is_same_load(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the tables are those that were recorded; their rows may have changed."""

    def made(tables: Mapping[str, Any]) -> dict[str, str]:
        return {name: str(times[0]) for name, times in tables.items()}

    return bool(recorded.get("tables")) and made(recorded["tables"]) == made(now["tables"])


def is_untouched(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether nobody can have written to them either."""
    ran_on = abs(int(recorded["started"]) - int(now["started"])) <= _START_TOLERANCE_S
    # In the seconds around the record somebody may have written after it.
    settled = all(written == "None" or written < recorded["at"] for _made, written in recorded["tables"].values())
    return ran_on and settled and {n: list(map(str, times)) for n, times in recorded["tables"].items()} == now["tables"]
