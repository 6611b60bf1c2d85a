"""What the answer to a request with a token says about the token."""

from __future__ import annotations

import base64
import json
import re

EXPIRED = re.compile(r"\bexpired\b", re.IGNORECASE)


def expiry_of(token: str) -> float | None:
    """Unix time at which a JSON web token ends, None for any other token. It is only read, and nothing is verified."""
    parts = token.split()[-1].split(".") if token.strip() else []
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None


def verdict(status: int, text: str, expires: float | None, now: float) -> str:
    """``valid``, ``expired``, ``refused``, or ``unknown`` where the answer says nothing about the token.

    A redirect is a refusal: it leads to the log-in. ``status`` 0 is no answer.
    """
    if 200 <= status < 300:
        return "valid"
    if status in (401, 403) or 300 <= status < 400:
        ended = expires is not None and expires <= now
        return "expired" if ended or EXPIRED.search(text) else "refused"
    return "unknown"


def detail(status: int, expires: float | None, now: float) -> str:
    """The answer in words that show nothing of the token."""
    answer = f"status {status}" if status else "no answer"
    if expires is None:
        return answer
    days = abs(expires - now) / 86400
    return f"{answer}, {'ends in' if expires > now else 'ended'} {days:.1f} days{'' if expires > now else ' ago'}"
