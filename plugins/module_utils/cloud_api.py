"""Health of accounts on Meta's WhatsApp Cloud API, from GET requests alone.

Nothing is sent, and no number is registered: repeated registration is throttled and takes a healthy number off. What
Meta writes in an error's ``message`` may repeat the token, so errors are told by their ``code``.
"""

from __future__ import annotations

import dataclasses
import json
import urllib.parse
from collections.abc import Callable
from typing import Any

HEALTHY, BROKEN, UNKNOWN = "healthy", "broken", "unknown"
SCOPES = ("whatsapp_business_messaging", "whatsapp_business_management")
FIELDS = "verified_name,code_verification_status,quality_rating,platform_type,throughput,status,account_mode"
#: Codes that say something is wrong with token or account until somebody mends it.
PERMANENT = {
    0: "the token is not accepted",
    190: "the token has expired or was withdrawn; make a new one",
    3: "the app lacks a capability",
    10: "a permission is missing",
    100: "the id is unknown, or the token has no right to it",
    368: "the account is blocked for a violation of policy",
    131031: "the account is locked",
    131042: "the payment of the account has to be put right",
    131045: "the certificate of the number is not right",
}
#: Codes that say nothing about the account: ask again later.
PASSING = {
    1: "Meta has a passing fault",
    2: "Meta has a passing fault",
    4: "too many calls of the app",
    80007: "too many calls for the business account",
    80008: "too many calls for the business account",
    130429: "too many calls",
    131000: "Meta has a passing fault",
    131016: "Meta is overloaded",
    131057: "the account is in maintenance at Meta",
    133016: "too many registrations",
}

#: address, token -> (status, text); raises OSError if there is no answer
Get = Callable[[str, str], "tuple[int, str]"]


@dataclasses.dataclass
class Account:
    """One account: the id of its number, its business account if subscriptions are to be checked, and its token."""

    name: str
    phone_number_id: str
    waba_id: str = ""
    token: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass
class Health:
    """What was found of an account; ``expires_at`` is in Unix seconds, 0 if the token never ends, None if unknown."""

    state: str = HEALTHY
    reasons: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    expires_at: int | None = None
    quality: str = ""

    def object(self, state: str, reason: str) -> None:
        """Something speaks against the account; broken outweighs unknown."""
        self.state = BROKEN if BROKEN in (self.state, state) else state
        self.reasons.append(reason)


def explain(error: dict[str, Any]) -> tuple[str, str]:
    """State and reason for Meta's error object."""
    code = error.get("code")
    trace = f", trace {error['fbtrace_id']}" if isinstance(error.get("fbtrace_id"), str) else ""
    if isinstance(code, int) and (code in PERMANENT or 200 <= code <= 299):
        return BROKEN, f"{PERMANENT.get(code, 'a permission is missing')} (code {code}{trace})"
    if code in PASSING:
        return UNKNOWN, f"{PASSING[code]} (code {code}{trace})"
    return UNKNOWN, f"Meta answers with an error that is not known here (code {code}{trace})"


def ask(get: Get, url: str, token: str, health: Health, what: str) -> dict[str, Any]:
    """Object that an address answers with; empty if it is an error, which is noted in ``health``."""
    try:
        status, text = get(url, token)
        answer = json.loads(text)
    except OSError as error:
        health.object(UNKNOWN, f"{what}: no answer ({type(error).__name__})")
        return {}
    except ValueError:
        health.object(UNKNOWN, f"{what}: the answer is not JSON")
        return {}
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        state, reason = explain(answer["error"])
        health.object(state, f"{what}: {reason}")
        return {}
    if status != 200 or not isinstance(answer, dict) or not answer:
        health.object(UNKNOWN, f"{what}: status {status}, and no answer that can be understood")
        return {}
    return answer


def check_token(data: Any, health: Health, now: float, warn_s: float) -> str:
    """Judge what ``debug_token`` says; returns the id of the app that the token belongs to."""
    if not isinstance(data, dict):
        health.object(UNKNOWN, "token: the answer has no data")
        return ""
    if data.get("is_valid") is not True:
        nested = data.get("error")
        reason = explain(nested)[1] if isinstance(nested, dict) else "it is not valid"
        health.object(BROKEN, f"token: {reason}")
    expires = data.get("expires_at")
    health.expires_at = expires if isinstance(expires, int) else None
    if health.expires_at and health.expires_at <= now:
        health.object(BROKEN, "token: it has expired")
    elif health.expires_at and health.expires_at - now < warn_s:
        health.notes.append(f"the token expires in {(health.expires_at - now) / 3600:.0f} h")
    scopes = data.get("scopes")
    missing = [scope for scope in SCOPES if scope not in (scopes if isinstance(scopes, list) else [])]
    if missing and data.get("is_valid") is True:
        health.object(BROKEN, "token: it lacks " + ", ".join(missing))
    return str(data.get("app_id", ""))


def check_number(number: dict[str, Any], health: Health) -> None:
    """Judge the fields of a number."""
    health.quality = str(number.get("quality_rating", ""))
    if health.quality == "RED":
        health.notes.append("the number's quality rating is RED; Meta may limit it")
    status = number.get("status", "CONNECTED")
    if status != "CONNECTED":
        health.object(BROKEN, f"number: it is {status}")
    if number.get("account_mode") == "SANDBOX":
        health.notes.append("the number is in sandbox mode")


def check(get: Get, base: str, account: Account, now: float, warn_s: float = 3 * 86400) -> Health:
    """Ask for token, number and, if declared, subscription of an account.

    ``base`` is Meta's address with version, ``now`` Unix seconds, ``warn_s`` the seconds before the end of a token at
    which that is told.
    """
    health = Health()
    query = urllib.parse.urlencode({"input_token": account.token})
    answer = ask(get, f"{base}/debug_token?{query}", account.token, health, "token")
    app = check_token(answer.get("data"), health, now, warn_s) if answer else ""
    number = ask(get, f"{base}/{account.phone_number_id}?fields={FIELDS}", account.token, health, "number")
    if number:
        check_number(number, health)
    if account.waba_id:
        answer = ask(get, f"{base}/{account.waba_id}/subscribed_apps", account.token, health, "webhook")
        rows = answer.get("data", []) if isinstance(answer.get("data", []), list) else []
        data = [row.get("whatsapp_business_api_data", {}) for row in rows if isinstance(row, dict)]
        if answer and app and app not in [str(entry.get("id", "")) for entry in data if isinstance(entry, dict)]:
            health.object(BROKEN, "webhook: the app is not subscribed to the business account")
    return health
