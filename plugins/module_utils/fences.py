"""Fencing: on every host, the number of the newest lease that announced itself there.

A lease alone cannot stop a holder that lost it and does not know yet. So the new holder announces its number on every
host before it changes anything, and whatever changes a host does so under ``acting``, which refuses an older number.
Announcing waits for a change under way, such as one that a killed run left running.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    flocked,
    make_private_directory,
    write_atomically,
)

STATUS = "ansible-playbook playbooks/hold-lease.yml"


def number(state_dir: str) -> int:
    """Newest number that was announced on this host, 0 if none ever was."""
    path = os.path.join(state_dir, "fence.json")
    try:
        with open(path, encoding="utf-8") as stream:
            return int(json.load(stream)["number"])
    except FileNotFoundError:
        return 0
    except (ValueError, KeyError, TypeError) as error:
        raise RollbackError("The fence of this host cannot be read", found=str(error), where=path) from error


def locked(state_dir: str, operation: int) -> contextlib.AbstractContextManager[None]:
    """The lock that changes share and an announcement has for itself."""
    make_private_directory(state_dir)
    return flocked(os.path.join(state_dir, "fence.lock"), operation)


def announce(state_dir: str, fencing: int, wait_s: float) -> bool:
    """Make ``fencing`` the number of this host, once no change is under way; waits at most ``wait_s`` seconds.

    Returns whether anything changed; raises RollbackError if a newer number is there or a change does not end.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            with locked(state_dir, fcntl.LOCK_EX | fcntl.LOCK_NB):
                found = number(state_dir)
                refuse_stale(found, fencing)
                if found < fencing:
                    text = json.dumps({"number": fencing}) + "\n"
                    write_atomically(os.path.join(state_dir, "fence.json"), text.encode("utf-8"))
                return found < fencing
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise RollbackError(
                    "A change that an earlier run began on this host is still under way",
                    found=f"not finished after {wait_s:.0f} s",
                    where="ps -ef | grep Ansiball",
                    next_step="wait until it has ended, then run the same command again",
                ) from None
            time.sleep(0.1)


def refuse_stale(newest: int, fencing: int) -> None:
    """Raise if a newer holder than ``fencing`` announced itself."""
    if fencing < newest:
        raise RollbackError(
            "Another run took the lease over; this one stops before its next change",
            found=f"lease number {fencing}, the newest is {newest}",
            next_step=STATUS,
        )


@contextlib.contextmanager
def acting(state_dir: str, fencing: int) -> Iterator[None]:
    """Everything that changes this host on behalf of lease number ``fencing`` happens inside this."""
    with locked(state_dir, fcntl.LOCK_SH):
        refuse_stale(number(state_dir), fencing)
        yield
