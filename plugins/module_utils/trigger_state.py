"""What is remembered between checks, ``<state_dir>/triggers.json`` on the state host, and what holds triggers back."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import impact_state, leases
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    flocked,
    make_private_directory,
    write_atomically,
)
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_check import Hold


class Memory:
    """``data`` of the last check, for one check at a time; kept when the body ends, unless ``keep`` is False.

    A file that cannot be read is an error: without it what has gone on for ten minutes would begin again, unnoticed.
    """

    def __init__(self, state_dir: str, keep: bool = True) -> None:
        """Nothing is read yet."""
        self._path = os.path.join(state_dir, "triggers.json")
        self._keep = keep
        self._lock = contextlib.ExitStack()
        self.data: dict[str, Any] = {}

    def __enter__(self) -> Memory:
        """Wait for a check that is under way, and read."""
        if self._keep:
            make_private_directory(os.path.dirname(self._path))
            self._lock.enter_context(flocked(self._path + ".lock", fcntl.LOCK_EX))
        try:
            with open(self._path, encoding="utf-8") as stream:
                self.data = json.load(stream)
        except FileNotFoundError:
            pass
        except ValueError as error:
            self._lock.close()
            raise RollbackError(
                "What is remembered of triggers cannot be read", str(error), self._path, f"rm {self._path}"
            ) from error
        return self

    def __exit__(self, failed: object, *_unused: object) -> None:
        """Keep what was found out."""
        with self._lock:
            if self._keep and not failed:
                write_atomically(self._path, json.dumps(self.data, separators=(",", ":")).encode() + b"\n")


def hold(state_dir: str, now: float, cooldown_s: float) -> Hold:
    """Old lines do not count once a rollback, an undo or a deployment ended, and nothing fires for a while after it.

    Nor does anything fire while somebody changes the system. A capture changes nothing. All times are of this host.
    """
    settled = impact_state.settled_at(impact_state.latest_runs(state_dir))
    lease = leases.read(state_dir)
    changes = bool(lease) and lease.get("purpose") != "capture"
    if changes and leases.is_held(lease, now):
        return Hold(settled, f"the system is held: {leases.describe(lease)}")
    not_before = max(settled, _changed_until(state_dir, now))
    if settled and now < settled + cooldown_s:
        return Hold(not_before, f"cool-down after a rollback, until {leases.clock(settled + cooldown_s)}")
    return Hold(not_before)


def _changed_until(state_dir: str, now: float) -> float:
    """When the last one ended that held the system to change it, whoever only captured since; 0 if nobody ever did."""
    newest = next((event for event in leases.events(state_dir) if event["purpose"] != "capture"), None)
    if newest is None:
        return 0
    # One that nobody ended expired. The second in which it ended is over.
    ended = leases.seconds_of(newest["at"]) + 1 if newest["ended"] else float(newest["expires_at"])
    return min(ended, now)
