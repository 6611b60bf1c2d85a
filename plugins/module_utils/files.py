"""Durable file primitives: write, replace, digest. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Container, Iterator


def fsync_directory(path: str) -> None:
    """Make a rename or creation inside ``path`` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: str) -> None:
    """Make the content of a file that others wrote survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_tree(source: str, destination: str, without: Container[str] = ()) -> None:
    """Copy a directory to a new place with owners and modes, links as links; durable when this returns.

    Names in ``without``, relative to ``source``, are left out.
    """

    def leave_out(directory: str, names: list[str]) -> list[str]:
        inside = os.path.relpath(directory, source)
        return [name for name in names if os.path.normpath(os.path.join(inside, name)) in without]

    shutil.copytree(source, destination, symlinks=True, ignore=leave_out)
    for directory, names, files in os.walk(destination):
        origin = os.path.normpath(os.path.join(source, os.path.relpath(directory, destination)))
        for name in ["", *names, *files]:
            status = os.lstat(os.path.join(origin, name))
            os.chown(os.path.join(directory, name), status.st_uid, status.st_gid, follow_symlinks=False)
        for name in files:
            if not os.path.islink(os.path.join(directory, name)):
                fsync_file(os.path.join(directory, name))
        fsync_directory(directory)


def make_private_directory(path: str) -> None:
    """Create ``path`` and missing parents, each 0700, durable before anything is put inside."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path.rstrip("/")) or "/"
    make_private_directory(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    fsync_directory(parent)


def write_atomically(path: str, data: bytes, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Replace ``path`` by ``data`` so that a reader, or a crash, sees the old or the new file, never a part.

    ``owner`` is ``(uid, gid)``; without it the file belongs to the caller.
    """
    directory = os.path.dirname(path) or "."
    descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            if owner is not None:
                os.fchown(stream.fileno(), owner[0], owner[1])
            os.fsync(stream.fileno())
        os.rename(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    fsync_directory(directory)


@contextlib.contextmanager
def flocked(path: str, operation: int) -> Iterator[None]:
    """Hold a lock on ``path``, a directory or a file made for it, in the body; ``operation`` as for flock."""
    flags = os.O_RDONLY if os.path.isdir(path) else os.O_RDWR | os.O_CREAT
    # Closed in children by default, so that a daemon started in the body does not keep the lock.
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)


def append_line(path: str, line: str) -> None:
    """Append one line to a file of lines, durable when this returns; a torn last line is ended first."""
    created = not os.path.exists(path)
    data = line.encode("utf-8") + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            # A torn line from a power cut would swallow this one.
            data = b"\n" + data
        while data:
            # A full disk takes a part without an error and refuses the rest.
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if created:
        fsync_directory(os.path.dirname(path))


def sha256_file(path: str) -> str:
    """Hex SHA-256 of one file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1024 * 1024), b""):
            digest.update(block)
    return digest.hexdigest()


def tree_digest(root: str, without: Container[str] = ()) -> str:
    """Hex SHA-256 over relative names, link targets and contents below ``root``; owners and times do not count.

    Names in ``without``, relative to ``root``, do not count either.
    """
    digest = hashlib.sha256()
    for directory, names, files in os.walk(root):
        names.sort()
        # A link to a directory is listed among the directories, and is not followed.
        links = [name for name in names if os.path.islink(os.path.join(directory, name))]
        for name in sorted(files + links):
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, root)
            if relative in without:
                continue
            content = "-> " + os.readlink(path) if os.path.islink(path) else sha256_file(path)
            digest.update(f"{relative}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
