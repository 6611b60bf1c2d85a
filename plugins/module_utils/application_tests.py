"""The application's own tests, declared as data: what is run, as whom, and what of the outcome may be told."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

WHERE = "validation_commands"
#: How ``timeout`` says that it had to end the command, or to kill it.
_TIMED_OUT = (124, 137)


@dataclasses.dataclass(frozen=True)
class ApplicationTest:
    """One command, run on every host of the inventory group ``group``; ``timeout_s`` in seconds."""

    name: str
    argv: tuple[str, ...]
    group: str
    chdir: str
    user: str = "www-data"
    timeout_s: int = 600
    rollback_only: bool = False

    @property
    def log(self) -> str:
        """File name for what it prints."""
        return re.sub(r"[^\w.-]+", "_", self.name) + ".log"

    def command(self) -> list[str]:
        """Arguments that run it, ended after its time."""
        limited = ["timeout", "--kill-after=10", str(self.timeout_s), *self.argv]
        return ["runuser", "-u", self.user, "--", *limited]

    def verdict(self, status: int, seconds: float, log: str) -> dict[str, Any]:
        """``{name, passed, detail, seconds, look}``. What it printed may hold anything; its place is told."""
        if not status:
            detail = ""
        elif status in _TIMED_OUT:
            detail = f"not finished after {self.timeout_s} s, see {log}"
        else:
            detail = f"exit status {status}, see {log}"
        return {
            "name": self.name,
            "passed": not status,
            "detail": detail,
            "seconds": round(seconds, 2),
            "look": f"less {log}",
        }


def parse(declared: list[dict[str, Any]], groups: Collection[str], live: str) -> list[ApplicationTest]:
    """Tests from inventory data; ``groups`` are those of the inventory, ``live`` is where they run unless they say.

    Raises RollbackError for what is unclear.
    """
    known = {field.name: field for field in dataclasses.fields(ApplicationTest)}
    found: list[ApplicationTest] = []
    for item in declared:
        unknown = sorted(set(item) - set(known))
        missing = [name for name in ("name", "argv", "group") if not item.get(name)]
        if unknown or missing:
            raise RollbackError(
                "A test needs name, argv and group, and knows only " + ", ".join(sorted(known)),
                found=", ".join(unknown) or "nothing for " + ", ".join(missing),
                where=WHERE,
            )
        name = str(item["name"])
        if item["group"] not in groups:
            raise RollbackError("A test names a group that is not in the inventory", item["group"], f"{WHERE}: {name}")
        found.append(_typed(item, name, live))
        if found[-1].log in [test.log for test in found[:-1]]:
            raise RollbackError("Two tests have the same name", found=name, where=WHERE)
    return found


def _typed(item: dict[str, Any], name: str, live: str) -> ApplicationTest:
    argv, timeout = item["argv"], str(item.get("timeout_s", ApplicationTest.timeout_s))
    if not isinstance(argv, list) or not timeout.isdigit() or not int(timeout):
        raise RollbackError(
            "A test has a list of arguments, and a whole number of seconds above 0",
            found=f"timeout_s {timeout}" if isinstance(argv, list) else type(argv).__name__,
            where=f"{WHERE}: {name}",
        )
    words = {key: str(item[key]) for key in ("group", "user", "chdir") if key in item}
    words.setdefault("chdir", live)
    only = item.get("rollback_only", False)
    return ApplicationTest(
        name,
        tuple(str(word) for word in argv),
        **words,
        timeout_s=int(timeout),
        rollback_only=only is True or str(only).lower() in ("true", "yes", "1"),
    )
