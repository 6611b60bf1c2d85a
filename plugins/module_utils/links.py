"""Atomic switch of a symbolic link, journaled, and back again."""

from __future__ import annotations

import os

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import fsync_directory
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal


def current_target(path: str) -> str | None:
    """Where ``path`` points, None if there is nothing; a file or directory in its place is an error."""
    if os.path.islink(path):
        return os.readlink(path)
    if os.path.lexists(path):
        raise RollbackError(
            "Only a symbolic link can be switched atomically",
            found="a file or directory",
            where=path,
            next_step="set application_layout to the layout that this host really has",
        )
    return None


def point(path: str, target: str | None) -> None:
    """Let ``path`` point at ``target`` in one rename, durable; None removes the link."""
    directory = os.path.dirname(path) or "."
    if target is None:
        os.unlink(path)
    else:
        temporary = os.path.join(directory, f".{os.path.basename(path)}.switch")
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(target, temporary)
        os.rename(temporary, path)
    fsync_directory(directory)


def check(path: str, target: str) -> str | None:
    """Refuse a switch that cannot be done or would leave a dangling link; returns where ``path`` points."""
    before = current_target(path)
    if not os.path.exists(os.path.join(os.path.dirname(path), target)):
        raise RollbackError("The switch would leave a dangling link", found=target, where=path)
    return before


def switch(journal: Journal, component: str, path: str, target: str) -> None:
    """Journal, then point ``path`` at ``target``; a target that does not exist is refused."""
    before = check(path, target)
    with journal.step(component, "switch", path, {"path": path, "target": before}):
        point(path, target)


def revert(journal: Journal, by: Journal, component: str) -> list[tuple[str, str | None]]:
    """Put back every link that the run of ``journal`` switched for ``component``, on behalf of the run of ``by``.

    Returns what was put back as (path, target).
    """
    reverted = []
    for step in journal.to_undo(component):
        path, target = step.undo["path"], step.undo["target"]
        before = current_target(path)
        with journal.reverting(step, by, {"path": path, "target": before}):
            if before != target:
                point(path, target)
        reverted.append((path, target))
    return reverted
