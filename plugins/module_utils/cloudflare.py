"""Cloudflare's interface for emptying its cache: what is sent, and what its answers mean. Sending is the caller's."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: Addresses that one call may name, on every plan.
BATCH = 30


def bodies(files: list[str]) -> list[dict[str, Any]]:
    """Bodies of the calls that purge ``files``, whole addresses; everything without any."""
    if not files:
        return [{"purge_everything": True}]
    wrong = next((file for file in files if not file.startswith(("http://", "https://"))), "")
    if wrong:
        raise RollbackError("A file to purge is a whole address, scheme included", wrong, "frontend_cdn_files")
    return [{"files": files[first : first + BATCH]} for first in range(0, len(files), BATCH)]


def fault(status: int, text: str) -> str:
    """Why a call failed, empty if it succeeded: its HTTP status and the codes and messages of the answer."""
    try:
        answer = json.loads(text)
        success, errors = answer["success"], answer.get("errors") or []
        told = "; ".join(f"{error['code']} {error['message']}" for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"status {status}, and no answer of the interface"
    if success is True and 200 <= status < 300:
        return ""
    return f"status {status}: {told[:300] or 'no reason given'}"


def may_pass(status: int) -> bool:
    """Whether the same call may succeed a little later: too many calls, or a failure on their side."""
    return status == 429 or status >= 500
