"""Atomic exchange of a live directory with a prepared one, journaled, and back again.

Both directories stay on disk, each under the other's name, so that the way back is the same exchange. Which of them
is which is known by their inode numbers, on record before anything moves: what lies in them may change meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import fsync_directory
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal, Step

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
AT_FDCWD = -100
#: Why a file system, or a C library, cannot do it; EXDEV also comes from overlays whose lower layer has the directory.
IMPOSSIBLE = {errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EBUSY, errno.EOPNOTSUPP}


def rename(source: str, destination: str, flags: int) -> None:
    """``renameat2(2)``: one change that every process sees as a whole; durable when this returns."""
    number = _rename(os.fsencode(source), os.fsencode(destination), flags)
    if number:
        raise RollbackError(
            "Two directories cannot be exchanged in one step here" if number in IMPOSSIBLE else "A rename failed",
            found=f"{os.strerror(number)}, between {source} and {destination}",
            where=destination,
            next_step=f"findmnt --target {destination}" if number in IMPOSSIBLE else None,
        )
    for directory in {os.path.dirname(source), os.path.dirname(destination)}:
        fsync_directory(directory)


def _rename(source: bytes, destination: bytes, flags: int) -> int:
    """Number of the error, 0 without one; a C library may lack the call."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return errno.ENOSYS
    failed = library.renameat2(AT_FDCWD, source, AT_FDCWD, destination, flags)
    return (ctypes.get_errno() or errno.EIO) if failed else 0


def identity(path: str) -> int | None:
    """Inode number of the directory ``path``, None if there is nothing; a file or link in its place is an error."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        raise RollbackError("Only a directory can be exchanged", found="a file or a link", where=path)
    return status.st_ino


def resolved(path: str) -> str:
    """``path`` without links on the way to it: one of them may point elsewhere when the change is put back."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def announced(journal: Journal, component: str, path: str, prepared: str) -> Step | None:
    """The exchange of this pair that the run announced and did not put back, which may not have happened yet."""
    steps = journal.to_undo(component, resolved(path))
    return next((step for step in steps if step.undo.get("prepared") == resolved(prepared)), None)


def check(journal: Journal, component: str, path: str, prepared: str) -> bool:
    """Whether ``exchange`` has something to do; refuses what it could not do.

    A file system that cannot do it is found only by trying, see ``try_out``.
    """
    path, prepared = resolved(path), resolved(prepared)
    step = announced(journal, component, path, prepared)
    if step:
        return bool(identity(path) != step.undo["brought"])
    if identity(prepared) is None:
        raise RollbackError("There is nothing to exchange the directory with", found="no directory", where=prepared)
    if identity(os.path.dirname(path)) is None:
        raise RollbackError("The directory to exchange has no place", found="no directory", where=os.path.dirname(path))
    if os.stat(os.path.dirname(path)).st_dev != os.stat(prepared).st_dev or os.path.ismount(path):
        raise RollbackError("Directories on two file systems cannot be exchanged", found=prepared, where=path)
    return True


def bring(path: str, prepared: str, wanted: int | None) -> bool:
    """Let ``wanted``, the identity of one of the two or of none, be at ``path``; returns whether it was not."""
    here, there = identity(path), identity(prepared)
    if here == wanted:
        return False
    if there != wanted:
        raise RollbackError(
            "The directory that was exchanged is not where it was left",
            found=f"neither {path} nor {prepared} is inode {wanted}" if wanted else f"{prepared} is in the way",
            where=prepared,
        )
    if here is None:
        rename(prepared, path, RENAME_NOREPLACE)
    else:
        rename(path, prepared, RENAME_NOREPLACE if there is None else RENAME_EXCHANGE)
    return True


def exchange(journal: Journal, component: str, path: str, prepared: str) -> bool:
    """Journal, then exchange ``path`` and ``prepared``; where there is no ``path`` yet, ``prepared`` becomes it.

    Called again by the same run, it completes what was announced. Returns whether anything changed.
    """
    needed = check(journal, component, path, prepared)
    path, prepared = resolved(path), resolved(prepared)
    step = announced(journal, component, path, prepared)
    if step is None:
        brought = identity(prepared)
        undo = {"path": path, "prepared": prepared, "replaced": identity(path), "brought": brought}
        with journal.step(component, "switch", path, undo):
            bring(path, prepared, brought)
    elif needed or step.state != "done":
        bring(path, prepared, step.undo["brought"])
        journal.done(step.seq)
    return needed


def put_back(journal: Journal, by: Journal, step: Step) -> bool:
    """Put one exchange of ``journal`` back, on behalf of the run of ``by``; returns whether anything changed."""
    path, prepared, replaced = (step.undo[key] for key in ("path", "prepared", "replaced"))
    undo = {"path": path, "prepared": prepared, "replaced": identity(path), "brought": replaced}
    with journal.reverting(step, by, undo):
        return bring(path, prepared, replaced)


def revert(journal: Journal, by: Journal, component: str) -> list[str]:
    """Put every exchange of the run of ``journal`` for ``component`` back, newest first; returns the paths."""
    steps = [step for step in journal.to_undo(component) if "prepared" in step.undo]
    return [step.undo["path"] for step in steps if put_back(journal, by, step)]


def try_out(directory: str) -> None:
    """Exchange two empty directories inside ``directory``, so that a file system that cannot is found out in time."""
    one, other = (os.path.join(directory, f".exchange-{os.getpid()}-{side}") for side in "ab")
    try:
        os.mkdir(one, 0o700)
        os.mkdir(other, 0o700)
        rename(one, other, RENAME_EXCHANGE)
    finally:
        for path in (one, other):
            if os.path.isdir(path):
                os.rmdir(path)
