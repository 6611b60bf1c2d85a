"""Events that sleep: those of a staged copy must not fire, and yet their state must not be forgotten.

An event that was enabled is staged as DISABLE ON SLAVE, a state that no event of a server that is no replica has.
"""

from __future__ import annotations

import re

_STATE = r" ON COMPLETION (?:NOT )?PRESERVE (ENABLE|DISABLE ON SLAVE|DISABLE ON REPLICA|DISABLE)\b"
# The first one in a definition is the clause; anything like it further on is a comment or the body.
_CLAUSE = re.compile(_STATE)


def sleeping(engine: str, version: tuple[int, ...]) -> str:
    """The clause by which the server knows the state."""
    return "DISABLE ON REPLICA" if engine == "mysql" and version >= (8, 2) else "DISABLE ON SLAVE"


def state(sql: str) -> str:
    """The state in a CREATE EVENT as the server shows it, such as ``ENABLE``."""
    match = _CLAUSE.search(sql)
    return match.group(1) if match else ""


def with_state(sql: str, wanted: str) -> str:
    """The CREATE EVENT with another state."""
    match = _CLAUSE.search(sql)
    return sql[: match.start(1)] + wanted + sql[match.end(1) :] if match else sql
