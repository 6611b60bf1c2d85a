"""Checks in a browser as data: what is done on which page, and what has to be seen. Driving it is the caller's."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.http_checks import many

WHERE = "validation_browser_checks"
#: What a step can do, with whether it takes a mapping of selectors to values.
ACTIONS = {
    "visit": False,
    "click": False,
    "fill": True,
    "select": True,
    "see": False,
    "absent": False,
    "element": False,
    "no_element": False,
    "contains": True,
}
_PLACEHOLDER = re.compile(r"\{(unique|secret:([\w-]+))\}")


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing to do (``visit``, ``click``, ``fill``, ``select``) or to see; see the module validation_browser.

    ``place`` is a path, a selector or a text, ``value`` what is put there or has to be there, None where there is none.
    """

    action: str
    place: str
    value: str | int | None = None

    def __str__(self) -> str:
        """As it is told: never the value, which may be a secret."""
        return f"{self.action} {self.place}"


@dataclasses.dataclass(frozen=True)
class Check:
    """Steps under a name; ``writes`` says that they change data. Each step may take ``max_s`` seconds."""

    name: str
    steps: tuple[Step, ...]
    writes: bool = False
    rollback_only: bool = False
    max_s: float = 10.0

    @property
    def file(self) -> str:
        """Name of its screenshot."""
        return re.sub(r"[^\w.-]+", "_", self.name)


def parse(declared: Sequence[Mapping[str, Any]], secrets: Mapping[str, str], unique: str) -> list[Check]:
    """Checks from inventory data; ``{unique}`` and ``{secret:name}`` are filled in. Raises RollbackError."""
    known = {field.name for field in dataclasses.fields(Check)}
    found: list[Check] = []
    for item in declared:
        unknown = sorted(set(item) - known)
        if unknown or not item.get("name") or not item.get("steps"):
            told = ", ".join(unknown) or str(item.get("name", "no name"))
            raise RollbackError("A check has name and steps, and knows only " + ", ".join(sorted(known)), told, WHERE)
        name = str(item["name"])
        steps = parse_steps(item["steps"], secrets, unique, f"{WHERE}: {name}")
        flags = {key: item.get(key) in (True, "true", "yes", 1) for key in ("writes", "rollback_only")}
        try:
            found.append(Check(name, steps, **flags, max_s=float(item.get("max_s", Check.max_s))))
        except (TypeError, ValueError):
            raise RollbackError("Seconds are a number", found=item["max_s"], where=f"{WHERE}: {name}") from None
        if found[-1].file in [check.file for check in found[:-1]]:
            raise RollbackError("Two checks have the same name", found=name, where=WHERE)
    return found


def parse_steps(declared: Any, secrets: Mapping[str, str], unique: str, where: str) -> tuple[Step, ...]:
    """Steps of inventory data, each a mapping with one action; a mapping of several selectors becomes several steps."""
    found: list[Step] = []
    for item in many(declared):
        if not isinstance(item, Mapping) or len(item) != 1 or next(iter(item)) not in ACTIONS:
            told = ", ".join(map(str, item)) if isinstance(item, Mapping) else str(item)
            raise RollbackError("A step is one of " + ", ".join(ACTIONS), found=told, where=where)
        ((action, given),) = item.items()
        if ACTIONS[action] != isinstance(given, Mapping):
            takes = "a mapping of selectors to values" if ACTIONS[action] else "a text"
            raise RollbackError(f"The step {action} takes {takes}", found=type(given).__name__, where=where)
        pairs = given.items() if isinstance(given, Mapping) else ((given, None),)
        found += [
            Step(action, _filled(place, {}, unique, where), _value(value, secrets, unique, where))
            for place, value in pairs
        ]
    return tuple(found)


def _value(value: Any, secrets: Mapping[str, str], unique: str, where: str) -> str | int | None:
    # True and False are numbers too, and mean their words.
    number = isinstance(value, int) and not isinstance(value, bool)
    return value if value is None or number else _filled(value, secrets, unique, where)


def _filled(text: Any, secrets: Mapping[str, str], unique: str, where: str) -> str:
    def known(match: re.Match[str]) -> str:
        if match[1] == "unique":
            return unique
        if match[2] not in secrets:
            raise RollbackError("There is no such secret for the browser", found=match[2], where=where)
        return secrets[match[2]]

    return _PLACEHOLDER.sub(known, str(text))
