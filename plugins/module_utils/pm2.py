"""pm2 as a supervised process table: read it without its secrets, start and stop by name, prove what runs."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: argv -> (exit status, stdout, stderr)
Runner = Callable[[list[str]], "tuple[int, str, str]"]


@dataclasses.dataclass
class Process:
    """What may be told of a pm2 process; its environment, which holds secrets, is not kept."""

    name: str
    pid: int
    status: str
    cwd: str
    restarts: int


def parse(output: str) -> list[Process]:
    """Processes in the output of ``pm2 jlist``; text that a starting daemon prints before the list is skipped."""
    start = output.find("[{")
    text = output[start:] if start >= 0 else "[]"
    try:
        entries = json.loads(text)
    except ValueError:
        raise RollbackError("pm2 did not print its process list", where="pm2 jlist") from None
    processes = []
    for entry in entries:
        env: dict[str, Any] = entry["pm2_env"]
        processes.append(
            Process(
                name=entry["name"],
                pid=int(entry.get("pid") or 0),
                status=env["status"],
                cwd=env.get("pm_cwd", ""),
                restarts=int(env.get("restart_time", 0)),
            )
        )
    return processes


class Pm2:
    """The pm2 of one user."""

    def __init__(self, run: Runner, user: str, home: str) -> None:
        """Run everything as ``user``, with the daemon in ``home`` and without its greetings."""
        self._run = run
        self._prefix = ["runuser", "-u", user, "--", "env", f"PM2_HOME={home}", "PM2_SILENT=true", "pm2"]

    def _call(self, *arguments: str) -> str:
        status, output, _error = self._run(self._prefix + list(arguments))
        if status:
            # stderr may repeat the process's environment, so it is named and not shown.
            raise RollbackError(
                "pm2 failed", found=f"exit status {status}", where="pm2 " + " ".join(arguments), next_step="pm2 logs"
            )
        return output

    def processes(self) -> list[Process]:
        """All processes of this user's pm2."""
        return parse(self._call("jlist"))

    def find(self, name: str) -> Process | None:
        """The process with this name, None if pm2 does not know it."""
        return next((process for process in self.processes() if process.name == name), None)

    def stop(self, name: str) -> None:
        """Stop by name; the entry stays in the table."""
        self._call("stop", name)

    def start_afresh(self, name: str, ecosystem: str, known: bool) -> None:
        """Start from the ecosystem file, forgetting the old entry.

        A reload keeps the old working directory, script and environment even where the file names others.
        """
        if known:
            self._call("delete", name)
        self._call("start", ecosystem, "--only", name)

    def save(self, home: str) -> None:
        """Keep the table for the next boot. The dump holds environments, so it is closed to others."""
        self._call("save")
        os.chmod(os.path.join(home, "dump.pm2"), 0o600)
