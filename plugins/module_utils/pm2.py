"""pm2 as a supervised process table: read it without its secrets, start and stop by name, prove what runs."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: Where a list of objects, or an empty list, may begin.
LIST = re.compile(r"\[(?=\s*[{\]])")
#: Statuses in which pm2 will not start the process again by itself.
AT_REST = ("stopped", "errored")

#: Prints what an ecosystem file declares for one process. The file is JavaScript, so only node can read it.
READ = """
const file = require(process.argv[1]);
const app = [].concat(file.apps || file).find((one) => one.name === process.argv[2]) || null;
console.log(JSON.stringify(app && { cwd: app.cwd || '', env: app.env || {} }));
"""

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

    @property
    def at_rest(self) -> bool:
        """True if nothing runs, and nothing is about to."""
        return self.status in AT_REST


def entries_in(output: str) -> list[dict[str, Any]] | None:
    """The process list in ``output``, None if there is none that is whole."""
    decoder = json.JSONDecoder()
    found: list[Any]
    empty = torn = False
    for start in LIST.finditer(output):
        try:
            found, _end = decoder.raw_decode(output, start.start())
        except (ValueError, RecursionError):
            torn = True
            continue
        if found and all(isinstance(entry, dict) and "name" in entry and "pm2_env" in entry for entry in found):
            return found
        empty = empty or not found
    # An empty list inside a list that was cut off says nothing about the processes.
    return [] if empty and not torn else None


def parse(output: str) -> list[Process]:
    """Processes in the output of ``pm2 jlist``; text that a starting daemon prints around the list is skipped.

    Output without a list is an error and never "no processes": the caller would leave a writer running.
    """
    entries = entries_in(output)
    if entries is None:
        raise RollbackError("pm2 did not print its process list", where="pm2 jlist")
    processes = []
    for entry in entries:
        env: dict[str, Any] = entry["pm2_env"]
        processes.append(
            Process(
                name=entry["name"],
                pid=int(entry.get("pid") or 0),
                status=env.get("status", "unknown"),
                cwd=env.get("pm_cwd", ""),
                restarts=int(env.get("restart_time", 0)),
            )
        )
    return processes


@dataclasses.dataclass
class Declared:
    """What an ecosystem file says of a process; the values of ``env`` may be secrets."""

    cwd: str
    env: dict[str, Any]

    def wrong_environment(self, found: dict[str, str]) -> list[str]:
        """Names whose value in the environment ``found`` of a process is not the declared one."""
        wanted = {name: text for name, text in ((name, as_text(value)) for name, value in self.env.items()) if text}
        return sorted(name for name, text in wanted.items() if found.get(name) != text)


def as_text(value: Any) -> str:
    """A declared value as a process gets it; empty for one that is no plain value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else ""


class Pm2:
    """The pm2 of one user."""

    def __init__(self, run: Runner, user: str, home: str) -> None:
        """Run everything as ``user``, with the daemon in ``home`` and without its greetings."""
        self._run = run
        self._user = user
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
        """The process with this name, None if pm2 does not know it; of several instances one that runs."""
        named = [process for process in self.processes() if process.name == name]
        return min(named, key=lambda process: process.at_rest, default=None)

    def declared(self, name: str, ecosystem: str) -> Declared:
        """What the ecosystem file says of the process; raises RollbackError if it says nothing."""
        status, output, _error = self._run(["runuser", "-u", self._user, "--", "node", "-e", READ, ecosystem, name])
        try:
            app = json.loads(output) if not status else None
        except ValueError:
            app = None
        if not isinstance(app, dict):
            # What node said may quote the file.
            raise RollbackError(
                "The ecosystem file does not describe the process",
                found=f"exit status {status}, no process {name}",
                where=ecosystem,
                next_step=f"node -p 'require(\"{ecosystem}\")'",
            )
        return Declared(app["cwd"] or os.path.dirname(ecosystem), app["env"])

    def stop(self, name: str) -> None:
        """Stop by name; the entry stays in the table."""
        self._call("stop", name)

    def forget(self, name: str) -> None:
        """Stop by name and drop the entry, because a reload or start of a known entry keeps its old working directory,
        script and environment even where the ecosystem file names others.
        """
        self._call("delete", name)

    def start(self, name: str, ecosystem: str) -> None:
        """Start a forgotten process from its ecosystem file."""
        self._call("start", ecosystem, "--only", name)

    def save(self, home: str) -> None:
        """Keep the table for the next boot. The dump holds environments, so it is closed to others."""
        self._call("save")
        for name in ("dump.pm2", "dump.pm2.bak"):
            if os.path.exists(os.path.join(home, name)):
                os.chmod(os.path.join(home, name), 0o600)
