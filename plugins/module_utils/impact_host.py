"""How one host stands: memory, services, code, queued jobs, WhatsApp sessions, logs. Reads only, for a bounded time."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import log_windows, releases, units
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import tree_digest
from ansible_collections.campaign.rollback.plugins.module_utils.session_service import (
    CONNECTED,
    SILENT,
    Api,
    sender,
    state_of,
)

#: Runs a command; returns exit status, output and error text.
Runner = Callable[[Sequence[str]], "tuple[int, str, str]"]

#: Length of each of KEYS, and as last number how many jobs are set aside below ARGV[1]. A bounded part of the keys is
#: looked through, because a SCAN of a large server would hold up everybody; -1 says that this was not all.
COUNT_JOBS = """
local function length(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'list' then return redis.call('LLEN', key) end
  if kind == 'zset' then return redis.call('ZCARD', key) end
  return 0
end
local found, cursor, aside, rounds = {}, '0', 0, 0
for _, key in ipairs(KEYS) do found[#found + 1] = length(key) end
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1] .. '*', 'COUNT', 1000)
  cursor, rounds = page[1], rounds + 1
  for _, key in ipairs(page[2]) do
    if not string.find(key, 'notify$') then aside = aside + length(key) end
  end
until cursor == '0' or rounds >= 100
found[#found + 1] = cursor == '0' and aside or -1
return found
"""


def memory(root: str = "/") -> dict[str, Any]:
    """``{total_bytes, available_bytes, used_share, limit}`` of the host, or of its control group if that is tighter."""
    with open(os.path.join(root, "proc/meminfo"), encoding="ascii") as stream:
        lines = dict(line.split(":", 1) for line in stream if ":" in line)
    total, available = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    found = _memory("host", total, available)
    try:
        group = {name: _text(root, f"sys/fs/cgroup/memory.{name}") for name in ("max", "current", "stat")}
    except OSError:
        return found
    if not group["max"].isdigit() or int(group["max"]) >= total:
        return found
    # What is only cached is given back under pressure.
    cached = dict(line.split() for line in group["stat"].splitlines()).get("inactive_file", "0")
    limit, used = int(group["max"]), int(group["current"]) - int(cached)
    return max(found, _memory("control group", limit, limit - used), key=lambda one: float(one["used_share"]))


def _text(root: str, name: str) -> str:
    with open(os.path.join(root, name), encoding="ascii") as stream:
        return stream.read().strip()


def _memory(limit: str, total: int, available: int) -> dict[str, Any]:
    share = round(1 - available / total, 3)
    return {"total_bytes": total, "available_bytes": available, "used_share": share, "limit": limit}


def services(
    run: Runner, serving: Sequence[str], working: Sequence[str], since: float, exit_status: int
) -> dict[str, Any]:
    """``{serving, working, memory_exits}``: units of each kind that are not active, and ends because of memory.

    Counted are units of both kinds that ended since ``since`` (Unix time), by themselves with ``exit_status`` or killed
    by the kernel. None if there is no journal to read.
    """
    names = [*serving, *working]
    if not names:
        return {"serving": [], "working": [], "memory_exits": None}
    status, output, error = run(units.argv(names))
    if status:
        said = " ".join(error.split())[:200]
        raise RollbackError("systemd does not answer", found=said, next_step="systemctl --failed")
    found = units.parse(output, names)
    argv = ["journalctl", "--no-pager", "--output=cat", "--lines=1000", f"--since=@{since:.0f}"]
    ours = [f"UNIT={name}" for name in names]
    status, output, error = run([*argv, *ours, f"EXIT_STATUS={exit_status}", "+", *ours, "UNIT_RESULT=oom-kill"])
    # Without any file of a journal it succeeds, and says so beside.
    unread = status or "No journal files" in error
    return {
        "serving": [name for name in serving if not found[name]["active"]],
        "working": [name for name in working if not found[name]["active"]],
        "memory_exits": None if unread else sum(not line.startswith("-- ") for line in output.splitlines()),
    }


def jobs(run: Runner, database: int, keys: Sequence[str]) -> dict[str, Any]:
    """Jobs of Laravel's queues on this host's Redis: ``{queued, reserved, delayed, set_aside}``; None if not known."""
    argv = ["redis-cli", "-n", str(database), "EVAL", COUNT_JOBS, str(len(keys)), *keys, "rollback:"]
    status, output, error = run(argv)
    lengths = output.split()
    if status or len(lengths) != len(keys) + 1 or not all(text.lstrip("-").isdigit() for text in lengths):
        said = " ".join((error or output).split())[:200]
        raise RollbackError("Redis does not answer", found=said, next_step="systemctl status redis-server")
    found: dict[str, Any] = {"queued": 0, "reserved": 0, "delayed": 0}
    for key, length in zip(keys, lengths):
        kind = key.rpartition(":")[2]
        # One mark a job for workers that wait, and no job.
        if kind != "notify":
            found[kind if kind in found else "queued"] += int(length)
    aside = int(lengths[-1])
    return {**found, "set_aside": None if aside < 0 else aside}


def session_states(api: Api, accounts: Sequence[str], timeout_s: float) -> dict[str, str]:
    """State of each account in the words of the WhatsApp service, ``connected`` whatever its own word for that is."""
    ask = sender(timeout_s)
    stated = {account: state_of(api, ask, account) for account in accounts}
    silent = [found.word for found in stated.values() if found.meaning == SILENT]
    if silent and len(silent) == len(stated):
        raise RollbackError("The service does not answer", found=silent[0], where=api.status_url)
    return {
        account: CONNECTED if found.meaning == CONNECTED else found.word or found.meaning
        for account, found in stated.items()
    }


def code(run: Runner, given: Mapping[str, Any]) -> dict[str, Any]:
    """The live release: ``commit``, ``version``, ``build`` and what is wrong with it, ``recent`` commits, ``target``.

    ``changed_files`` is None where the release is not a git working tree, ``target`` where no commit is wanted.
    """
    layout = releases.layout(given["layout"], given["path"], given["repository"], given["build_path"])
    live = layout.current()
    wanted = given["commit"]
    place = _repository(live.path, given["repository"])
    status, output, _error = run([*place, "log", "--format=%h %cs %s", "--max-count=5", live.commit])
    return {
        **dataclasses.asdict(live),
        "build_problem": build_problem(live, given["builds"], given["build_digest"]) if given["builds"] else "",
        "recent": output.splitlines() if not status else [],
        "changed_files": _changed_files(run, live.path),
        "target": (layout.find(wanted) is not None or layout.has_commit(wanted)) if wanted else None,
    }


def build_problem(live: releases.Release, builds: str, captured: str) -> str:
    """Why the live front-end build is not a known one; empty if it is, or if nobody can tell.

    Known are the one that was deployed, those kept of the commit, and the one of the restore point (``captured``),
    which a rollback of the front end alone brings under the newer commit.
    """
    if not live.build_digest:
        return "the live release has no build"
    if live.build_digest == captured:
        return ""
    names = os.listdir(builds) if os.path.isdir(builds) else []
    # By commit alone, or by commit and digest.
    kept = {tree_digest(os.path.join(builds, name)) for name in names if name.partition("-")[0] == live.commit}
    noted = releases.details_of(live.path).get("build_digest")
    known = kept | ({noted} if noted else set())
    if known and live.build_digest not in known:
        return "the build is none that was deployed or kept of its commit"
    return ""


def _repository(path: str, bare: str) -> list[str]:
    """git for the working tree in ``path``, else for the repository ``bare``; without the lock of an index it reads."""
    tree = os.path.exists(os.path.join(path, ".git"))
    return ["git", "--no-optional-locks", "-c", "safe.directory=*", *(["-C", path] if tree else [f"--git-dir={bare}"])]


def _changed_files(run: Runner, path: str) -> int | None:
    if not os.path.exists(os.path.join(path, ".git")):
        return None
    status, output, _error = run([*_repository(path, ""), "status", "--porcelain"])
    return None if status else len(output.splitlines())


def access_log(path: str, since: float, most_bytes: int, ignored: Sequence[str]) -> dict[str, Any]:
    """Numbers of the requests since ``since``, see ``log_windows.traffic``; ``complete`` if none was left unread."""
    if not os.path.exists(path):
        raise RollbackError("There is no access log", found="nothing", where=path)
    found, complete = log_windows.recent([path, path + ".1"], since, most_bytes, log_windows.access)
    return {**log_windows.traffic(found, ignored), "complete": complete}


def error_logs(
    paths: Sequence[str], zone: str, since: float, most_bytes: int, patterns: Mapping[str, str]
) -> dict[str, Any]:
    """Errors in Laravel's logs since ``since``, see ``log_windows.errors``; ``complete`` if none was left unread."""
    found: list[log_windows.Record] = []
    complete = True
    read = log_windows.record(log_windows.zone_of(zone))
    for path in paths:
        for files in log_windows.laravel_files(path, since, time.time(), log_windows.zone_of(zone)):
            entries, whole = log_windows.recent(files, since, most_bytes, read)
            found, complete = found + entries, complete and whole
    return {**log_windows.errors(found, patterns), "complete": complete}
