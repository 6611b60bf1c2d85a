"""A release made from the live one with some files of an older commit, for the layout with one directory a release.

It is built beside the live one and becomes a release with its last file, REVISION. A layout without such directories
takes the same commit (see file_commit) and puts it live in its own way.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.file_commit import LINK, Entry, Repository, Wanted
from ansible_collections.campaign.rollback.plugins.module_utils.files import write_atomically
from ansible_collections.campaign.rollback.plugins.module_utils.releases import commit_of, details_of

REVISION, DETAILS = "REVISION", "RELEASE.json"


def different(directory: str, wanted: Wanted) -> list[str]:
    """Files below ``directory`` that are not as wanted, whatever its commit says: they may have been edited there."""
    found = [path for path in wanted.surplus if os.path.lexists(os.path.join(directory, path))]
    for path, entry in wanted.entries.items():
        refuse_behind_link(directory, path)
        place = os.path.join(directory, path)
        if (
            not os.path.lexists(place)
            or os.path.islink(place) != (entry.mode == LINK)
            or not entry.holds(content_at(place))
            or executable(place) != (entry.mode == "100755")
        ):
            found.append(path)
    return sorted(found)


def content_at(place: str) -> bytes:
    """Content of a file, or where a link leads, as git keeps it."""
    if os.path.islink(place):
        return os.fsencode(os.readlink(place))
    with open(place, "rb") as stream:
        return stream.read()


def executable(place: str) -> bool:
    """Whether its owner may execute it; of links nobody asks."""
    return not os.path.islink(place) and bool(os.stat(place).st_mode & 0o100)


def refuse_behind_link(directory: str, path: str) -> None:
    """Raise if a part of the path is a link: what releases share is not restored with one of them."""
    parts = path.split("/")
    for depth in range(1, len(parts)):
        place = os.path.join(directory, *parts[:depth])
        if os.path.islink(place):
            raise RollbackError("A declared file lies behind a link that releases share", found=path, where=place)


def put(repository: Repository, directory: str, path: str, entry: Entry) -> None:
    """Write one file; it belongs to whom the release's other files belong to."""
    place = os.path.join(directory, path)
    like = os.lstat(place) if os.path.lexists(place) else None
    make_directories(directory, os.path.dirname(path))
    owner = os.stat(os.path.dirname(place))
    data = repository.content(entry)
    if like is not None and (entry.mode == LINK or os.path.islink(place)):
        os.unlink(place)
    if entry.mode == LINK:
        os.symlink(os.fsdecode(data), place)
        os.lchown(place, owner.st_uid, owner.st_gid)
        return
    # Who may read it stays; who may execute it is the commit's to say.
    readable = (like.st_mode if like is not None else owner.st_mode) & 0o666
    mode = readable | ((readable & 0o444) >> 2 if entry.mode == "100755" else 0)
    user, group = (like.st_uid, like.st_gid) if like is not None else (owner.st_uid, owner.st_gid)
    write_atomically(place, data, mode, (user, group))


def make_directories(directory: str, relative: str) -> None:
    """Missing directories below ``directory``, each like its parent."""
    place = directory
    for part in relative.split("/") if relative else []:
        above, place = os.stat(place), os.path.join(place, part)
        if not os.path.isdir(place):
            os.mkdir(place)
            os.chown(place, above.st_uid, above.st_gid)
            os.chmod(place, above.st_mode & 0o7777)


def build(repository: Repository, live: str, new: str, commit: str, wanted: Wanted) -> bool:
    """Make the release ``new`` from the release ``live``; False if it is there already.

    What an interrupted attempt left has no REVISION and is made anew.
    """
    if commit_of(new) == commit:
        return False
    if os.path.lexists(new):
        shutil.rmtree(new)
    os.mkdir(new, 0o700)
    entries = [os.path.join(live, name) for name in sorted(os.listdir(live)) if name != REVISION]
    copy = ["cp", "--archive", "--reflink=auto", f"--target-directory={new}", "--", *entries]
    done = subprocess.run(copy, capture_output=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
        raise RollbackError("The live release could not be copied", found=said, where=live, next_step="df -h " + new)
    for path in wanted.surplus:
        if os.path.lexists(os.path.join(new, path)):
            os.unlink(os.path.join(new, path))
    for path in different(new, wanted):
        if path in wanted.entries:
            put(repository, new, path, wanted.entries[path])
    status, revision = os.stat(live), os.stat(os.path.join(live, REVISION))
    details = details_of(new)
    if details:
        text = json.dumps({**details, "commit": commit}, indent=2) + "\n"
        noted = os.stat(os.path.join(new, DETAILS))
        owner = (noted.st_uid, noted.st_gid)
        write_atomically(os.path.join(new, DETAILS), text.encode("utf-8"), noted.st_mode & 0o7777, owner)
    os.chown(new, status.st_uid, status.st_gid)
    os.chmod(new, status.st_mode & 0o7777)
    owner = (revision.st_uid, revision.st_gid)
    write_atomically(os.path.join(new, REVISION), f"{commit}\n".encode(), revision.st_mode & 0o7777, owner)
    return True
