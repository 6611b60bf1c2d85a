"""The lease: one holder for the whole system at a time, rollback, undo, capture or deployment.

``<state_dir>/lease.json`` on the state host holds the newest lease, also after its end, because the fencing number only
ever grows. All times are those of the state host's clock. Every event is also a line of ``leases.jsonl``.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    append_line,
    flocked,
    make_private_directory,
    write_atomically,
)

Lease = dict[str, Any]


def clock(seconds: float) -> str:
    """A Unix time as an operator reads it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def seconds_of(moment: str) -> float:
    """What ``clock`` made of a Unix time, as whole seconds."""
    parsed = datetime.datetime.strptime(moment, "%Y-%m-%d %H:%M:%S UTC")
    return parsed.replace(tzinfo=datetime.timezone.utc).timestamp()


def events(state_dir: str) -> Iterator[dict[str, Any]]:
    """Every event, the newest first: the lease after it, ``event``, ``at`` (see ``clock``) and ``by``."""
    try:
        with open(os.path.join(state_dir, "leases.jsonl"), "rb") as stream:
            lines = stream.readlines()
    except FileNotFoundError:
        return
    for line in reversed(lines):
        # One that a crash cut off is none.
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def read(state_dir: str) -> Lease:
    """The newest lease, empty if there never was one."""
    path = os.path.join(state_dir, "lease.json")
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RollbackError("The lease cannot be read", found=str(error), where=path) from error
    if not isinstance(found, dict) or not isinstance(found.get("fencing"), int):
        raise RollbackError("The lease has no fencing number", found=type(found).__name__, where=path)
    return found


def is_held(lease: Lease, now: float) -> bool:
    """Whether the lease binds others: neither ended nor expired."""
    return bool(lease) and not lease.get("ended") and now < float(lease["expires_at"])


def describe(lease: Lease) -> str:
    """Who holds it since when and until when."""
    return "{purpose} {run_id} of {owner}, since {since}, until {until}".format(
        **lease, since=clock(lease["acquired_at"]), until=clock(lease["expires_at"])
    )


def locked(state_dir: str) -> contextlib.AbstractContextManager[None]:
    """One at a time reads the lease and writes what follows from it."""
    make_private_directory(state_dir)
    return flocked(os.path.join(state_dir, "lease.lock"), fcntl.LOCK_EX)


def _write(state_dir: str, lease: Lease, event: str, by: str) -> Lease:
    # The event first: a number that was announced and never used is harmless, one that was used twice is not.
    line = {"event": event, "at": clock(time.time()), "by": by, **lease}
    append_line(os.path.join(state_dir, "leases.jsonl"), json.dumps(line, sort_keys=True))
    text = json.dumps(lease, indent=2, sort_keys=True) + "\n"
    write_atomically(os.path.join(state_dir, "lease.json"), text.encode("utf-8"))
    return lease


def is_own(lease: Lease, run_id: str, process: dict[str, Any]) -> bool:
    """Whether the same run, in the same process, took it."""
    return bool(lease) and lease["run_id"] == run_id and lease["process"] == process


def refuse_held(lease: Lease, run_id: str, process: dict[str, Any], state_dir: str) -> None:
    """Raise with the holder if somebody else holds the lease."""
    if is_held(lease, time.time()) and not is_own(lease, run_id, process):
        raise RollbackError(
            "The system is held by another run; nothing was touched",
            found=describe(lease),
            where=os.path.join(state_dir, "lease.json"),
            next_step="wait for it; or, if it is known to be dead, "
            f"ansible-playbook playbooks/hold-lease.yml -e rollback_break_lease={lease['run_id']}",
        )


def following(
    lease: Lease, now: float, run_id: str, owner: str, purpose: str, expiry_s: int, process: dict[str, Any]
) -> Lease:
    """The lease that comes after ``lease``."""
    return {
        "run_id": run_id,
        "owner": owner,
        "purpose": purpose,
        "process": process,
        "fencing": lease.get("fencing", 0) + 1,
        "acquired_at": now,
        "expires_at": now + expiry_s,
        "ended": "",
    }


def acquire(
    state_dir: str,
    run_id: str,
    owner: str,
    purpose: str,
    expiry_s: int,
    process: dict[str, Any],
    dead: int = 0,
) -> Lease:
    """Take the lease for ``expiry_s`` seconds, with a new fencing number.

    ``process`` identifies the controller's process that holds it, empty if the lease outlives its process. ``dead`` is
    the number of a lease whose process is known to be gone, which may be taken over before it expires. The same process
    may ask again. Raises RollbackError with the holder if somebody else holds it.
    """
    with locked(state_dir):
        now, lease = time.time(), read(state_dir)
        held = is_held(lease, now)
        if lease.get("fencing") != dead:
            refuse_held(lease, run_id, process, state_dir)
        if held and is_own(lease, run_id, process):
            return _write(state_dir, {**lease, "expires_at": now + expiry_s}, "refreshed", owner)
        taken = following(lease, now, run_id, owner, purpose, expiry_s, process)
        return _write(state_dir, taken, "taken over" if held else "acquired", owner)


def _own(state_dir: str, fencing: int) -> Lease:
    lease = read(state_dir)
    if lease.get("fencing") != fencing or lease["ended"] == "broken":
        raise RollbackError(
            "The lease is not this run's any more; it stops before its next change",
            found=describe(lease) if lease else "no lease",
            where=os.path.join(state_dir, "lease.json"),
            next_step="ansible-playbook playbooks/hold-lease.yml",
        )
    return lease


def refresh(state_dir: str, fencing: int, expiry_s: int) -> Lease:
    """Extend one's own lease; one that expired and that nobody took meanwhile is still one's own."""
    with locked(state_dir):
        lease = _own(state_dir, fencing)
        if lease["ended"]:
            raise RollbackError("The lease was given back already", found=describe(lease))
        return _write(state_dir, {**lease, "expires_at": time.time() + expiry_s}, "refreshed", lease["owner"])


def release(state_dir: str, fencing: int) -> Lease:
    """End one's own lease."""
    with locked(state_dir):
        lease = _own(state_dir, fencing)
        if lease["ended"]:
            return lease
        return _write(state_dir, {**lease, "ended": "released"}, "released", lease["owner"])


def refuse_other(lease: Lease, run_id: str) -> None:
    """Raise unless ``run_id`` holds the lease."""
    held = is_held(lease, time.time())
    if not held or lease["run_id"] != run_id:
        raise RollbackError(
            "This run does not hold the lease",
            found=describe(lease) if held else "nobody holds it",
            where="rollback_break_lease",
            next_step="ansible-playbook playbooks/hold-lease.yml",
        )


def break_by_hand(state_dir: str, run_id: str, by: str) -> Lease:
    """End the lease of ``run_id`` although its holder did not; its process stops before its next change.

    Raises RollbackError unless ``run_id`` holds it now, so that nobody breaks a lease that he has not seen.
    """
    with locked(state_dir):
        lease = read(state_dir)
        refuse_other(lease, run_id)
        return _write(state_dir, {**lease, "ended": "broken"}, "broken", by)
