"""Who replicates to and from the local server, and whether a schema may be rolled back on it."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import Database


@dataclasses.dataclass(frozen=True)
class Replication:
    """What a server has to do with others.

    ``follows`` names the sources that it is configured to replicate from as ``host:port``, also while it does not;
    ``replicas`` counts those that are connected to it now. ``binlog`` is the format of its binary log, None without
    one; ``gtid`` is True if that log identifies transactions. ``cluster`` is ``galera``, ``group`` or empty.
    """

    follows: tuple[str, ...]
    replicas: int
    binlog: str | None
    gtid: bool
    cluster: str

    @property
    def role(self) -> str:
        """``galera``, ``group``, ``replica``, ``source`` or ``single``: the first of them that is true."""
        if self.cluster:
            return self.cluster
        if self.follows:
            return "replica"
        return "source" if self.replicas else "single"

    @property
    def refused(self) -> str:
        """Why no schema may be rolled back on this server, empty if nothing about replication is against it."""
        if self.cluster:
            kind = {"galera": "a Galera cluster", "group": "a replication group"}[self.cluster]
            return f"the server is a member of {kind}, where loading beside and swapping were never tried"
        if self.follows:
            sources = ", ".join(self.follows)
            return f"the server is a replica of {sources}: its data have to be rolled back there, and it follows"
        return ""

    def described(self) -> dict[str, Any]:
        """All but ``cluster``, which is the role then; see the module database_info."""
        return {
            "role": self.role,
            "follows": list(self.follows),
            "replicas": self.replicas,
            "binlog": self.binlog,
            "gtid": self.gtid,
            "refused": self.refused,
        }


def read_replication(db: Database) -> Replication:
    """Ask the server; raises RollbackError if the account may not know."""
    settings = dict(
        db.rows("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'log_bin', 'binlog_format', 'gtid_mode')")
    )
    logged = settings["log_bin"] == "ON"
    if db.engine == "mariadb":
        channels = [("", row[3], row[5]) for row in db.rows("SHOW ALL SLAVES STATUS")]
    else:
        # Unlike the statements for it, which were renamed, the same in all versions; there without that schema too.
        channels = db.rows(
            "SELECT CHANNEL_NAME, HOST, PORT FROM performance_schema.replication_connection_configuration"
        )
    sources = [channel for channel in channels if not channel[0].startswith("group_replication_")]
    connected = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'"
    return Replication(
        follows=tuple(f"{host}:{port}" for _channel, host, port in sources),
        replicas=int(db.value(connected)),
        # Servers without the setting know rows only.
        binlog=settings.get("binlog_format", "ROW") if logged else None,
        gtid=logged and settings.get("gtid_mode", "ON") == "ON",
        cluster="galera" if settings.get("wsrep_on") == "ON" else "group" if sources != channels else "",
    )
