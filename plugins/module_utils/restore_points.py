"""Restore points: the manifest, where it lives, and how an operator's words become one.

A restore point is ``<state_dir>/restore_points/<id>/manifest.json`` on the state host. Its id is the UTC time at
which it was taken (``20261121T174500Z``), so ids sort by age and no file time is ever consulted.
"""

from __future__ import annotations

import dataclasses
import datetime
import glob
import json
import os
import re
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    make_private_directory,
    sha256_file,
    write_atomically,
)

SCHEMA = 1
ID = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z")
COMMIT = re.compile(r"^[0-9a-f]{40}$")
DATE = re.compile(r"[0-9]{8}\Z")
REQUIRED = ("schema", "id", "taken_at", "taken_by", "environment", "application", "database", "known_good")
CAPTURE = "ansible-playbook playbooks/capture-restore-point.yml"
LIST = "ansible-playbook playbooks/assess-rollback.yml"


@dataclasses.dataclass
class Store:
    """The restore points of one system, as found on the state host."""

    state_dir: str

    @property
    def root(self) -> str:
        """Directory that holds one directory per restore point."""
        return os.path.join(self.state_dir, "restore_points")

    def path(self, point_id: str) -> str:
        """Manifest file of a restore point."""
        return os.path.join(self.root, point_id, "manifest.json")

    def ids(self) -> list[str]:
        """Ids of all complete restore points, oldest first; a directory without manifest was never finished."""
        if not os.path.isdir(self.root):
            return []
        return sorted(name for name in os.listdir(self.root) if ID.match(name) and os.path.exists(self.path(name)))

    def read(self, point_id: str) -> dict[str, Any]:
        """Manifest as a dict; raises RollbackError if it is missing, unreadable or of another schema."""
        path = self.path(point_id)
        try:
            with open(path, encoding="utf-8") as stream:
                manifest: dict[str, Any] = json.load(stream)
        except FileNotFoundError:
            raise RollbackError(
                "There is no restore point with this id", found=point_id, where=self.root, next_step=LIST
            ) from None
        except ValueError as error:
            raise RollbackError("A manifest cannot be read", found=str(error), where=path, next_step=CAPTURE) from error
        if check(manifest, path)["id"] != point_id:
            raise RollbackError(
                "A manifest is that of another restore point", found=manifest["id"], where=path, next_step=CAPTURE
            )
        return manifest

    def write(self, manifest: dict[str, Any]) -> None:
        """Store a checked manifest so that it is there whole or not at all."""
        check(manifest, self.path(str(manifest.get("id"))))
        path = self.path(manifest["id"])
        make_private_directory(os.path.dirname(path))
        write_atomically(path, render(manifest))

    def resolve(self, target: str, known_good_only: bool = False) -> dict[str, Any]:
        """Manifest named by ``target``: an id, ``latest``, or a date ``YYYYMMDD`` (the newest of that day).

        ``latest`` is the newest known good one if there is any, because the newest of all may have been taken
        from a system that was already broken.
        """
        if ID.match(target):
            return self.read(target)
        ids = self.ids()
        if DATE.match(target):
            ids = [point_id for point_id in ids if point_id.startswith(target)]
        elif target != "latest":
            raise RollbackError(
                "A rollback target is a restore point id (20261121T174500Z), a date (20261121) or latest",
                found=target,
                where="rollback_target",
                next_step=LIST,
            )
        newest: dict[str, Any] = {}
        for point_id in reversed(ids):
            # Older ones than the answer are not read: a broken one among them must not stop a rollback.
            manifest = self.read(point_id)
            if manifest["known_good"]:
                return manifest
            newest = newest or manifest
        if known_good_only or not newest:
            raise RollbackError(
                "No restore point answers to this target",
                found=f"{target}; present: {', '.join(self.ids()) or 'none'}",
                where=self.root,
                next_step=CAPTURE,
            )
        return newest


