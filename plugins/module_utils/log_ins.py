"""Log-ins of users as the application stores them: counted, ended, and brought back.

Ended log-ins are set aside and not deleted: keys of Redis under another name, rows of a table in a schema of their own.
So whoever was logged in can be again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import Database, qualified, quote
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.service_group import evaluate

COMPONENT = "login_sessions"
STORE = "store"

#: All keys that match ARGV[1], but not those that a run set aside.
FIND = """
local cursor, found = '0', {}
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    if string.sub(key, 1, 9) ~= 'rollback:' or string.sub(ARGV[1], 1, 9) == 'rollback:' then found[key] = true end
  end
until cursor == '0'
local count = 0
"""
COUNT = FIND + "for _ in pairs(found) do count = count + 1 end return count"
#: One script each way, so that no log-in is ever lost or in force twice. A renamed key keeps the time it has to live.
SET_ASIDE = (
    FIND
    + """
for key in pairs(found) do
  redis.call('RENAME', key, ARGV[2] .. key)
  count = count + 1
end
return count
"""
)
#: Whoever has come back since has an empty session under the same id, which gives way.
PUT_BACK = (
    FIND
    + """
for key in pairs(found) do
  redis.call('RENAME', key, string.sub(key, #ARGV[2] + 1))
  count = count + 1
end
return count
"""
)

Runner = Callable[[list[str]], "tuple[int, str, str]"]


class RedisStore:
    """Log-ins under keys that match a pattern, on the Redis server of this host."""

    def __init__(self, run: Runner, database: int, pattern: str) -> None:
        """Nothing is asked yet."""
        self._run, self._database, self._pattern = run, database, pattern

    def count(self) -> int:
        """Log-ins in force."""
        return evaluate(self._run, self._database, COUNT, [], [self._pattern])

    def aside(self, run_id: str) -> str:
        """Name under which a run sets them aside."""
        return f"rollback:{run_id}:log-in:"

    def end(self, aside: str) -> int:
        """Set all of them aside; returns how many."""
        return evaluate(self._run, self._database, SET_ASIDE, [], [self._pattern, aside])

    def bring_back(self, aside: str) -> int:
        """Put into force again what was set aside; returns how many."""
        return evaluate(self._run, self._database, PUT_BACK, [], [aside + "*", aside])


class TableStore:
    """Log-ins as rows of a table with a column ``id``, on the database server of this host."""

    def __init__(self, db: Database, schema: str, table: str) -> None:
        """Nothing is asked yet."""
        self._db, self._schema, self._table = db, schema, table

    def count(self) -> int:
        """Log-ins in force."""
        return int(self._db.value(f"SELECT COUNT(*) FROM {qualified(self._schema, self._table)}"))

    def aside(self, run_id: str) -> str:
        """Schema in which a run sets them aside; a table in the live one would be taken for the application's."""
        return f"{self._schema}__log_ins_{run_id}"

    def end(self, aside: str) -> int:
        """Set all of them aside; returns how many."""
        live, kept = qualified(self._schema, self._table), qualified(aside, self._table)
        self._db.run(f"CREATE DATABASE IF NOT EXISTS {quote(aside)}")
        self._db.run(f"CREATE TABLE IF NOT EXISTS {kept} LIKE {live}")
        self._db.run("START TRANSACTION")
        self._db.run(f"INSERT IGNORE INTO {kept} SELECT * FROM {live} FOR UPDATE")
        ended = self._db.run(f"DELETE live FROM {live} AS live JOIN {kept} AS kept ON kept.id = live.id")
        self._db.run("COMMIT")
        return ended

    def bring_back(self, aside: str) -> int:
        """Put into force again what was set aside; returns how many."""
        live, kept = qualified(self._schema, self._table), qualified(aside, self._table)
        self._db.run("START TRANSACTION")
        brought = self._db.run(f"REPLACE INTO {live} SELECT * FROM {kept}")
        self._db.run("COMMIT")
        return brought


Store = Any


def end(journal: Journal, store: Store) -> int:
    """Set all log-ins aside, journaled before; returns how many."""
    aside = store.aside(journal.run_id)
    with journal.step(COMPONENT, "end", STORE, {"aside": aside}) as result:
        result["ended"] = store.end(aside)
    return int(result["ended"])


def check_ended(journal: Journal) -> None:
    """Refuse to bring back what the run of ``journal`` never ended on this host: a misspelled id would do nothing."""
    if not journal.steps(COMPONENT):
        raise RollbackError(
            "This run ended no log-ins on this host",
            found=journal.run_id,
            where="rollback_run",
            next_step=f"ls -t {os.path.dirname(journal.directory)}",
        )


def bring_back(journal: Journal, by: Journal, store: Store) -> int:
    """Put back what the run of ``journal`` set aside, on behalf of the run of ``by``; returns how many."""
    brought = 0
    for step in journal.to_undo(COMPONENT, STORE):
        with journal.reverting(step, by, step.undo) as result:
            result["brought"] = store.bring_back(step.undo["aside"])
        brought += int(result["brought"])
    return brought
