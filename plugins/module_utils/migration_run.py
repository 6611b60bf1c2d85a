"""Reverse migrations with Laravel's command line, each by its file, so that exactly these are reversed.

``migrate:rollback`` reverses whole batches or the newest ones. Asked for more steps than there are, with the path of
one file, it passes over every migration but that one. Its exit status says nothing: a migration without a file is
passed over as well.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.artisan import argv, without_values
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal, Step

COMPONENT = "database"
PREFIX = "migration "
#: More than any application has.
_STEPS = 1000000
#: Wide enough for any line: one that is broken may hide where a message begins to quote values.
_WIDE = {"COLUMNS": "20000"}
#: How ``timeout`` says that it had to end the command, or to kill it.
_TIMED_OUT = (124, 137)

#: Runs arguments with additions to the environment; returns exit status, standard output and standard error.
Run = Callable[[Sequence[str], Mapping[str, str]], "tuple[int, str, str]"]


class Artisan:
    """The command line of one release, as the application's user, each command ``timeout_s`` seconds at most."""

    def __init__(self, run: Run, user: str, php: str, timeout_s: int, environment: Mapping[str, str]) -> None:
        """``environment`` wins over the environment file of the application."""
        self._run = run
        self._user = user
        self._php = php
        self._timeout_s = timeout_s
        self._environment = {**_WIDE, **environment}

    def __call__(self, *command: str) -> str:
        """What a command said. Raises RollbackError if it failed or took too long."""
        limited = argv(self._user, self._php, command)
        limited[limited.index("--") + 1 :] = [
            *("timeout", "--kill-after=10", str(self._timeout_s)),
            *limited[limited.index("--") + 1 :],
        ]
        status, output, error = self._run(limited, self._environment)
        if status in _TIMED_OUT:
            raise RollbackError("artisan did not end in time", found=f"{self._timeout_s} s", where=" ".join(command))
        if status:
            said = " ".join(line.strip() for line in (error.strip() or output.strip()).splitlines()[:4])
            raise RollbackError(
                "artisan failed",
                found=f"exit status {status}: {without_values(said)[:300]}",
                where=" ".join(command),
            )
        return output


def rehearsal_environment(schema: str, user: str, password: str) -> dict[str, str]:
    """Additions to the environment that connect an application to the copy of a rehearsal instead of its database.

    A cached configuration would not ask the environment, so the application is told to look for the cache elsewhere.
    """
    return {
        "DB_DATABASE": schema,
        "DB_USERNAME": user,
        "DB_PASSWORD": password,
        # An address of the whole connection would win over its parts.
        "DB_URL": "",
        "DATABASE_URL": "",
        "APP_CONFIG_CACHE": "/dev/null/none.php",
    }


def batches(said: str, names: Sequence[str]) -> dict[str, int | None]:
    """Batch of each migration as ``migrate:status`` shows it; None for one that did not run, or is not shown."""
    found: dict[str, int | None] = {}
    for name in names:
        match = re.search(rf"(?<![\w.-]){re.escape(name)}[ .|]+\[?([0-9]+)\b", said)
        found[name] = int(match[1]) if match else None
    return found


def check_connection(artisan: Artisan, migrations: Sequence[Mapping[str, Any]], where: str) -> None:
    """Raise unless the application sees the migrations in the batches that they have in the schema ``where``."""
    paths = [f"--path={migration['path']}" for migration in migrations]
    names = [migration["name"] for migration in migrations]
    seen = batches(artisan("migrate:status", "--realpath", *paths), names)
    wrong = [migration["name"] for migration in migrations if seen[migration["name"]] != migration["batch"]]
    if wrong:
        raise RollbackError(
            "The application is not connected to the schema that is meant, so nothing was run",
            found=f"it does not see {', '.join(wrong)} as they are there",
            where=f"{where}; the keys DB_DATABASE, DB_USERNAME and DB_PASSWORD of the application's configuration",
        )


def reverse_one(artisan: Artisan, migration: Mapping[str, Any]) -> float:
    """Reverse one migration; returns the seconds that it took. Raises RollbackError if it was not."""
    started = time.monotonic()
    said = artisan("migrate:rollback", "--force", "--realpath", f"--path={migration['path']}", f"--step={_STEPS}")
    lines = [
        line for line in said.splitlines() if re.search(rf"(?<![\w.-]){re.escape(migration['name'])}(?![\w.-])", line)
    ]
    if not lines or any("not found" in line.lower() for line in lines):
        raise RollbackError("artisan did not reverse the migration", found=migration["name"], where=migration["path"])
    return round(time.monotonic() - started, 3)


def _step(journal: Journal, name: str) -> list[Step]:
    return journal.to_undo(COMPONENT, PREFIX + name)


def reverse_all(artisan: Artisan, journal: Journal, migrations: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Reverse migrations one after the other, each announced first; returns the seconds of each.

    One that an earlier attempt reversed and that is to be reversed again was put back meanwhile.
    """
    seconds = {}
    for migration in migrations:
        for earlier in _step(journal, migration["name"]):
            journal.undone(earlier.seq)
        undo = {"migration": migration["name"], "path": migration["path"], "by": "the copy on the database host"}
        with journal.step(COMPONENT, "switch", PREFIX + migration["name"], undo) as result:
            result["seconds"] = seconds[migration["name"]] = reverse_one(artisan, migration)
    return seconds


def mark_undone(journal: Journal, by: Journal) -> list[str]:
    """Note that the database host put back what the migrations of ``journal`` changed; returns their names."""
    steps = [step for step in journal.to_undo(COMPONENT) if step.name.startswith(PREFIX)]
    for step in steps:
        undo = {key: value for key, value in step.undo.items() if key != "reverts"}
        with journal.reverting(step, by, undo):
            pass
    return [step.undo["migration"] for step in steps]
