"""What a WhatsApp service says of its accounts, and how it is asked to start one again. Sending is the caller's."""

from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.environment import parse, plain, read
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.http_checks import lookup

#: What the service's word for an account means. Only the second and the third are statements about the session: an
#: account that is merely not connected, or a service that does not answer, says nothing against what is on disk.
CONNECTED, LOGGED_OUT, BROKEN, DISCONNECTED, SILENT = "connected", "logged out", "broken", "disconnected", "silent"
#: The service could not be asked, such as with a token that it does not accept; then the word says why.
NOT_ASKED = "not asked"

#: method, address, headers, body -> (status, text); raises OSError if there is no answer
Ask = Callable[[str, str, "dict[str, str]", "bytes | None"], "tuple[int, str]"]


@dataclasses.dataclass
class Api:
    """Declared endpoints of a service; ``{account}`` in addresses, paths and body stands for the account."""

    status_url: str
    status_path: str
    restart_url: str = ""
    restart_method: str = "POST"
    restart_body: dict[str, Any] = dataclasses.field(default_factory=dict)
    connected: list[str] = dataclasses.field(default_factory=list)
    logged_out: list[str] = dataclasses.field(default_factory=list)
    broken: list[str] = dataclasses.field(default_factory=list)
    header: str = "Authorization: Bearer {token}"
    token: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass
class Stated:
    """The service's own ``word`` for an account, and what it means."""

    meaning: str
    word: str = ""


def sender(timeout_s: float, past_proxy: bool = True) -> Ask:
    """Asks for real; past any proxy unless told otherwise, because the service is on this host or next to it."""
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if past_proxy else []))

    def ask(method: str, url: str, headers: dict[str, str], body: bytes | None) -> tuple[int, str]:
        request = urllib.request.Request(url, data=body, headers=headers, method=method)
        try:
            with opener.open(request, timeout=timeout_s) as answer:
                return answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode("utf-8", "replace")

    return ask


def token_in(file: str, key: str) -> str:
    """The value of ``key`` in an environment file, or all of ``file`` without a key; empty without a file."""
    if not file:
        return ""
    text = read(file)
    token = plain(parse(text).get(key, "")) if key else text.strip()
    if not token:
        raise RollbackError("There is no token for the service", found=key or "an empty file", where=file)
    return token


def filled(value: Any, account: str) -> Any:
    """``{account}`` replaced, in texts however deep."""
    if isinstance(value, dict):
        return {key: filled(each, account) for key, each in value.items()}
    return value.replace("{account}", account) if isinstance(value, str) else value


def headers_of(api: Api) -> dict[str, str]:
    """Headers of every request."""
    name, _colon, value = api.header.partition(":")
    given = {name.strip(): value.strip().replace("{token}", api.token)} if api.token else {}
    return {"Accept": "application/json", **given}


def state_of(api: Api, ask: Ask, account: str) -> Stated:
    """What the service says of an account; an answer that cannot be understood is no statement."""
    url = filled(api.status_url, urllib.parse.quote(account))
    try:
        status, text = ask("GET", url, headers_of(api), None)
    except (OSError, ValueError) as error:
        return Stated(SILENT, type(error).__name__)
    if status in (401, 403):
        raise RollbackError("The service does not accept the token", found=f"status {status}", where=url)
    try:
        value = lookup(json.loads(text), filled(api.status_path, account))
    except ValueError:
        return Stated(SILENT, f"status {status}, no JSON")
    word = json.dumps(value) if isinstance(value, bool) else "" if value is None else str(value)
    for meaning, words in ((CONNECTED, api.connected), (LOGGED_OUT, api.logged_out), (BROKEN, api.broken)):
        if word in words:
            return Stated(meaning, word)
    return Stated(DISCONNECTED, word or f"unknown to the service, status {status}")


def ask_to_restart(api: Api, ask: Ask, account: str) -> str:
    """Ask the service to start one account again; returns why it did not, empty if it did."""
    body = json.dumps(filled(api.restart_body, account)).encode("utf-8")
    headers = {**headers_of(api), "Content-Type": "application/json"}
    try:
        status, _text = ask(api.restart_method, filled(api.restart_url, urllib.parse.quote(account)), headers, body)
    except (OSError, ValueError) as error:
        return type(error).__name__
    return "" if 200 <= status < 300 else f"status {status}"
