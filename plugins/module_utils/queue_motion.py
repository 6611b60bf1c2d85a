"""Whether Laravel's queues on Redis move: what was their oldest job is soon another, and nothing is overdue."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import FAILED, PASSED, statement

#: Runs a command; returns exit status, output and error text.
Runner = Callable[[Sequence[str]], "tuple[int, str, str]"]

#: For each of KEYS its length, and a digest of the oldest job of a list (a job may hold anything) or how many jobs of a
#: sorted set should have been taken before the Unix time ARGV[1].
LOOK = """
local found = {}
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind == 'list' then
    found[#found + 1] = redis.call('LLEN', key)
    found[#found + 1] = redis.sha1hex(redis.call('LINDEX', key, 0))
  elseif kind == 'zset' then
    found[#found + 1] = redis.call('ZCARD', key)
    found[#found + 1] = redis.call('ZCOUNT', key, '-inf', ARGV[1])
  else
    found[#found + 1] = 0
    found[#found + 1] = '-'
  end
end
return found
"""
#: Seconds that a job may be overdue before that is worth a word: workers look every few seconds.
GRACE_S = 60

Glance = dict[str, tuple[int, str]]


def look(run: Runner, database: int, keys: Sequence[str], now: float) -> Glance:
    """Each key with its length and what tells its oldest job, or the number of overdue ones."""
    argv = ["redis-cli", "-n", str(database), "EVAL", LOOK, str(len(keys)), *keys, str(int(now - GRACE_S))]
    status, output, error = run(argv)
    words = output.split()
    if status or len(words) != 2 * len(keys) or not all(word.isdigit() for word in words[::2]):
        said = " ".join((error or output).split())[:200]
        raise RollbackError("Redis does not answer", found=said, next_step="systemctl status redis-server")
    return {key: (int(words[2 * at]), words[2 * at + 1]) for at, key in enumerate(keys)}


def standing(before: Glance, after: Glance) -> list[str]:
    """Lists whose oldest job is still the same."""
    return [key for key, (length, oldest) in before.items() if length and oldest != "-" and after[key][1] == oldest]


def check(
    run: Runner,
    database: int,
    keys: Sequence[str],
    wait_s: float,
    clock: Callable[[], float] = time.time,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """A statement about all queues together; the oldest jobs have ``wait_s`` seconds to be taken."""
    # One mark a job for workers that wait, and no job.
    counted = [key for key in keys if not key.endswith(":notify")]
    lists = {key for key in counted if key.rpartition(":")[2] not in ("reserved", "delayed")}
    began = clock()
    before = after = look(run, database, counted, began)
    waiting = {key: glance for key, glance in before.items() if key in lists}
    while standing(waiting, after) and clock() < began + wait_s:
        pause(0.5)
        after = look(run, database, counted, clock())
    still = standing(waiting, after)
    overdue = {key: int(after[key][1]) for key in counted if key not in lists and after[key][1].isdigit()}
    late = [f"{count} jobs in {key} are overdue by more than {GRACE_S} s" for key, count in overdue.items() if count]
    wrong = [f"the oldest job of {key} was not taken within {clock() - began:.0f} s" for key in still] + late
    lengths = ", ".join(f"{key} {length}" for key, (length, _oldest) in after.items())
    commands = "systemctl --failed; journalctl -u '*worker*' -n 50; redis-cli -n {} LLEN {}"
    taken = "jobs are taken" if any(length for length, _oldest in waiting.values()) else "it is empty"
    return statement(
        "queue moves",
        FAILED if wrong else PASSED,
        "; ".join(wrong) or taken,
        f"jobs: {lengths}",
        commands.format(database, counted[0] if counted else ""),
    )
