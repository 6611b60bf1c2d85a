"""All services of one host as one thing: held before the switch, taken over by the restored code, resumed after it.

Users wait while the services are taken over, so a host does all of its part in one call.
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import units
from ansible_collections.campaign.rollback.plugins.module_utils.artisan import argv as artisan
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.pm2 import Pm2, Runner
from ansible_collections.campaign.rollback.plugins.module_utils.processes import identify
from ansible_collections.campaign.rollback.plugins.module_utils.service_proof import (
    Snapshot,
    matching,
    missing_proof,
    missing_start,
    told,
    wait_for,
)

COMPONENT = "services"
#: Steps of the journal: writers are held, queued jobs are set aside.
WRITERS = "writers"
QUEUE = "queue"
#: Seconds after which queue workers that are still there are asked again; their mark is a time in whole seconds.
ASK_AGAIN_S = 5.0
#: Kinds of units that start others and have no process themselves.
WITHOUT_PROCESS = (".timer", ".path", ".socket", ".target")

#: Renames KEYS to the prefix ARGV[1] and leaves a mark there. One script each way, so that no job is ever in two queues
#: or in none, and the mark says which way was gone last, so that a call repeated after a kill moves nothing twice.
SET_ASIDE = """
if redis.call('EXISTS', ARGV[1] .. 'mark') == 1 then return 0 end
local moved = 0
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    redis.call('RENAME', key, ARGV[1] .. key)
    moved = moved + 1
  end
end
redis.call('SET', ARGV[1] .. 'mark', moved)
return moved
"""

#: The way back; jobs that were queued since change places with them, under the prefix ARGV[2] and a mark of their own.
PUT_BACK = """
if redis.call('EXISTS', ARGV[1] .. 'mark') == 0 then return 0 end
local moved = 0
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then redis.call('RENAME', key, ARGV[2] .. key) end
  if redis.call('EXISTS', ARGV[1] .. key) == 1 then
    redis.call('RENAME', ARGV[1] .. key, key)
    moved = moved + 1
  end
end
redis.call('DEL', ARGV[1] .. 'mark')
redis.call('SET', ARGV[2] .. 'mark', moved)
return moved
"""


def systemctl(run: Runner, verb: str, units: list[str]) -> None:
    """One call for all units; each further one would lengthen the time that users wait."""
    if not units:
        return
    status, _output, error = run(["systemctl", verb, *units])
    if status:
        raise RollbackError(
            f"systemctl {verb} failed",
            found=" ".join(error.split())[:200],
            where=" ".join(units),
            next_step="systemctl status " + " ".join(units),
        )


#: Deletes the keys that match ARGV[1], a batch at a time, and no other: a FLUSHDB could take queued jobs with it.
DELETE_KEYS = """
local cursor, deleted = '0', 0
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    deleted = deleted + redis.call('UNLINK', key)
  end
