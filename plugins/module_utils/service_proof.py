"""Proof that a service took over: its old processes are gone, or new ones are there, whatever systemctl answered."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.processes import (
    Identity,
    arguments_of,
    children,
    directory_of,
    identify,
    numbers,
)

#: Beginnings of the names of servers whose workers hold the application's code. All old ones have to be gone; a worker
#: of any other server, such as one of nginx, may end the connection that it has.
HOLDS_CODE = ("php-fpm",)
_PAUSE_S = 0.02


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Main process of a service and the workers that it started."""

    main: Identity | None
    workers: frozenset[Identity]

    @classmethod
    def of(cls, pid: int, root: str = "/proc") -> Snapshot:
        """What runs now below the main process ``pid``."""
        main = identify(pid, root)
        return cls(main, frozenset(children(pid, root)) if main else frozenset())


def missing_proof(before: Snapshot, after: Snapshot) -> str:
    """Why a reload is not over yet, empty if it is."""
    if after.main is None:
        return "its main process does not run"
    if before.main is None or not before.main.same_as(after.main):
        return ""
    old, new = before.workers & after.workers, after.workers - before.workers
    if not after.main.command.startswith(HOLDS_CODE):
        return "" if new or not before.workers else "it started no new worker"
    if old:
        return f"{len(old)} of its {len(before.workers)} old workers still run"
    # A pool may start no worker before a request comes; then only the program's new image tells.
    return "" if new or before.main.image != after.main.image else "its main process was not replaced"


def wait_for(proof: Callable[[], str], what: str, where: str, seconds: float, next_step: str) -> float:
    """Wait until ``proof`` misses nothing; returns the seconds. Raises RollbackError with what it misses."""
    began = time.monotonic()
    while True:
        missing = proof()
        waited = time.monotonic() - began
        if not missing:
            return round(waited, 3)
        if waited >= seconds:
            raise RollbackError(what, found=f"after {seconds:.0f} s {missing}", where=where, next_step=next_step)
        time.sleep(_PAUSE_S)


def missing_start(pid: int, directory: str, old: Sequence[Sequence[int]]) -> str:
    """Why a writer is not proven to run the code in ``directory`` anew; ``old`` are (pid, start) of those before."""
    found = identify(pid)
    if found is None:
        return "it does not run"
    if [found.pid, found.started] in [list(known) for known in old]:
        return f"it is still process {pid}"
    where = directory_of(pid)
    # A process has its directory a moment after it began.
    return "" if os.path.realpath(where) == directory else f"process {pid} runs in {where}"


def matching(pattern: str, root: str = "/proc") -> dict[Identity, str]:
    """Processes whose command line has ``pattern`` in it, but for this one and its parent, each with its directory."""
    own = (os.getpid(), os.getppid())
    pids = [pid for pid in numbers(root) if pid not in own and pattern in arguments_of(pid, root)]
    return {known: directory_of(known.pid, root) for known in (identify(pid, root) for pid in pids) if known}


def told(before: Snapshot, after: Snapshot, seconds: float, unit: str) -> dict[str, Any]:
    """One line of evidence."""
    new = sorted(worker.pid for worker in after.workers - before.workers)
    return {"unit": unit, "pid": after.main.pid if after.main else 0, "new_workers": new, "seconds": seconds}
