"""WhatsApp sessions: copy a sound one, keep several generations, restore the newest that is valid, put back.

An older copy put over a healthy session rewinds its key ratchets and breaks it. So nothing is restored over a session
that still validates, unless the service itself says that it is broken.
"""

from __future__ import annotations

import os
import shutil

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    copy_tree,
    fsync_directory,
    make_private_directory,
    tree_digest,
)
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.session_state import (
    SINGLETONS,
    Session,
    digest_of,
    validate,
)

COMPONENT = "whatsapp_session"


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
    copy_tree(path, partial)
    os.rename(partial, kept)
    fsync_directory(root)
    return kept


def generations(copies: str, account: str) -> list[str]:
    """Copies of one account below ``copies``, newest first; each is named after the run that made it."""
    root = os.path.join(copies, account)
    names = sorted(os.listdir(root), reverse=True) if os.path.isdir(root) else []
    return [os.path.join(root, name) for name in names if not name.startswith(".")]


def newest_valid(copies: str, account: str, kind: str) -> str:
    """The newest copy that can be used; empty if there is none."""
    return next((copy for copy in generations(copies, account) if not validate(copy, kind)), "")


def prune(copies: str, account: str, kind: str, most: int) -> None:
    """Remove what is older than the ``most`` newest copies, but never the newest valid one, and what was cut short."""
    root = os.path.join(copies, account)
    usable = newest_valid(copies, account, kind)
    surplus = [copy for copy in generations(copies, account)[most:] if copy != usable]
    for path in surplus + [os.path.join(root, name) for name in os.listdir(root) if name.startswith(".")]:
        shutil.rmtree(path)
    fsync_directory(root)


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
            copy_tree(session.path, partial)
        except OSError as error:
            # Either a file went away under the copy, which is tried again, or the copy cannot be made at all.
            if before and before == digest_of(session.path):
                shutil.rmtree(partial, ignore_errors=True)
                raise RollbackError("A session cannot be copied", found=str(error), where=destination) from error
            continue
        if before and before == digest_of(session.path) == tree_digest(partial) and not validate(partial, session.kind):
            swap_in(partial, destination)
            return before
    shutil.rmtree(beside(destination, "partial"), ignore_errors=True)
    raise RollbackError(
        "A session changed during every attempt to copy it",
        found=f"{attempts} attempts",
        where=session.path,
        next_step="set whatsapp_session_quiesce, so that the service is stopped meanwhile",
    )


def restore(journal: Journal, session: Session, copy: str, stated: bool = False) -> None:
    """Put a copy in place of a broken session, which is kept with the run. The service must be stopped.

    ``stated`` means that the service itself said it is broken, which the disk need not show.
    """
    reason = validate(copy, session.kind)
    if reason or not (stated or validate(session.path, session.kind)):
        raise RollbackError(
            "Only a valid copy may replace a session, and only a broken one",
            found=reason or "the live session is valid",
            where=session.path,
        )
    kept = keep(journal, session.path, session.account, "")
    staged = beside(session.path, "restored")
    copy_tree(copy, staged)
    # They name a browser that has ended; the next one would take them for a browser that runs elsewhere.
    for name in SINGLETONS:
        if os.path.lexists(os.path.join(staged, name)):
            os.unlink(os.path.join(staged, name))
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
                    copy_tree(kept, staged)
                swap_in(staged, path)
    return bool(steps)
