"""Event source of ansible-rulebook: the triggers of a rollback, checked again and again."""

from __future__ import annotations

import asyncio
import pathlib
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import ansible_runner

DOCUMENTATION = r"""
short_description: Check the triggers of a rollback again and again
description:
  - Runs the playbook check-triggers.yml through ansible-runner, one check after the other, never two at once. Hosts are
    reached only by that playbook.
  - An event for each check in which a trigger fired, and for each check that failed; none for a quiet one.
  - Ends after O(minutes), and with it the rulebook, but not while something is wrong or a run changes the system,
    because the end of the rulebook would be that of a rollback that it has started.
options:
  interval_s:
    description: Seconds from the beginning of a check to that of the next, at most 90. A longer check delays the next.
    type: float
    default: 60
  minutes:
    description: How long to watch at least, such as after a deployment; 0 is for ever.
    type: float
    default: 0
  timeout_s:
    description: Seconds after which a check is given up.
    type: float
    default: 300
  inventory:
    description: Inventory of the checks, that of ansible.cfg or ANSIBLE_INVENTORY unless given.
    type: str
    default: ""
  playbook:
    description: The playbook that checks, that of this collection unless given.
    type: str
"""

EXAMPLES = r"""
- campaign.rollback.triggers:
    interval_s: 60
    minutes: 30
"""

RETURN = r"""
triggers:
  description:
    - After a check in which something fired C(fired) and C(pending), names, C(level), the recommended one, C(rules),
      the verdicts of those that fired with C(since), C(value) and C(evidence), and C(at), the Unix time of its end.
    - After one that failed C(error) and C(at).
  type: dict
"""

PLAYBOOK = pathlib.Path(__file__).resolve().parents[4] / "playbooks" / "check-triggers.yml"
#: Rules whose time is two minutes need two values of them.
MOST_S = 90
#: The module whose result is the verdict on everything.
JUDGE = "campaign.rollback.trigger_check"
DEFAULTS: dict[str, Any] = {
    "interval_s": 60.0,
    "minutes": 0.0,
    "timeout_s": 300.0,
    "inventory": "",
    "playbook": str(PLAYBOOK),
}

#: A check: given the playbook, the inventory, a time limit, and what says that it is to stop, returns what was found.
Check = Callable[[str, str, float, Callable[[], bool]], dict[str, Any]]


def check(playbook: str, inventory: str, timeout_s: float, stopped: Callable[[], bool]) -> dict[str, Any]:
    """``{fired, pending, level, held, rules}`` of one check, the verdicts of rules that fired, or ``{error}``."""
    found: dict[str, Any] = {}
    problems: list[str] = []

    def look(event: dict[str, Any]) -> bool:
        data = event.get("event_data", {})
        result = data.get("res") or {}
        if event["event"] == "runner_on_ok" and data.get("task_action") == JUDGE:
            found.update(result)
        elif event["event"] in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
            problems.append(f"{data.get('host')}: {result.get('msg', 'failed')}")
        return False  # the runner need not keep it

    path = pathlib.Path(playbook)
    with tempfile.TemporaryDirectory(prefix="triggers") as private:
        run = ansible_runner.run(
            private_data_dir=private,
            project_dir=str(path.parents[1]),
            playbook=str(path),
            inventory=inventory or None,
            timeout=timeout_s,
            cancel_callback=stopped,
            event_handler=look,
            quiet=True,
        )
        if "fired" in found:
            pending = [one["name"] for one in found["rules"] if one["verdict"] == "pending"]
            rules = [one for one in found["rules"] if one["verdict"] == "fired"]
            return {**{key: found[key] for key in ("fired", "level", "held")}, "pending": pending, "rules": rules}
        return {"error": "; ".join(problems) or f"{run.status}: {run.stdout.read()[-500:]}"}


async def checked(settings: dict[str, Any], run: Check) -> dict[str, Any]:
    """One check beside the event loop; if this is cancelled the check is ended too, before anything else goes on."""
    stop = threading.Event()
    arguments = (settings["playbook"], settings["inventory"], float(settings["timeout_s"]), stop.is_set)
    running = asyncio.ensure_future(asyncio.to_thread(run, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])
        raise
    except Exception as error:  # whatever it is, the next check may go well
        return {"error": f"{type(error).__name__}: {error}"}


async def main(queue: asyncio.Queue[Any], args: dict[str, Any], run: Check = check) -> None:
    """Check until the time is over."""
    unknown = sorted(set(args) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"The event source triggers does not know {', '.join(unknown)}")
    settings = {**DEFAULTS, **args}
    if float(settings["interval_s"]) > MOST_S:
        raise ValueError(
            f"interval_s is {settings['interval_s']}, at most {MOST_S}: rules forget what they saw before that"
        )
    interval, span = float(settings["interval_s"]), float(settings["minutes"]) * 60
    began = time.monotonic()
    while True:
        start = time.monotonic()
        found = await checked(settings, run)
        if found.get("fired") or found.get("error"):
            await queue.put({"triggers": {**found, "at": time.time()}})
        pause = max(0.0, start + interval - time.monotonic())
        busy = any(found.get(key) for key in ("fired", "pending", "held"))
        if span and not busy and time.monotonic() + pause > began + span:
            if found.get("error"):
                raise RuntimeError(f"The watch ends, and the triggers could not be checked: {found['error']}")
            return
        await asyncio.sleep(pause)


if __name__ == "__main__":

    class Shown(asyncio.Queue[Any]):
        """Shows what it is given."""

        async def put(self, item: Any) -> None:
            """Show it."""
            print(item)

    asyncio.run(main(Shown(), {"minutes": 0.01}))
