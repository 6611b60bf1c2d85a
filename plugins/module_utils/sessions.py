"""WhatsApp session folders on disk: validate, copy while the service runs, restore, put back.

A session is a folder per account. The layout understood here is the multi-file authentication state of Baileys:
``creds.json`` and one JSON file a key. An older copy put over a healthy session rewinds its key ratchets and
breaks it, so nothing is restored over a session that still validates.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    fsync_directory,
    make_private_directory,
    tree_digest,
)
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

COMPONENT = "whatsapp_session"
#: What a linked device always has; without any of these the library would silently start a new device.
CREDENTIALS = ("me", "registrationId", "noiseKey", "signedIdentityKey")


@dataclasses.dataclass
class Session:
    """One account's folder: ``valid`` with an empty ``reason``, or not with the reason in words."""

    account: str
    path: str
    valid: bool
    reason: str
    digest: str


def validate(path: str) -> str:
    """Why the session in ``path`` cannot be used; empty if it can."""
    credentials = os.path.join(path, "creds.json")
    if not os.path.isdir(path):
        return "the folder is missing"
    if not os.path.exists(credentials):
        return "creds.json is missing"
    for name in sorted(os.listdir(path)):
        if name.endswith(".json"):
            try:
                with open(os.path.join(path, name), encoding="utf-8") as stream:
                    content = json.load(stream)
            except ValueError:
                return f"{name} is not whole JSON"
            if name == "creds.json":
                reason = check_credentials(content)
                if reason:
                    return reason
    return ""


def check_credentials(content: Any) -> str:
    """Why a parsed ``creds.json`` is not that of a linked device; empty if it is."""
    if not isinstance(content, dict):
        return "creds.json is not an object"
    missing = [key for key in CREDENTIALS if not content.get(key)]
    if missing:
        return "creds.json has no " + ", ".join(missing)
    return "" if isinstance(content["me"], dict) and content["me"].get("id") else "creds.json has no me.id: never linked"


def inspect(directory: str, accounts: list[str]) -> list[Session]:
    """State of the declared accounts below ``directory``."""
    found = []
    for account in accounts:
        path = os.path.join(directory, account)
        reason = validate(path)
        digest = tree_digest(path) if os.path.isdir(path) else ""
        found.append(Session(account, path, not reason, reason, digest))
    return found


def copy_folder(source: str, destination: str) -> None:
    """Copy a folder with owners and modes to a new place, durable."""
    shutil.copytree(source, destination, symlinks=True)
    for directory, _names, files in os.walk(source):
        target = os.path.normpath(os.path.join(destination, os.path.relpath(directory, source)))
        for name in [""] + files:
            status = os.lstat(os.path.join(directory, name))
            os.chown(os.path.join(target, name), status.st_uid, status.st_gid, follow_symlinks=False)
        for name in files:
            descriptor = os.open(os.path.join(target, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        fsync_directory(target)


def capture(session: Session, destination: str, attempts: int = 10) -> str:
    """Copy a session that its service may be writing; returns the digest of the copy.

    The copy counts only if the source had the same digest before and after and the copy validates; otherwise the
    service wrote meanwhile and the copy is made again.
    """
    make_private_directory(os.path.dirname(destination))
    for _attempt in range(attempts):
        if os.path.exists(destination):
            shutil.rmtree(destination)
        before = tree_digest(session.path)
        try:
            copy_folder(session.path, destination)
        except FileNotFoundError:
            continue
        if before == tree_digest(session.path) == tree_digest(destination) and not validate(destination):
            return before
    raise RollbackError(
        "A session changed during every attempt to copy it",
        found=f"{attempts} attempts",
        where=session.path,
        next_step="stop the WhatsApp service for the capture",
    )


def restore(journal: Journal, session: Session, copy: str) -> None:
    """Put the captured session in place of a broken one, which is kept with the run. The service must be stopped."""
    kept = os.path.join(journal.directory, "replaced", COMPONENT, session.account)
    make_private_directory(os.path.dirname(kept))
    staged = session.path + ".restored"
    if os.path.exists(staged):
        shutil.rmtree(staged)
    copy_folder(copy, staged)
    with journal.step(COMPONENT, "switch", session.account, {"path": session.path, "kept": kept}):
        if os.path.exists(session.path):
            shutil.move(session.path, kept)
        os.rename(staged, session.path)
        fsync_directory(os.path.dirname(session.path))


def revert(journal: Journal, account: str) -> bool:
    """Put the replaced folder back; the one in place is kept as ``<kept>.undone``. False if nothing was replaced."""
    steps = journal.to_undo(COMPONENT, account)
    for step in steps:
        path, kept = step.undo["path"], step.undo["kept"]
        if os.path.exists(kept):
            if os.path.exists(path):
                shutil.move(path, kept + ".undone")
            shutil.move(kept, path)
            fsync_directory(os.path.dirname(path))
        journal.undone(step.seq)
    return bool(steps)
