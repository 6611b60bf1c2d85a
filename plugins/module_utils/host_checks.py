"""Checks of one host: its processes, its room, and all of them at the same time."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import impact_host
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import FAILED, PASSED, statement

#: Makes the checks of one part.
Part = Callable[[], "list[dict[str, Any]]"]


@dataclasses.dataclass(frozen=True)
class Limits:
    """From where on a number of a host is too large; shares are of 1, ``load`` is per processor over five minutes."""

    memory_share: float = 0.9
    disk_share: float = 0.95
    load: float = 10.0
    new_5xx: int = 0
    new_errors: int = 0

    @classmethod
    def parse(cls, declared: Mapping[str, Any]) -> Limits:
        """From inventory data, with the defaults for what is not named."""
        usual = dataclasses.asdict(cls())
        unknown = sorted(set(declared) - set(usual))
        try:
            values = {name: type(usual[name])(declared[name]) for name in declared if name in usual}
        except (TypeError, ValueError):
            unknown, values = [*unknown, "a value that is no number"], {}
        if unknown:
            raise RollbackError(
                "Limits of a host are numbers for " + ", ".join(usual),
                found=", ".join(unknown),
                where="validation_limits",
            )
        return cls(**values)


def processes(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """That each of the processes runs, with its memory and processor time; ``found`` as ``processes.read`` tells it."""
    checks = []
    for name, one in found.items():
        size = round(one["rss_bytes"] / 1048576)
        detail = f"{one['count']} processes, {size} MB, {one['cpu_s']:.1f} s of processor time"
        look = f"ps -C {name} -o pid,rss,time,args; systemctl --failed"
        checks.append(statement(name, PASSED if one["count"] else FAILED, detail, look=look))
    return checks


def room(limits: Limits, paths: Iterable[str], root: str = "/") -> list[dict[str, Any]]:
    """Memory, load, and the disks on which ``paths`` are."""
    memory = impact_host.memory(root)
    load = os.getloadavg()[1] / (os.cpu_count() or 1)
    checks = [
        _below(
            f"memory of the {memory['limit']}", memory["used_share"], limits.memory_share, "ps aux --sort=-rss | head"
        ),
        _below("load per processor", load, limits.load, "ps aux --sort=-pcpu | head", share=False),
    ]
    for path in paths:
        usage = shutil.disk_usage(path)
        checks.append(_below(f"disk of {path}", 1 - usage.free / usage.total, limits.disk_share, f"df -h {path}"))
    return checks


def _below(name: str, found: float, limit: float, look: str, share: bool = True) -> dict[str, Any]:
    told = f"{found:.0%} used, limit {limit:.0%}" if share else f"{found:.2f}, limit {limit:g}"
    return statement(name, FAILED if found > limit else PASSED, told, look=look)


def make_all(
    parts: Mapping[str, Callable[[], list[dict[str, Any]]]], at_once: Callable[..., Any]
) -> list[dict[str, Any]]:
    """Checks of all parts in their order, made at the same time; one that cannot be made has failed.

    ``at_once`` maps a function over the parts, as an executor's ``map`` does.
    """

    def make(item: tuple[str, Part]) -> list[dict[str, Any]]:
        name, part = item
        try:
            return part()
        except (RollbackError, OSError, re.error) as error:
            said = error if isinstance(error, RollbackError) else RollbackError("It cannot be read", found=str(error))
            return [statement(name, FAILED, str(said))]

    return [check for checks in at_once(make, parts.items()) for check in checks]