def render(manifest: dict[str, Any]) -> bytes:
    """The manifest's bytes on disk: sorted keys, so that two captures can be compared by eye."""
    return json.dumps(manifest, indent=2, sort_keys=True).encode("utf-8") + b"\n"


def check(manifest: dict[str, Any], where: str) -> dict[str, Any]:
    """The same manifest, if it is one this version understands; RollbackError otherwise."""
    if not isinstance(manifest, dict):
        raise RollbackError("A manifest is an object", found=type(manifest).__name__, where=where, next_step=CAPTURE)
    missing = ", ".join(key for key in REQUIRED if key not in manifest)
    if missing:
        raise RollbackError("A manifest is incomplete", found=f"no {missing}", where=where, next_step=CAPTURE)
    if manifest["schema"] != SCHEMA:
        raise RollbackError(
            f"This version reads manifests of schema {SCHEMA}", found=manifest["schema"], where=where, next_step=CAPTURE
        )
    if not ID.match(str(manifest["id"])):
        raise RollbackError("A restore point id looks like 20261121T174500Z", found=manifest["id"], where=where)
    if not isinstance(manifest["known_good"], bool):
        # The text "False" would count as true.
        raise RollbackError("known_good is true or false", found=manifest["known_good"], where=where, next_step=CAPTURE)
    return manifest


def find_backup(directory: str, date: str) -> str:
    """Newest ``backup_<date>*.sql[.gz|.zst]`` that operators left in ``directory``, by name."""
    found: list[str] = []
    for ending in (".sql", ".sql.gz", ".sql.zst"):
        found += glob.glob(os.path.join(glob.escape(directory), f"backup_{date}*{ending}"))
    if not found:
        raise RollbackError(
            "There is no database backup of this date",
            found=date,
            where=f"{directory}/backup_{date}*.sql[.gz|.zst]",
            next_step=LIST,
        )
    return sorted(found)[-1]


def assemble(date: str, environment: str, taken_by: str, commit: str, backup: dict[str, Any]) -> dict[str, Any]:
    """A manifest made from what operators already have: a commit and a plain dump.

    ``backup`` is ``{path, bytes, sha256}``. Nothing is known about row counts or sessions, and nothing was
    validated, so the point is never known good.
    """
    if not COMMIT.match(commit):
        raise RollbackError(
            "A commit is given whole, 40 hexadecimal digits",
            found=commit,
            where="rollback_commit",
            next_step="git rev-parse <commit>",
        )
    try:
        moment = datetime.datetime.strptime(date, "%Y%m%d")
    except ValueError:
        raise RollbackError("There is no such date", found=date, where="rollback_target", next_step=LIST) from None
    return {
        "schema": SCHEMA,
        "id": moment.strftime("%Y%m%dT000000Z"),
        "taken_at": moment.strftime("%Y-%m-%dT00:00:00Z"),
        "taken_by": taken_by,
        "environment": environment,
        "reason": "assembled from a backup of this date",
        "assembled": True,
        "application": {"commit": commit},
        "frontend": {},
        "database": {"kind": "logical", "files": [backup], "tables": {}},
        "env_restore": {},
        "whatsapp_session": {},
        "services": {},
        "baseline": {},
        "known_good": False,
    }


def meant(store: Store, target: str, commit: str, environment: str, backup_dir: str) -> dict[str, Any]:
    """Manifest of what ``target`` means: a restore point, or the plain dump of a date together with ``commit``."""
    if not DATE.match(target) or any(point_id.startswith(target) for point_id in store.ids()):
        return store.resolve(target)
    backup = find_backup(backup_dir, target)
    if not commit:
        raise RollbackError(
            "A plain dump does not say which commit it belongs to",
            found=backup,
            where="rollback_commit",
            next_step="run again with -e rollback_commit=<commit> (git log --oneline)",
        )
    files = {"path": backup, "bytes": os.path.getsize(backup), "sha256": sha256_file(backup)}
    return assemble(target, environment, "operator", commit, files)
