"""What the drills of every level do alike."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import httpx
from system import System

#: Where the live code of a host is, by how it lies there.
CHECKOUT = os.environ.get("DRILL_LAYOUT") == "checkout"
LIVE = "/srv/campaign/" + ("app" if CHECKOUT else "current")
CONFIRM = re.compile(r"rollback_confirm=([\w.-]+(?::[\w,-]+)+)")


def say(text: str) -> None:
    """A step of the drill, for whoever watches."""
    print(f"\n== {text}", flush=True)


def confirmation(system: System, playbook: str) -> str:
    """The word that a playbook without confirmation asks for; it must refuse to act."""
    run = system.play(playbook)
    found = CONFIRM.search(re.sub(r"\s+", " ", run.stdout.read()))
    if run.rc == 0 or not found:
        sys.exit(f"{playbook} without confirmation should print the plan and stop; exit status {run.rc}")
    return found[1]


def checks_from_outside(system: System, version: str) -> list[dict[str, Any]]:
    """The drill's own opinion about what is served."""
    found = []
    hybrid = 404 if version == "v1" else 401
    for host, url in system.web.items():
        with httpx.Client(base_url=url, timeout=15, trust_env=False) as client:
            answers = {
                f"{host} serves {version}": client.get("/api/health").json().get("version") == version,
                f"{host} is healthy in detail": client.get("/api/health/detailed").status_code == 200,
                f"{host} serves the log-in page": client.get("/login").status_code == 200,
                f"{host} answers hybrid with {hybrid}": client.post("/api/campaigns/hybrid").status_code == hybrid,
            }
        found += [{"name": name, "passed": passed} for name, passed in answers.items()]
    return found


def lost(before: dict[str, set[int]], after: dict[str, set[int]]) -> int:
    """Rows that were there before and are not after."""
    return sum(len(keys - after[table]) for table, keys in before.items())


def quiet(system: System) -> bool:
    """Whether nothing waits to be sent."""
    return not system.query("SELECT 1 FROM campaign_logs WHERE status IN ('pending', 'sending') LIMIT 1")
