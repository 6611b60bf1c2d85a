"""All services of one host as one thing: held before the switch, taken over by the restored code, resumed after it.

Users wait while the services are taken over, so a host does all of its part in one call.
"""

from __future__ import annotations

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.pm2 import Pm2, Runner

COMPONENT = "services"
#: Steps of the journal: writers are held, queued jobs are set aside.
WRITERS = "writers"
QUEUE = "queue"

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


def hold(run: Runner, journal: Journal, writers: list[str], pm2: Pm2 | None, process: str) -> None:
    """Stop what changes data by itself. systemd waits for a worker to finish its job, so no message is half sent."""
    if not writers and pm2 is None:
        return
    with journal.step(COMPONENT, "hold", WRITERS, {"writers": writers, "pm2": process}):
        systemctl(run, "stop", writers)
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


def take_over(
    run: Runner, restart: list[str], reload: list[str], pm2: Pm2 | None, process: str, ecosystem: str
) -> None:
    """Let servers and processes run what is live now."""
    systemctl(run, "restart", restart)
    systemctl(run, "reload-or-restart", reload)
    if pm2 is not None:
        # Forgotten when it was held, so that it starts from the restored file and nothing else.
        pm2.start(process, ecosystem)


def resume(run: Runner, journals: list[Journal], writers: list[str], pm2: Pm2 | None, home: str) -> None:
    """Start what changes data by itself, and keep pm2's table for the next boot."""
    systemctl(run, "start", writers)
    if pm2 is not None:
        pm2.save(home)
    for journal in journals:
        for step in journal.to_undo(COMPONENT, WRITERS):
            journal.undone(step.seq)
