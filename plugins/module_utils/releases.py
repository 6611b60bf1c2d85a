"""Releases of the application on one host: the only place that knows how a layout puts them on disk."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.builds import build_digest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


@dataclasses.dataclass
class Release:
    """One release on disk; ``build_digest`` is empty if it has no front-end build."""

    name: str
    path: str
    commit: str
    version: str
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
    details = details_of(path)
    digest = build_digest(os.path.join(path, build_path))
    return Release(os.path.basename(path), path, commit, str(details.get("version", "")), digest)


class Releases:
    """Layout ``releases``: ``<root>/releases/<name>`` and a link ``<root>/current``."""

    def __init__(self, root: str, repository: str, build_path: str) -> None:
        """Nothing is read yet."""
        self.root = root
        self.repository = repository
        self.build_path = build_path
        self.link = os.path.join(root, "current")

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

    def has_commit(self, commit: str) -> bool:
        """Whether the commit can be checked out again from the repository on this host."""
        argv = ["git", "-c", "safe.directory=*", f"--git-dir={self.repository}", "cat-file", "-e", commit + "^{commit}"]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0


LAYOUTS = {"releases": Releases}


def layout(name: str, root: str, repository: str, build_path: str) -> Releases:
    """The layout called ``name``."""
    if name not in LAYOUTS:
        raise RollbackError(
            "This layout is not known",
            found=name,
            where="application_layout",
            next_step="use one of " + ", ".join(LAYOUTS),
        )
    return LAYOUTS[name](root, repository, build_path)
