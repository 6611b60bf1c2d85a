"""What the drills of every level do alike."""

from __future__ import annotations

import re
import sys

from system import System

CONFIRM = re.compile(r"rollback_confirm=([\w.-]+:\w+)")


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
