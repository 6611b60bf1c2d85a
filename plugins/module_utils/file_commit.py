"""Some files of an older commit as a new commit on top of the live one, in the repository of a host.

The same run makes the same commit on every host: what goes into it is the two commits, the files and the run's id. It
is kept under a name of its own, so no branch moves and nothing is pruned.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.functions import matches

AUTHOR = "rollback"
LINK = "120000"
#: Kinds of entries that are files; a submodule is none.
FILES = ("100644", "100755", LINK)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file in a tree: git's mode and the id of its content."""

    mode: str
    blob: str

    def holds(self, data: bytes) -> bool:
        """Whether the content is exactly this."""
        digest = hashlib.sha1 if len(self.blob) == 40 else hashlib.sha256
        return digest(b"blob %d\0" % len(data) + data).hexdigest() == self.blob


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the files are to be: ``entries`` of the older commit, ``surplus`` are paths that it does not have."""

    entries: dict[str, Entry]
    surplus: list[str]


class Repository:
    """A git directory, used as its owner, so that a later fetch by that user can still write to it."""

    def __init__(self, path: str, objects: str = "") -> None:
        """With ``objects``, a directory, nothing is written to the repository but what is new goes there."""
        self.path = path
        self._environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "LC_ALL": "C"}
        if objects:
            self._environment["GIT_OBJECT_DIRECTORY"] = objects
            self._environment["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = os.path.join(path, "objects")

    @property
    def owner(self) -> tuple[int, int]:
        """User and group ids of the repository."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            raise RollbackError(
                "There is no repository", found="nothing", where=self.path, next_step="see application_repository"
            ) from None
        return status.st_uid, status.st_gid

    def run(self, *argv: str, given: bytes = b"", environment: dict[str, str] | None = None) -> bytes:
        """What git prints; RollbackError with what it says if it fails."""
        user, group = self.owner
        switch: dict[str, Any] = {"user": user, "group": group, "extra_groups": []} if os.geteuid() == 0 else {}
        command = ["git", "-c", "safe.directory=*", f"--git-dir={self.path}", *argv]
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            check=False,
            cwd="/",
            env={**self._environment, **(environment or {})},
            **switch,
        )
        if done.returncode:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
            raise RollbackError("git failed", found=said, where=" ".join(command[3:5]), next_step="git fsck there")
        return bytes(done.stdout)

    def tree(self, commit: str) -> dict[str, Entry]:
        """Path to entry of every file of a commit."""
        found = {}
        for line in (
            self.run("ls-tree", "-r", "-z", "--full-tree", commit).decode("utf-8", "surrogateescape").split("\0")
        ):
            if line:
                about, path = line.split("\t", 1)
                mode, _kind, blob = about.split()
                if mode in FILES:
                    found[path] = Entry(mode, blob)
        return found

    def content(self, entry: Entry) -> bytes:
        """Content of a file, or where a link leads."""
        return self.run("cat-file", "blob", entry.blob)


def wanted_files(repository: Repository, live: str, older: str, patterns: Sequence[str]) -> Wanted:
    """The files that the patterns cover, as they are in ``older``; RollbackError for a pattern that covers none."""
    now, then = repository.tree(live), repository.tree(older)
    entries = {path: entry for path, entry in then.items() if matches(patterns, path)}
    surplus = [path for path in now if path not in then and matches(patterns, path)]
    idle = [pattern for pattern in patterns if not any(matches([pattern], path) for path in {**now, **then})]
    if idle:
        raise RollbackError(
            "No file answers to this pattern, neither in the live commit nor in that of the restore point",
            found=", ".join(idle),
            where="rollback_functions",
            next_step=f"git --git-dir={repository.path} ls-tree -r --name-only {older}",
        )
    return Wanted(entries, surplus)


def date_of(run_id: str) -> str:
    """The time in a run's id as git reads it."""
    day, clock = run_id[:8], run_id[9:15]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}+0000"


def commit(repository: Repository, run_id: str, live: str, older: str, wanted: Wanted, what: str) -> str:
    """Make the commit and return its id; ``what`` is restored, in words for its message. It has no name yet."""
    lines = [f"0 {'0' * 40}\t{path}" for path in wanted.surplus]
    lines += [f"{entry.mode} {entry.blob}\t{path}" for path, entry in wanted.entries.items()]
    with temporary_directory(repository) as directory:
        index = {"GIT_INDEX_FILE": os.path.join(directory, "index")}
        repository.run("read-tree", live, environment=index)
        given = "".join(line + "\0" for line in lines).encode("utf-8", "surrogateescape")
        repository.run("update-index", "-z", "--index-info", given=given, environment=index)
        tree = repository.run("write-tree", environment=index).decode().strip()
    identity = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", AUTHOR), ("EMAIL", "rollback@localhost"), ("DATE", date_of(run_id)))
    }
    message = f"Roll back {what}\n\nFiles as in {older}, by rollback run {run_id}.\n"
    argv = ("commit-tree", tree, "-p", live, "-F", "-")
    return repository.run(*argv, given=message.encode("utf-8"), environment=identity).decode().strip()


def keep(repository: Repository, run_id: str, commit_id: str) -> None:
    """Give the commit its name, ``refs/rollback/<run>``."""
    repository.run("update-ref", f"refs/rollback/{run_id}", commit_id)


def kept(repository: Repository, run_id: str) -> str:
    """The commit that a run made, empty if it made none yet."""
    return repository.run("for-each-ref", "--format=%(objectname)", f"refs/rollback/{run_id}").decode().strip()


@contextlib.contextmanager
def temporary_directory(repository: Repository) -> Iterator[str]:
    """A directory that git may write to as the repository's owner."""
    with tempfile.TemporaryDirectory(prefix="rollback-git-") as directory:
        if os.geteuid() == 0:
            os.chown(directory, *repository.owner)
        yield directory


@contextlib.contextmanager
def rehearsal(path: str) -> Iterator[Repository]:
    """The repository for a commit that is only computed: what it writes is gone afterwards."""
    with temporary_directory(Repository(path)) as directory:
        yield Repository(path, directory)
