"""What a check has to say: a verdict, what it rests on, where to look further, and how long it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

PASSED, FAILED, NOT_CHECKED, SKIPPED = "passed", "failed", "not checked", "skipped"


def check(name: str, found: Any, expected: Any, detail: str = "") -> dict[str, Any]:
    """One verdict; values are compared as text, because drivers disagree about the types of numbers."""
    shown = None if found is None else str(found)
    wanted = None if expected is None else str(expected)
    passed = shown == wanted and not detail
    return {
        "name": name,
        "verdict": PASSED if passed else FAILED,
        "passed": passed,
        "found": shown,
        "expected": wanted,
        "detail": detail,
        "seconds": 0.0,
    }


def not_checked(name: str, detail: str) -> dict[str, Any]:
    """A check that was not made, or not to its end: it has neither passed nor failed."""
    return {**check(name, None, None, detail), "verdict": NOT_CHECKED, "passed": False}


def statement(name: str, verdict: str, detail: str, evidence: str = "", look: str = "") -> dict[str, Any]:
    """A verdict in words: ``evidence`` is what it rests on, ``look`` the command with which to look further.

    Neither may hold a secret, nor text that users wrote.
    """
    return {
        "name": name,
        "verdict": verdict,
        "passed": verdict == PASSED,
        "detail": detail,
        "evidence": evidence,
        "look": look,
    }


def failing(checks: Iterable[Mapping[str, Any]]) -> int:
    """How many found something wrong; what was not checked, or skipped, has not."""
    return sum(check["verdict"] == FAILED for check in checks)
