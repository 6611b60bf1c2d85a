"""What stands against a rollback on this host: room, rights, programs, Python modules and the clock. Reads only."""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import sys
from collections.abc import Iterable
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: Where root's programs are, which the PATH of a remote command often leaves out.
EXTRA_PATH = "/usr/sbin:/sbin:/usr/local/sbin"


@dataclasses.dataclass(frozen=True)
class Need:
    """What the run wants to put below ``path``, which need not exist yet."""

    path: str
    free_bytes: int
    free_inodes: int = 1000
    writable: bool = True


@dataclasses.dataclass(frozen=True)
class Place:
    """Where ``need`` is judged, and what is free on that file system; ``free_inodes`` is None if it has no limit."""

    need: Need
    existing: str
    device: int
    free_bytes: int
    free_inodes: int | None
    read_only: bool


def nearest_existing(path: str) -> str:
    """``path`` with links resolved, or its nearest parent that is there."""
    found = os.path.realpath(path)
    while not os.path.lexists(found):
        found = os.path.dirname(found)
    return found


def look(need: Need) -> Place:
    """Find out about one path."""
    existing = nearest_existing(need.path)
    try:
        # What is left to everybody: the database server does not run as root.
        system, device = os.statvfs(existing), os.stat(existing).st_dev
    except OSError as error:
        raise RollbackError("The file system cannot be looked at", found=error.strerror, where=existing) from error
    return Place(
        need,
        existing,
        device,
        system.f_bavail * system.f_frsize,
        # Some file systems make inodes as they need them, and say so by having none.
        system.f_favail if system.f_files else None,
        bool(system.f_flag & os.ST_RDONLY),
    )


def size(count: int) -> str:
    """Bytes as an operator reads them, and exactly."""
    for unit, name in ((1024**3, "GiB"), (1024**2, "MiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name} ({count} bytes)"
    return f"{count} bytes"


def room_problems(places: Iterable[Place]) -> list[str]:
    """What does not fit, by file system, because several paths share its room."""
    shared: dict[int, list[Place]] = {}
    for place in places:
        shared.setdefault(place.device, []).append(place)
    problems = []
    for group in shared.values():
        where = ", ".join(dict.fromkeys(place.need.path for place in group))
        free, needed = group[0].free_bytes, sum(place.need.free_bytes for place in group)
        if free < needed:
            found = f"{size(free)} free, {size(needed)} needed"
            problems.append(str(RollbackError("The file system has too little room", found=found, where=where)))
        inodes, wanted = group[0].free_inodes, sum(place.need.free_inodes for place in group)
        if inodes is not None and inodes < wanted:
            found = f"{inodes} free, {wanted} needed"
            problems.append(str(RollbackError("The file system has too few inodes", found=found, where=where)))
    return problems


def right_problems(place: Place) -> list[str]:
    """Whether something can be put at the place by whoever asks."""
    need, existing = place.need, place.existing
    where = need.path if need.path == existing else f"{need.path} (nearest that exists: {existing})"
    directory = os.path.isdir(existing)
    if not directory and existing != os.path.realpath(need.path):
        return [str(RollbackError("A directory is needed where something else is", found=existing, where=where))]
    if not need.writable:
        return []
    wanted = os.W_OK | os.X_OK if directory else os.W_OK
    if place.read_only:
        return [str(RollbackError("The file system is mounted read-only", found=existing, where=where))]
    if not os.access(existing, wanted, effective_ids=True):
        found = f"uid {os.geteuid()} may not write, mode {os.stat(existing).st_mode & 0o7777:04o}"
        return [str(RollbackError("The path is not writable", found=found, where=where))]
    return []


def binary_problems(names: Iterable[str]) -> list[str]:
    """Programs that are not there."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), EXTRA_PATH])
    return [
        str(RollbackError("A program is missing", found=f"no {name}", where=path))
        for name in dict.fromkeys(names)
        if shutil.which(name, path=path) is None
    ]


def python_problems(names: Iterable[str]) -> list[str]:
    """Python modules that cannot be imported; found out by importing, because a broken one is there as well."""
    problems = []
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        for name in dict.fromkeys(names):
            try:
                importlib.import_module(name)
            except Exception as error:
                found = f"{name}: {type(error).__name__}: {error}"
                problems.append(
                    str(RollbackError("A Python module cannot be imported", found=found, where=sys.executable))
                )
    finally:
        sys.dont_write_bytecode = writes
    return problems


def clock_problems(offset_s: float, max_skew_s: float) -> list[str]:
    """Whether this host's clock is too far from the controller's; positive is ahead."""
    # Asked this way round so that an offset that is no number does not pass.
    if abs(offset_s) <= max_skew_s:
        return []
    found = f"{offset_s:+.1f} s, at most {max_skew_s:g} s"
    return [
        str(RollbackError("The clock of this host is not the controller's", found=found, where="timedatectl status"))
    ]


def look_at_paths(needs: Iterable[Need]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What is free at each path, and what is wrong there."""
    places, problems = [], []
    for need in needs:
        try:
            places.append(look(need))
        except RollbackError as error:
            problems.append(str(error))
    problems += room_problems(places)
    for place in places:
        problems += right_problems(place)
    free = {
        place.need.path: {"free_bytes": place.free_bytes, "free_inodes": place.free_inodes, "existing": place.existing}
        for place in places
    }
    return free, list(dict.fromkeys(problems))
