"""Options that the modules for WhatsApp sessions share, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.pm2 import Pm2
from ansible_collections.campaign.rollback.plugins.module_utils.session_process import Service, holders
from ansible_collections.campaign.rollback.plugins.module_utils.session_service import Api, token_in
from ansible_collections.campaign.rollback.plugins.module_utils.session_state import BAILEYS, KINDS, Store

STORE_OPTIONS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "kind": {"type": "str", "choices": list(KINDS), "default": BAILEYS},
    "folder": {"type": "str", "default": "{account}"},
    "accounts": {"type": "list", "elements": "str", "required": True},
    "program": {"type": "path"},
}
PM2_OPTIONS: dict[str, Any] = {
    "pm2": {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "home": {"type": "path", "required": True},
            "ecosystem": {"type": "path", "required": True},
        },
    },
}
API_OPTIONS: dict[str, Any] = {
    "api": {
        "type": "dict",
        "required": True,
        "options": {
            "status_url": {"type": "str", "required": True},
            "status_path": {"type": "str", "required": True},
            "restart_url": {"type": "str", "default": ""},
            "restart_method": {"type": "str", "default": "POST"},
            "restart_body": {"type": "dict", "default": {}},
            "connected": {"type": "list", "elements": "str", "required": True},
            "logged_out": {"type": "list", "elements": "str", "default": []},
            "broken": {"type": "list", "elements": "str", "default": []},
            "header": {"type": "str", "default": "Authorization: Bearer {token}"},
            "token_file": {"type": "path", "default": "", "no_log": False},
            "token_key": {"type": "str", "default": "", "no_log": False},
        },
    },
    "timeout_s": {"type": "float", "default": 5},
}


def store_of(params: dict[str, Any]) -> Store:
    """The store that a module is called with."""
    return Store(params["path"].rstrip("/"), params["kind"], params["folder"])


def api_of(params: dict[str, Any]) -> Api:
    """The service's endpoints, with the token read on this host; it never passes through the controller."""
    given = dict(params["api"])
    token = token_in(given.pop("token_file"), given.pop("token_key"))
    return Api(**given, token=token)


def service_of(params: dict[str, Any], run_command: Callable[..., Any]) -> Service:
    """The process that runs the sessions, as ``pm2`` names it if it is given."""
    store = store_of(params)

    def look() -> Any:
        return holders(store, params["accounts"], params["program"] or "")

    given = params["pm2"]
    if not given:
        return Service(look)
    # A directory that the pm2 user may enter: the caller's may be closed to it.
    pm2 = Pm2(lambda argv: run_command(argv, cwd="/"), given["user"], given["home"])
    return Service(look, pm2, given["name"], given["home"], given["ecosystem"])
