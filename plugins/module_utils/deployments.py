"""What has to be true before a deployment, so that there is a way back from it: a statement for each."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import migrations
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import make_private_directory, write_atomically
from ansible_collections.campaign.rollback.plugins.module_utils.restore_points import CAPTURE, COMMIT
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import FAILED, PASSED, statement

VERIFY = "ansible-playbook playbooks/verify-restore-points.yml"
LEASE = "ansible-playbook playbooks/hold-lease.yml"
RESUME = "ansible-playbook playbooks/resume-rollback.yml"
MARK = "ansible-playbook playbooks/mark-staging.yml -e rollback_green=<who> -e rollback_commit="


def mark_path(state_dir: str, commit: str) -> str:
    """File that says that staging is green with a commit; RollbackError for anything but a whole commit."""
    if not COMMIT.match(commit):
        raise RollbackError(
            "A commit is given whole, 40 hexadecimal digits",
            found=commit or "none",
            where="rollback_commit",
            next_step="git rev-parse <commit>",
        )
    return os.path.join(state_dir, "green", f"{commit}.json")


def read_mark(path: str) -> dict[str, str]:
    """``by`` and ``at`` of the mark, empty if there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RollbackError("The mark of a commit cannot be read", found=str(error), where=path) from error
    return {name: str(found.get(name, "")) for name in ("by", "at")} if isinstance(found, dict) else {}


def write_mark(path: str, mark: Mapping[str, str]) -> None:
    """Keep the mark, whole or as it was."""
    make_private_directory(os.path.dirname(path))
    write_atomically(path, json.dumps(mark, indent=2, sort_keys=True).encode("utf-8") + b"\n")


def _git(repository: str, *arguments: str) -> bytes:
    argv = ["git", "--no-optional-locks", "-c", "safe.directory=*", f"--git-dir={repository}", *arguments]
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode:
        said = " ".join(os.fsdecode(done.stderr).split())[:200]
        raise RollbackError("git cannot read a commit", found=said, where=repository, next_step="git fetch there")
    return done.stdout


def _migrations(repository: str, commit: str, search: Sequence[str]) -> list[str]:
    """Paths of the migrations that git tracks in a commit."""
    paths = os.fsdecode(_git(repository, "ls-tree", "-r", "-z", "--name-only", commit)).split("\0")
    # Component by component, because a pattern's star does not reach across a slash.
    wanted = [tuple(pattern.split("/")) for pattern in search]
    found = []
    for path in paths:
        parts = path.split("/")
        directory = parts[:-1]
        matches = any(
            len(pattern) == len(directory) and all(map(fnmatch.fnmatchcase, directory, pattern)) for pattern in wanted
        )
        if matches and fnmatch.fnmatchcase(parts[-1], "*_*.php"):
            found.append(path)
    return found


def new_migrations(
    repository: str, live: str, commit: str, search: Sequence[str], accepted: Sequence[str], connection: str | None
) -> dict[str, Any]:
    """What reversing the migrations means that ``commit`` has and ``live`` has not; see ``migrations.summary``."""
    known = set(_migrations(repository, live, search))
    new = [path for path in _migrations(repository, commit, search) if path not in known]
    names = [os.path.basename(path)[: -len(".php")] for path in new]
    with tempfile.TemporaryDirectory() as directory:
        for path in new:
            place = os.path.join(directory, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as stream:
                stream.write(_git(repository, "cat-file", "blob", f"{commit}:{path}"))
        found = migrations.examine_all(directory, names, search, accepted, connection)
    return {**migrations.summary(found), "names": names}


def _one(name: str, problem: str, fine: str, look: str) -> dict[str, Any]:
    return statement(name, FAILED if problem else PASSED, problem or fine, look=look)


def of_state(said: Mapping[str, Any], commit: str, own: str, max_age_s: float) -> list[dict[str, Any]]:
    """What the state host has to say: ``points``, ``unfinished``, ``lease`` (as run_lease returns it) and ``mark``.

    ``own`` is the name under which the deployment itself may hold the lease already.
    """
    held = said["lease"]
    other = held["held"] and held["lease"].get("run_id") != own
    unfinished = said["unfinished"]
    stopped = f"{unfinished['kind']} {unfinished['id']} is {unfinished['state']}" if unfinished else ""
    mark = said["mark"]
    return [
        *_of_point(next(iter(said["points"]), {}), max_age_s),
        _one("nobody holds the system", f"held by {held['holder']}" if other else "", "free", LEASE),
        _one("no run stopped half way", stopped, "none did", RESUME),
        _one(
            "staging is green",
            "" if mark else f"nobody has said so of {commit[:12]}",
            "{by} at {at}".format(**mark) if mark else "",
            MARK + commit,
        ),
    ]


def _of_point(point: Mapping[str, Any], max_age_s: float) -> list[dict[str, Any]]:
    """About the newest restore point, empty if there is none."""
    names = ("restore point is fresh", "restore point is known good", "its backup was restored in a test")
    if not point or point["problem"]:
        problem = point["problem"] if point else "there is no restore point"
        return [_one(name, problem, "", CAPTURE) for name in names]
    age = f"{point['id']} is {point['age_s']} s old, at most {max_age_s:g} s allowed"
    failed = point["verification_failed"] or ("" if point["verified"] else "it never was")
    return [
        _one(names[0], "" if 0 <= point["age_s"] <= max_age_s else age, age, CAPTURE),
        _one(names[1], "" if point["known_good"] else f"{point['id']} is not", point["id"], CAPTURE),
        _one(names[2], failed, point["verified"], VERIFY),
    ]


def of_host(host: str, said: Mapping[str, Any], point: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What one host has to say, without an ``environment`` if it could not; ``point`` is the newest manifest.

    Beside the answer of the module deployment_info its ``problems`` are those of the preflight.
    """
    if "environment" not in said:
        return [_one("answers", said.get("msg") or "the host does not answer", "", "uptime")]
    checks = [_one("room, rights, programs and clock", " ".join(said["problems"]), "fine", "df -h; timedatectl")]
    if said.get("commit"):
        captured = (point.get("application") or {}).get("commit", "")
        other = f"live is {said['commit'][:12]}, captured was {captured[:12] or 'none'}"
        checks.append(
            _one("restore point has the live code", other if said["commit"] != captured else "", captured, CAPTURE)
        )
    kept = (point.get("env_restore") or {}).get(host) or {}
    for path, digest in sorted(said["environment"].items()):
        known = (kept.get(path) or {}).get("digest")
        changed = "it was not captured" if not known else "it changed since" if known != digest else ""
        checks.append(_one(f"environment {path} is captured", changed, "as captured", CAPTURE))
    if said.get("migrations") is not None:
        checks.append(_of_migrations(said["migrations"]))
    return checks


def _of_migrations(found: Mapping[str, Any]) -> dict[str, Any]:
    name, look = "its migrations can be reversed", "docs/migrations.md"
    if found["problem"]:
        return _one(name, found["problem"], "", "git fetch")
    fine = f"{len(found['names'])} new" + (f"; {'; '.join(found['notes'])}" if found["notes"] else "")
    return _one(name, "; ".join(found["refusals"]), fine, look)
