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
import time
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
            except (OSError, ValueError):
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
    linked = isinstance(content["me"], dict) and content["me"].get("id")
    return "" if linked else "creds.json has no me.id: never linked"


def digest_of(path: str) -> str:
    """Digest of a folder; empty if there is none, or if it changed while it was read."""
    try:
        return tree_digest(path) if os.path.isdir(path) else ""
    except FileNotFoundError:
        return ""


def look(path: str, attempts: int = 5, pause_s: float = 0.05) -> tuple[str, str]:
    """Why the session cannot be used (empty if it can) and its digest.

    A running service writes its files in place, so a half-written one is no verdict: a session counts as broken only
    if it stays the same while it is looked at.
    """
    reason, digest = validate(path), digest_of(path)
    for _attempt in range(attempts):
        if not reason:
            break
        time.sleep(pause_s)
        before = digest
        reason, digest = validate(path), digest_of(path)
        if digest == before:
            break
    return reason, digest


def inspect(directory: str, accounts: list[str]) -> list[Session]:
    """State of the declared accounts below ``directory``."""
    found = []
    for account in accounts:
        path = os.path.join(directory, account)
        reason, digest = look(path)
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
            if os.path.islink(os.path.join(target, name)):
                continue
            descriptor = os.open(os.path.join(target, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        fsync_directory(target)


def beside(path: str, purpose: str) -> str:
    """A free place on the same file system, hidden from a service that takes every folder for an account."""
    place = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{purpose}")
    if os.path.isdir(place):
        shutil.rmtree(place)
    return place


def swap_in(staged: str, path: str) -> None:
    """Let the folder ``staged`` take the place of ``path``, which must be kept elsewhere already."""
    aside = beside(path, "replaced")
    if os.path.isdir(path):
        os.rename(path, aside)
    if staged:
        os.rename(staged, path)
    fsync_directory(os.path.dirname(path))
    if os.path.isdir(aside):
        shutil.rmtree(aside)


def keep(journal: Journal, path: str, account: str, ending: str) -> str:
    """Keep a copy of ``path`` with the run, under a name of its own; empty if there is nothing to keep.

    Copied and not moved, because a move to another file system that is cut short leaves half a folder on each side.
    """
    if not os.path.isdir(path):
        return ""
    root = os.path.join(journal.directory, "replaced", COMPONENT)
    make_private_directory(root)
    name, number = account + ending, 1
    while os.path.lexists(os.path.join(root, name)):
        number += 1
        name = f"{account}{ending}.{number}"
    kept = os.path.join(root, name)
    partial = beside(kept, "partial")
    copy_folder(path, partial)
    os.rename(partial, kept)
    fsync_directory(root)
    return kept


def capture(session: Session, destination: str, attempts: int = 10) -> str:
    """Copy a session that its service may be writing; returns the digest of the copy.

    The copy counts only if the source had the same digest before and after and the copy validates; otherwise the
    service wrote meanwhile and the copy is made again. An earlier copy stays until the new one is complete.
    """
    directory = os.path.dirname(destination)
    make_private_directory(directory)
    for _attempt in range(attempts):
        partial = beside(destination, "partial")
        before = digest_of(session.path)
        try:
            copy_folder(session.path, partial)
        except OSError as error:
            # Either a file went away under the copy, which is tried again, or the copy cannot be made at all.
            if before and before == digest_of(session.path):
                shutil.rmtree(partial, ignore_errors=True)
                raise RollbackError("A session cannot be copied", found=str(error), where=destination) from error
            continue
        if before and before == digest_of(session.path) == tree_digest(partial) and not validate(partial):
            swap_in(partial, destination)
            return before
    shutil.rmtree(beside(destination, "partial"), ignore_errors=True)
    raise RollbackError(
        "A session changed during every attempt to copy it",
        found=f"{attempts} attempts",
        where=session.path,
        next_step="stop the WhatsApp service for the capture",
    )


def restore(journal: Journal, session: Session, copy: str) -> None:
    """Put the captured session in place of a broken one, which is kept with the run. The service must be stopped."""
    reason = validate(copy)
    if reason or not validate(session.path):
        raise RollbackError(
            "Only a valid copy may replace a session, and only a broken one",
            found=reason or "the live session is valid",
            where=session.path,
        )
    kept = keep(journal, session.path, session.account, "")
    staged = beside(session.path, "restored")
    copy_folder(copy, staged)
    with journal.step(COMPONENT, "switch", session.account, {"path": session.path, "kept": kept}):
        swap_in(staged, session.path)


def revert(journal: Journal, by: Journal, account: str) -> bool:
    """Put back the folder that the run of ``journal`` replaced, on behalf of the run of ``by``.

    The one in place is kept with the latter. False if nothing was replaced.
    """
    steps = journal.to_undo(COMPONENT, account)
    for step in steps:
        path, kept = step.undo["path"], step.undo["kept"]
        differs = digest_of(path) != digest_of(kept)
        copy = keep(by, path, account, ".undone")
        with journal.reverting(step, by, {"path": path, "kept": copy}):
            if differs:
                staged = beside(path, "restored") if kept else ""
                if staged:
                    copy_folder(kept, staged)
                swap_in(staged, path)
    return bool(steps)
