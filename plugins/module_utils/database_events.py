"""Events that sleep: those of a staged copy must not fire, and yet their state must not be forgotten.

An event that was enabled is staged as DISABLE ON SLAVE, a state that no event of a server that is no replica has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_STATE = r" ON COMPLETION (?:NOT )?PRESERVE (ENABLE|DISABLE ON SLAVE|DISABLE ON REPLICA|DISABLE)\b"
# The first one in a definition is the clause; anything like it further on is a comment or the body.
_CLAUSE = re.compile(_STATE)
_LINE = b"/*!50106 CREATE*/ "
_IN_DUMP = re.compile(rb"\n" + re.escape(_LINE) + rb"[^\n]*?" + _STATE.encode("ascii"))


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


def asleep(blocks: Iterable[bytes], sleep: str) -> Iterator[bytes]:
    """The text of a dump made by the server's own tool, in pieces, with enabled events put to sleep; all else as it is.

    Loaded like this, no event of the copy fires, not even before put_to_sleep could have been called.
    """
    held, begun = b"\n", False
    for block in blocks:
        text = held + block
        last = text.rfind(b"\n")
        # A line that may create an event is kept until all of it is there.
        line = text[last + 1 :]
        held = text[last:] if last >= 0 and (line.startswith(_LINE) or _LINE.startswith(line)) else b""
        text = text[: len(text) - len(held)]
        if text:
            yield _IN_DUMP.sub(lambda match: _slept(match, sleep), text)[0 if begun else 1 :]
            begun = True
    yield _IN_DUMP.sub(lambda match: _slept(match, sleep), held)[0 if begun else 1 :]


def _slept(match: re.Match[bytes], sleep: str) -> bytes:
    return match.group(0)[: -len("ENABLE")] + sleep.encode("ascii") if match.group(1) == b"ENABLE" else match.group(0)
