"""How fast and how large a system usually is, measured at a restore point, and whether it still is."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import FAILED, NOT_CHECKED, PASSED, statement

#: Routes that are kept: those with the most requests.
MOST_ROUTES = 50
#: What may come on top of any resource without being worth a word, by the end of its name.
SPARE = {"bytes": 256 * 1024 * 1024, "connections": 20}
#: Samples of p95 for each one of p50: of fewer it is hardly more than the slowest of them.
TAIL = 5

_VARYING = re.compile(r"^(\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{16,})$")

Measured = Mapping[str, Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How much slower or larger something may be: ``factor`` times as much, and at least ``floor_s`` seconds more.

    Fewer requests than ``samples``, then or now, say nothing.
    """

    factor: float = 2.0
    floor_s: float = 0.1
    samples: int = 20

    @classmethod
    def parse(cls, declared: Mapping[str, Any]) -> Tolerance:
        """From inventory data, with the defaults for what is not named."""
        unknown = sorted(set(declared) - {field.name for field in dataclasses.fields(cls)})
        try:
            found = cls(
                float(declared.get("factor", cls.factor)),
                float(declared.get("floor_s", cls.floor_s)),
                int(declared.get("samples", cls.samples)),
            )
        except (TypeError, ValueError):
            unknown, found = [*unknown, "a value that is no number"], cls()
        if unknown or found.factor < 1 or found.floor_s < 0 or found.samples < 1:
            raise RollbackError(
                "A tolerance has a factor of 1 or more, floor_s of 0 or more and samples of 1 or more",
                found=", ".join(unknown) or str(dict(declared)),
                where="validation_tolerance",
            )
        return found


def route(path: str) -> str:
    """A path without what differs from one request of the same route to the next: ``/api/campaigns/{id}``."""
    return "/".join("{id}" if _VARYING.match(part) else part for part in path.split("/"))


def compare_times(now: Measured, then: Measured, tolerance: Tolerance, what: str, look: str) -> list[dict[str, Any]]:
    """One statement for each name that was measured ``then``; ``what`` it is, such as ``time of route``."""
    return [_compared(f"{what} {name}", now.get(name) or {}, then[name], tolerance, look) for name in sorted(then)]


def _compared(
    name: str, now: Mapping[str, float], then: Mapping[str, float], tolerance: Tolerance, look: str
) -> dict[str, Any]:
    few = min(int(now.get("samples", 0)), int(then.get("samples", 0)))
    if few < tolerance.samples:
        told = f"too few samples to compare: {int(now.get('samples', 0))} now, {int(then.get('samples', 0))} then"
        return statement(name, NOT_CHECKED, f"{told}, {tolerance.samples} needed", look=look)
    judged = ["p50"] + (["p95"] if few >= TAIL * tolerance.samples else [])
    slow: list[str] = []
    measured: list[str] = []
    for part in judged:
        limit = max(then[part] * tolerance.factor, then[part] + tolerance.floor_s)
        measured.append(f"{part} {now[part]:.3f} s, was {then[part]:.3f} s")
        if now[part] > limit:
            slow.append(f"{measured[-1]}, at most {limit:.3f} s allowed")
    evidence = f"{int(now['samples'])} samples now, {int(then['samples'])} then"
    return statement(name, FAILED if slow else PASSED, "; ".join(slow or measured), evidence, look)


def compare_resources(
    now: Mapping[str, float], then: Mapping[str, float], tolerance: Tolerance, look: str
) -> list[dict[str, Any]]:
    """One statement for each resource that was measured ``then``."""
    found = []
    for name in sorted(then):
        title = f"use of {name}"
        if name not in now:
            found.append(statement(title, NOT_CHECKED, "not measured now", look=look))
            continue
        limit = max(then[name] * tolerance.factor, then[name] + SPARE.get(name.rpartition(" ")[2], 0))
        told = f"{now[name]:g}, was {then[name]:g}, at most {limit:g} allowed"
        found.append(statement(title, FAILED if now[name] > limit else PASSED, told, look=look))
    return found
