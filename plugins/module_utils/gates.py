"""The gate in front of the users: a flag file that nginx looks for, and the requests still under way behind it."""

from __future__ import annotations

import os
import time

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import fsync_directory, write_atomically
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

COMPONENT = "gate"
#: State column of /proc/net/unix for a connected socket.
CONNECTED = "03"


def holder(flag: str) -> str:
    """Run that closed the gate, empty if the gate is open."""
    if not os.path.exists(flag):
        return ""
    with open(flag, encoding="utf-8") as stream:
        return stream.read().strip() or "unknown"


def check(flag: str) -> None:
    """Refuse a gate that was never installed: a flag that nobody looks for would hold nobody back."""
    if not os.path.isdir(os.path.dirname(flag)):
        raise RollbackError(
            "There is no directory for the gate's flag",
            found="nothing",
            where=os.path.dirname(flag),
            next_step="include that directory in the server block of nginx",
        )


def close(journal: Journal, flag: str) -> None:
    """Hold users back from the next request on; world-readable because nginx workers look for it."""
    check(flag)
    with journal.step(COMPONENT, "hold", flag, {"flag": flag}):
        write_atomically(flag, journal.run_id.encode("utf-8") + b"\n", mode=0o644)


def open_gate(journal: Journal, by: Journal, flag: str) -> None:
    """Let users in again, whichever run had held them back."""
    if os.path.exists(flag):
        os.unlink(flag)
        fsync_directory(os.path.dirname(flag))
    for closed in {journal.run_id: journal, by.run_id: by}.values():
        for step in closed.to_undo(COMPONENT, flag):
            closed.undone(step.seq)


def connected(table: str, socket: str) -> int:
    """Connections that a server has accepted on a unix socket, from the text of ``/proc/net/unix``."""
    count = 0
    for line in table.splitlines()[1:]:
        fields = line.split(None, 7)
        if len(fields) == 8 and fields[7] == socket and fields[5] == CONNECTED:
            count += 1
    return count


def drain(socket: str, seconds: float) -> int:
    """Wait until no request is under way on PHP-FPM's socket, at most ``seconds``; returns how many are left."""
    deadline = time.monotonic() + seconds
    while True:
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as stream:
            left = connected(stream.read(), socket)
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(0.02)
