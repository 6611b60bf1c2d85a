"""Memory and services of one host as series. Reads only."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from ansible_collections.campaign.rollback.plugins.module_utils import impact_host, pm2, units
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import Series, counted, looked

#: Runs a command; returns exit status, output and error text.
Runner = Callable[[Sequence[str]], "tuple[int, str, str]"]


def memory(host: str, groups: Sequence[str] = (), root: str = "/") -> list[Series]:
    """Share in use of the host (or of its control group if that is tighter) and of ``groups``, and the pressure.

    ``groups`` are control groups below ``/sys/fs/cgroup``, such as ``system.slice/php8.2-fpm.service``; one without a
    limit is bound by the host alone. Pressure is the share of the last minute in which some task waited for memory.
    """
    found = impact_host.memory(root)
    place = f"{host}: {found['available_bytes'] >> 20} of {found['total_bytes'] >> 20} MB available ({found['limit']})"
    series = [looked("memory", "used_share", found["used_share"], host=host, evidence=[place])]
    for group in groups:
        share = _group_share(os.path.join(root, "sys/fs/cgroup", group))
        if share is not None:
            series.append(
                looked("memory", "used_share", share, name=group, host=host, evidence=[f"{host}: {group} {share:.1%}"])
            )
    pressure = _pressure(root)
    note = "" if pressure is not None else "the kernel tells no pressure (CONFIG_PSI)"
    if pressure is None:
        return [*series, Series("memory", "pressure", host=host, note=note)]
    return [*series, looked("memory", "pressure", pressure, host=host)]


def _group_share(path: str) -> float | None:
    """Part of its limit that a control group uses without what is only cached; None without a limit."""
    try:
        limit, used = _read(path, "memory.max"), int(_read(path, "memory.current"))
        cached = dict(line.split() for line in _read(path, "memory.stat").splitlines()).get("inactive_file", "0")
    except FileNotFoundError:
        return None
    return None if not limit.isdigit() else round((used - int(cached)) / max(1, int(limit)), 3)


def _pressure(root: str) -> float | None:
    try:
        line = _read(os.path.join(root, "proc/pressure"), "memory").splitlines()[0]
    except (OSError, IndexError):
        return None
    return float(dict(part.split("=") for part in line.split()[1:])["avg60"]) / 100


def _read(directory: str, name: str) -> str:
    with open(os.path.join(directory, name), encoding="ascii") as stream:
        return stream.read().strip()


def systemd(run: Runner, host: str, names: Sequence[str]) -> list[Series]:
    """Whether units are active, and how often systemd started them again by itself; ``systemctl restart`` is none."""
    if not names:
        return []
    status, output, error = run(["systemctl", "show", "--property=NRestarts,ActiveState,LoadState,Id,MainPID", *names])
    if status:
        raise RollbackError("systemd does not answer", found=" ".join(error.split())[:200], where=host)
    found = units.parse(output, list(names))
    blocks = [
        dict(line.split("=", 1) for line in one.splitlines() if "=" in line) for one in output.strip().split("\n\n")
    ]
    series = []
    for name, block in zip(names, blocks):
        down = not found[name]["active"]
        place = [f"{host}: {name} is {block.get('ActiveState', 'unknown')}"] if down else []
        series.append(counted("services", "inactive", 1, float(down), name=name, host=host, evidence=place))
        if block.get("NRestarts", "").isdigit():
            series.append(_restarts(host, name, int(block["NRestarts"])))
    return series


def pm2_process(run: Runner, host: str, user: str, home: str, name: str) -> list[Series]:
    """Whether a pm2 process is online, and how often it was started again, by whomever: pm2 does not tell."""
    process = pm2.Pm2(run, user, home).find(name)
    down = process is None or process.status != "online"
    place = [f"{host}: {name} is {process.status if process else 'not known to pm2'}"] if down else []
    series = [counted("services", "inactive", 1, float(down), name=name, host=host, evidence=place)]
    return [*series, _restarts(host, name, process.restarts)] if process else series


def _restarts(host: str, name: str, number: int) -> Series:
    place = f"{host}: {name} was started again {number} times in all"
    return looked("services", "restarts", number, name=name, host=host, evidence=[place])
