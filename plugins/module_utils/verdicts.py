"""What a check of the database has to say: a verdict, what it rests on, and how long it took."""

from __future__ import annotations

from typing import Any

PASSED, FAILED, NOT_CHECKED = "passed", "failed", "not checked"


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