until cursor == '0'
return deleted
"""


def evaluate(run: Runner, database: int, script: str, keys: list[str], arguments: list[str]) -> int:
    """Number that a script returns on the Redis server of this host."""
    argv = ["redis-cli", "-n", str(database), "EVAL", script, str(len(keys)), *keys, *arguments]
    status, output, error = run(argv)
    if status or not output.strip().isdigit():
        raise RollbackError(
            "Redis did not do what it was asked",
            found=" ".join((error or output).split())[:200],
            where="redis-server",
            next_step="systemctl status redis-server",
        )
    return int(output)


def main_pids(run: Runner, names: list[str]) -> dict[str, int]:
    """Main process of each unit, 0 where none runs; a timer has none."""
    if not names:
        return {}
    status, output, error = run(units.argv(names))
    if status:
        raise RollbackError("systemctl show failed", found=" ".join(error.split())[:200], where=" ".join(names))
    return {name: unit["pid"] for name, unit in units.parse(output, names).items()}


def hold(run: Runner, journal: Journal, writers: list[str], pm2: Pm2 | None, process: str) -> None:
    """Stop what changes data by itself, the last one of the order first.

    systemd waits for a worker to finish its job, so no message is half sent. Which processes these were is in the
    journal, so that the ones that are started later can be told from them.
    """
    if not writers and pm2 is None:
        return
    known = {name: identify(pid) for name, pid in main_pids(run, writers).items()}
    held = {name: [found.pid, found.started] for name, found in known.items() if found}
    with journal.step(COMPONENT, "hold", WRITERS, {"writers": writers, "pm2": process, "processes": held}):
        systemctl(run, "stop", list(reversed(writers)))
        if pm2 is not None and pm2.find(process) is not None:
            pm2.forget(process)


def set_queue_aside(run: Runner, journal: Journal, database: int, keys: list[str]) -> None:
    """Take queued jobs off the queue: they belong to the data that is replaced and come back with it."""
    aside = f"rollback:{journal.run_id}:"
    undo = {"database": database, "keys": keys, "aside": aside, "other": aside + "undone:"}
    with journal.step(COMPONENT, "switch", QUEUE, undo) as result:
        result["moved"] = evaluate(run, database, SET_ASIDE, keys, [aside])


def put_queue_back(run: Runner, journal: Journal, by: Journal) -> None:
    """Bring back the jobs that the run of ``journal`` set aside, on behalf of the run of ``by``.

    Those that were queued since are kept under another name.
    """
    for step in journal.to_undo(COMPONENT, QUEUE):
        aside, other = step.undo["aside"], step.undo["other"]
        with journal.reverting(step, by, {**step.undo, "aside": other, "other": aside}) as result:
            result["moved"] = evaluate(run, step.undo["database"], PUT_BACK, step.undo["keys"], [aside, other])


def take_over(run: Runner, restart: list[str], reload: list[str], seconds: float) -> list[dict[str, Any]]:
    """Let servers run what is live now, one after the other in their order, each proven before the next.

    A unit waits at most ``seconds``. Returns the evidence: ``unit``, ``pid``, ``new_workers``, ``seconds``.
    """
    verbs = [(unit, "restart") for unit in restart] + [(unit, "reload-or-restart") for unit in reload]
    pids = main_pids(run, [unit for unit, _verb in verbs])
    return [_take_over_one(run, unit, verb, pids[unit], seconds) for unit, verb in verbs]


def _take_over_one(run: Runner, unit: str, verb: str, pid: int, seconds: float) -> dict[str, Any]:
    before = Snapshot.of(pid)
    systemctl(run, verb, [unit])

    def now() -> Snapshot:
        found = Snapshot.of(pid)
        same = found.main is not None and found.main.same_as(before.main)
        # systemctl answers before a reload is over; only a restart gives the unit another main process.
        return found if same and verb != "restart" else Snapshot.of(main_pids(run, [unit])[unit])

    def missing() -> str:
        after = now()
        if verb == "restart" and after.main is not None and after.main.same_as(before.main):
            return f"it is still process {pid}"
        return missing_proof(before, after)

    waited = wait_for(missing, f"systemctl {verb} left old processes", unit, seconds, f"systemctl status {unit}")
    return told(before, now(), waited, unit)


@dataclasses.dataclass(frozen=True)
class Workers:
    """Queue workers under another supervisor than systemd, which are known by a part of their command line."""

    pattern: str
    user: str
    php: str
    seconds: float


def restart_workers(run: Runner, workers: Workers, path: str) -> list[int]:
    """Ask the workers of the release ``path`` to end after their job, and wait until none of those before is left.

    Asked after the switch, and whoever was there by then has to go. A worker that was about to begin takes the mark
    that it should end at for the one that it began with, and would run on, so it is asked again. Returns the new
    process ids.
    """
    live = os.path.realpath(path)
    old = set(matching(workers.pattern))
    command = artisan(workers.user, workers.php, ["queue:restart"])
    command[command.index("artisan")] = os.path.join(path, "artisan")
    asked = 0.0

    def missing() -> str:
        nonlocal asked
        now = matching(workers.pattern)
        left = old & set(now)
        if not asked or (left and time.monotonic() - asked > ASK_AGAIN_S):
            _ask(run, command, path)
            asked = time.monotonic()
        if left:
            return "still run: " + ", ".join(str(known.pid) for known in sorted(left, key=lambda known: known.pid))
        other = {where for where in now.values() if os.path.realpath(where) != live}
        if other:
            return "workers run in " + ", ".join(sorted(other))
        return "" if now or not old else "their supervisor started none again"

    next_step = "restart the workers by their supervisor"
    wait_for(missing, "Queue workers do not run the live code", workers.pattern, workers.seconds, next_step)
    return sorted(known.pid for known in matching(workers.pattern))


def _ask(run: Runner, command: list[str], path: str) -> None:
    status, output, error = run(command)
    if status:
        raise RollbackError("queue:restart failed", found=" ".join((error or output).split())[:200], where=path)


def resume(
    run: Runner, journals: list[Journal], writers: list[str], pm2: Pm2 | None, home: str, path: str, seconds: float
) -> dict[str, int]:
    """Start what changes data by itself in its order, prove that it runs the code in ``path``, keep pm2's table.

    Returns the main process of each unit that has one.
    """
    for unit in writers:
        systemctl(run, "start", [unit])
    if pm2 is not None:
        pm2.save(home)
    steps = [(journal, step) for journal in journals for step in journal.to_undo(COMPONENT, WRITERS)]
    started = {}
    for unit in writers:
        old = [step.undo["processes"][unit] for _journal, step in steps if unit in step.undo.get("processes", {})]
        if not unit.endswith(WITHOUT_PROCESS):
            started[unit] = _prove_start(run, unit, os.path.realpath(path), old, seconds)
    for journal, step in steps:
        journal.undone(step.seq, started=started)
    return started


def _prove_start(run: Runner, unit: str, directory: str, old: list[Any], seconds: float) -> int:
    pid = 0

    def missing() -> str:
        nonlocal pid
        pid = main_pids(run, [unit])[unit]
        return missing_start(pid, directory, old)

    wait_for(missing, "A writer does not run the live code", unit, seconds, f"systemctl status {unit}")
    return pid
