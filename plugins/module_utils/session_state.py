"""WhatsApp session folders on disk: whether one can be used, and whose it is. Nothing here changes anything.

Two libraries, two layouts. Baileys' multi-file state is ``creds.json`` and one JSON file a key, all of which can be
read. The LocalAuth of whatsapp-web.js is a Chromium profile, of which only the outside can be judged.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import time
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import leveldb
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import tree_digest

BAILEYS, LOCALAUTH = "baileys", "localauth"
KINDS = (BAILEYS, LOCALAUTH)
ACCOUNT = re.compile(r"[-\w]+\Z")
#: What a linked device always has; without any of these the library would silently start a new device.
CREDENTIALS = ("me", "registrationId", "noiseKey", "signedIdentityKey", "account")
#: Databases of a Chromium profile that the log-in is in, and files of it that are JSON.
DATABASES = ("Default/IndexedDB/https_web.whatsapp.com_0.indexeddb.leveldb", "Default/Local Storage/leveldb")
DOCUMENTS = ("Local State", "Default/Preferences")
#: What a Chromium leaves in its profile while it runs, and after a kill; the target of the first is ``<host>-<pid>``.
SINGLETONS = ("SingletonLock", "SingletonCookie", "SingletonSocket")
#: Said with every LocalAuth session that is called valid.
NOT_CHECKED = "the records in the tables of the profile, and whether WhatsApp still accepts the log-in"


@dataclasses.dataclass
class Store:
    """Where a service keeps its sessions: a folder an account below ``path``, named after the template ``folder``."""

    path: str
    kind: str = BAILEYS
    folder: str = "{account}"

    def folder_of(self, account: str) -> str:
        """Folder of one account; a name that could lead out of the store is refused."""
        if not ACCOUNT.match(account):
            raise RollbackError("An account name has letters, digits, - and _ only", found=account)
        return os.path.join(self.path, self.folder.replace("{account}", account))


@dataclasses.dataclass
class Session:
    """One account's folder: ``valid`` with an empty ``reason``, or not with the reason in words."""

    account: str
    path: str
    valid: bool
    reason: str
    digest: str
    kind: str = BAILEYS


def validate(path: str, kind: str = BAILEYS) -> str:
    """Why the session in ``path`` cannot be used; empty if nothing that can be checked speaks against it."""
    if not os.path.isdir(path):
        return "the folder is missing"
    return validate_baileys(path) if kind == BAILEYS else validate_localauth(path)


def read_json(path: str, name: str) -> Any:
    """Content of a JSON file below ``path``; raises ValueError with the reason in words."""
    try:
        with open(os.path.join(path, name), encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        raise ValueError(f"{name} is missing") from None
    except (OSError, ValueError, RecursionError):
        raise ValueError(f"{name} is not whole JSON") from None


def validate_baileys(path: str) -> str:
    """Baileys: the credentials are those of a linked device, and every key file is whole."""
    try:
        reason = check_credentials(read_json(path, "creds.json"))
        for name in sorted(os.listdir(path)):
            if name.endswith(".json") and not reason:
                read_json(path, name)
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"the folder cannot be read: {error.strerror}"
    return reason


def check_credentials(content: Any) -> str:
    """Why a parsed ``creds.json`` is not that of a linked device; empty if it is."""
    if not isinstance(content, dict):
        return "creds.json is not an object"
    # A registration id may be 0.
    missing = [key for key in CREDENTIALS if content.get(key) in (None, "", {})]
    if missing:
        return "creds.json has no " + ", ".join(missing)
    linked = isinstance(content["me"], dict) and content["me"].get("id")
    return "" if linked else "creds.json has no me.id: never linked"


def validate_localauth(path: str) -> str:
    """LocalAuth: the profile's JSON files parse, and its databases have the tables that their manifests name."""
    try:
        for name in DOCUMENTS:
            if not isinstance(read_json(path, name), dict):
                return f"{name} is not an object"
    except ValueError as error:
        return str(error)
    for name in DATABASES:
        reason = leveldb.check(os.path.join(path, name))
        if reason:
            return f"{os.path.basename(name)}: {reason}"
    return ""


def identity(path: str, kind: str = BAILEYS) -> str:
    """Which linked device the folder is, as a digest of its public part; empty if that cannot be known.

    Two copies of one folder have the same; a phone that was linked again has another.
    """
    if kind != BAILEYS:
        return ""
    try:
        credentials = read_json(path, "creds.json")
    except ValueError:
        return ""
    if check_credentials(credentials):
        return ""
    key = credentials["signedIdentityKey"]
    public = key.get("public", "") if isinstance(key, dict) else ""
    parts = json.dumps([credentials["me"].get("id"), credentials["registrationId"], public], sort_keys=True)
    return hashlib.sha256(parts.encode("utf-8")).hexdigest()


def digest_of(path: str) -> str:
    """Digest of a folder; empty if there is none, or if it changed while it was read."""
    try:
        return tree_digest(path) if os.path.isdir(path) else ""
    except FileNotFoundError:
        return ""


def look(path: str, kind: str = BAILEYS, attempts: int = 5, pause_s: float = 0.05) -> tuple[str, str]:
    """Why the session cannot be used (empty if it can) and its digest.

    A running service writes its files in place, so a half-written one is no verdict: a session counts as broken only
    if it stays the same while it is looked at.
    """
    reason, digest = validate(path, kind), digest_of(path)
    for _attempt in range(attempts):
        if not reason:
            break
        time.sleep(pause_s)
        before = digest
        reason, digest = validate(path, kind), digest_of(path)
        if digest == before:
            break
    return reason, digest


def inspect(store: Store, accounts: list[str]) -> list[Session]:
    """State of the declared accounts."""
    found = []
    for account in accounts:
        path = store.folder_of(account)
        reason, digest = look(path, store.kind)
        found.append(Session(account, path, not reason, reason, digest, store.kind))
    return found


def twins(store: Store, accounts: list[str]) -> dict[str, list[str]]:
    """Other folders of the store that are the same linked device, by account: the service would run it twice."""
    names = sorted(os.listdir(store.path)) if os.path.isdir(store.path) else []
    folders = [name for name in names if not name.startswith(".") and os.path.isdir(os.path.join(store.path, name))]
    owners = {name: identity(os.path.join(store.path, name), store.kind) for name in folders}
    found = {}
    for account in accounts:
        own = os.path.basename(store.folder_of(account))
        same = [name for name, owner in owners.items() if owner and name != own and owner == owners.get(own)]
        if same:
            found[account] = same
    return found
