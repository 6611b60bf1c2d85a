"""Releases of the application on one host: the only place that knows how a layout puts them on disk."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any, Union

from ansible_collections.campaign.rollback.plugins.module_utils import exchange
from ansible_collections.campaign.rollback.plugins.module_utils.builds import build_digest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.worktree import Tree

#: Composer's, the second of them seldom tracked by git.
LOCK, PACKAGES = "composer.lock", "vendor"


@dataclasses.dataclass
class Release:
    """One release on disk; ``build`` is where its front-end build belongs, ``build_digest`` is empty if it has none."""

    name: str
    path: str
    commit: str
    version: str
    build: str
    build_digest: str


def commit_of(path: str) -> str:
    """Commit of the release in directory ``path``, empty if its deploy was never finished."""
    revision = os.path.join(path, "REVISION")
    if not os.path.isfile(revision):
        return ""
    with open(revision, encoding="utf-8", errors="replace") as stream:
        return stream.read().strip()


def details_of(path: str) -> dict[str, Any]:
    """What the deploy noted about the release; a note that cannot be read must not hide the release."""
    try:
        with open(os.path.join(path, "RELEASE.json"), encoding="utf-8") as stream:
            details = json.load(stream)
    except (OSError, ValueError):
        return {}
    return details if isinstance(details, dict) else {}


def read(path: str, build_path: str) -> Release:
    """The release in directory ``path``, by what its deploy wrote into it and never by file times."""
    commit = commit_of(path)
    if not commit:
        raise RollbackError("A release does not say which commit it is", found="no REVISION file", where=path)
    version = str(details_of(path).get("version", ""))
    build = os.path.join(path, build_path)
    return Release(os.path.basename(path), path, commit, version, build, build_digest(build))


def fresh(staging: str, run_id: str, commit: str) -> str:
    """Directory in which a run checks a commit out."""
    return os.path.join(staging, f"{run_id}-{commit[:7]}")


class Releases:
    """Layout ``releases``: ``<root>/releases/<name>`` and a link ``<root>/current``."""

    def __init__(self, root: str, repository: str, build_path: str) -> None:
        """Nothing is read yet."""
        self.root = root
        self.repository = repository
        self.build_path = build_path
        self.link = os.path.join(root, "current")
        #: Below it, by ``fresh``, a release is checked out again.
        self.staging = os.path.join(root, "releases")

    def current(self) -> Release:
        """The live release: what the link says."""
        path = os.path.realpath(self.link)
        if not os.path.islink(self.link) or not os.path.isdir(path):
            raise RollbackError("There is no live release", found="no link to a directory", where=self.link)
        return read(path, self.build_path)

    def find(self, commit: str, name: str = "") -> Release | None:
        """A complete release of ``commit`` on this host, ``name`` before others; None if there is none."""
        directory = os.path.join(self.root, "releases")
        names = sorted(os.listdir(directory), reverse=True) if os.path.isdir(directory) else []
        for candidate in sorted(names, key=lambda entry: entry != name):
            path = os.path.join(directory, candidate)
            if commit_of(path) == commit:
                return read(path, self.build_path)
        return None

    def modified(self) -> list[str]:
        """Files of the live release that are not as in its commit; a release is not looked at."""
        return []

    def has_commit(self, commit: str) -> bool:
        """Whether the commit can be checked out again from the repository on this host."""
        return self._has(commit + "^{commit}")

    def _has(self, name: str) -> bool:
        argv = ["git", "-c", "safe.directory=*", f"--git-dir={self.repository}", "cat-file", "-e", name]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def needs_install(self, commit: str) -> bool:
        """Whether a release that is checked out again would lack the packages that its lock file names."""
        return self._has(f"{commit}:{LOCK}") and not self._has(f"{commit}:{PACKAGES}")


class Checkout:
    """Layout ``checkout``: one git working tree, and trees beside it from which a run takes what git does not track."""

    def __init__(self, root: str, build_path: str, kept: Sequence[str], journal: Journal | None) -> None:
        """``kept`` as for Tree; ``journal`` is that of the run that stages, if one does."""
        self.root = os.path.realpath(root)
        self.build_path = build_path
        self.link = self.root
        self.staging = self.root + ".rollback"
        self.tree = Tree(root, kept)
        self.journal = journal

    def current(self) -> Release:
        """The live tree; its version is the first tag of its commit."""
        commit, _branch = self.tree.head()
        return self._release(self.root, commit, os.path.join(self.root, self.build_path))

    def _release(self, path: str, commit: str, build: str) -> Release:
        tags = self.tree.git("tag", "--points-at", commit).split()
        return Release(os.path.basename(path), path, commit, tags[0] if tags else "", build, build_digest(build))

    def find(self, commit: str, _name: str = "") -> Release | None:
        """The tree that the run prepared; without one the live tree, if it is at ``commit``; None if there is neither.

        What another run prepared is not taken: it holds what that run replaced.
        """
        prepared = fresh(self.staging, self.journal.run_id, commit) if self.journal else ""
        if prepared and commit_of(prepared) == commit:
            return self._release(prepared, commit, self._build_of(prepared))
        return self.current() if self.tree.commit_of(commit) and self.tree.is_at(commit) else None

    def _build_of(self, prepared: str) -> str:
        """The build that was prepared: it changes places with the live one in the switch."""
        live, other = (os.path.join(path, self.build_path) for path in (self.root, prepared))
        step = self.journal and exchange.announced(self.journal, "application", live, other)
        return live if step and exchange.identity(live) == step.undo["brought"] else other

    def modified(self) -> list[str]:
        """Tracked files of the live tree that are not as in its commit."""
        return self.tree.modified()

    def has_commit(self, commit: str) -> bool:
        """Whether the tree can be brought to the commit."""
        return bool(self.tree.commit_of(commit))

    def needs_install(self, commit: str) -> bool:
        """Whether the tree at the commit would keep packages that its lock file does not name."""
        if not self.has_commit(commit) or self.tree.git("ls-tree", commit, PACKAGES):
            return False
        return bool(self.tree.git("diff", "--name-only", "HEAD", commit, "--", LOCK))


Layout = Union[Releases, Checkout]
LAYOUTS = ("releases", "checkout")


def layout(
    name: str, root: str, repository: str, build_path: str, kept: Sequence[str] = (), journal: Journal | None = None
) -> Layout:
    """The layout called ``name``; ``repository`` is for ``releases``, ``kept`` and ``journal`` are for ``checkout``."""
    if name == "releases":
        return Releases(root, repository, build_path)
    if name == "checkout":
        return Checkout(root, build_path, kept, journal)
    raise RollbackError(
        "This layout is not known",
        found=name,
        where="application_layout",
        next_step="use one of " + ", ".join(LAYOUTS),
    )
