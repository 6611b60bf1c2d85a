"""All services of one host as one thing: held before the switch, taken over by the restored code, resumed after it.

Users wait while the services are taken over, so a host does all of its part in one call.
"""

from __future__ import annotations

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.pm2 import Pm2, Runner

COMPONENT = "services"

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

#: The way back; jobs that were queued since are kept under the prefix ARGV[2].
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


def hold(run: Runner, writers: list[str], pm2: Pm2 | None, process: str) -> None:
    """Stop what changes data by itself. systemd waits for a worker to finish its job, so no message is half sent."""
    systemctl(run, "stop", writers)
    if pm2 is not None and pm2.find(process) is not None:
        pm2.forget(process)


def set_queue_aside(run: Runner, journal: Journal, database: int, keys: list[str]) -> None:
    """Take queued jobs off the queue: they belong to the data that is replaced and come back with it."""
    aside = f"rollback:{journal.run_id}:"
    with journal.step(COMPONENT, "switch", "queue", {"database": database, "keys": keys, "aside": aside}) as result:
        result["moved"] = evaluate(run, database, SET_ASIDE, keys, [aside])


def put_queue_back(run: Runner, journal: Journal) -> None:
    """Bring back the jobs that this run set aside; those that were queued since are kept under another name."""
    for step in journal.to_undo(COMPONENT, "queue"):
        database, keys, aside = step.undo["database"], step.undo["keys"], step.undo["aside"]
        evaluate(run, database, PUT_BACK, keys, [aside, aside + "undone:"])
        journal.undone(step.seq)


def take_over(
    run: Runner, restart: list[str], reload: list[str], pm2: Pm2 | None, process: str, ecosystem: str
) -> None:
    """Let servers and processes run what is live now."""
    systemctl(run, "restart", restart)
    systemctl(run, "reload-or-restart", reload)
    if pm2 is not None:
        # Forgotten when it was held, so that it starts from the restored file and nothing else.
        pm2.start(process, ecosystem)


def resume(run: Runner, writers: list[str], pm2: Pm2 | None, home: str) -> None:
    """Start what changes data by itself, and keep pm2's table for the next boot."""
    systemctl(run, "start", writers)
    if pm2 is not None:
        pm2.save(home)
