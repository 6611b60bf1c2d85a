"""Front-end builds on one host: kept by commit and digest, staged beside the live one, identified by what is their own.

A build that goes live also carries the assets of the build it replaces, because pages that are open in browsers still
ask for them. The file ``.carried`` inside a build lists those, and they do not count when the build is identified.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterable

from ansible_collections.campaign.rollback.plugins.module_utils import exchange
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    copy_tree,
    fsync_directory,
    tree_digest,
    write_atomically,
)

CARRIED = ".carried"
#: Where Vite puts its manifest, by version.
MANIFESTS = ("manifest.json", os.path.join(".vite", "manifest.json"))


@dataclasses.dataclass(frozen=True)
class Found:
    """A build on disk: where it comes from (``kept``, ``release``, ``live``, ``built``) and what it is."""

    kind: str
    path: str
    digest: str


def carried(build: str) -> list[str]:
    """Names inside ``build`` that are not its own, the list of them included."""
    try:
        with open(os.path.join(build, CARRIED), encoding="utf-8", errors="surrogateescape") as stream:
            return [CARRIED, *stream.read().splitlines()]
    except FileNotFoundError:
        return []


def build_digest(build: str) -> str:
    """What identifies a build, as ``tree_digest`` of its own files; empty if there is no such directory."""
    return tree_digest(build, without=set(carried(build))) if os.path.isdir(build) else ""


def files_below(root: str) -> list[str]:
    """Names of regular files and links below ``root``, relative to it, in order."""
    found = []
    for directory, names, files in os.walk(root):
        links = [name for name in names if os.path.islink(os.path.join(directory, name))]
        found += [os.path.relpath(os.path.join(directory, name), root) for name in files + links]
    return sorted(found)


def named(build: str) -> list[str]:
    """Files that the manifest of ``build`` names; raises RollbackError if it cannot be read."""
    path = next((path for path in (os.path.join(build, name) for name in MANIFESTS) if os.path.exists(path)), "")
    try:
        with open(path, encoding="utf-8") as stream:
            chunks = json.load(stream).values()
        found = [name for chunk in chunks for name in [chunk["file"], *chunk.get("css", []), *chunk.get("assets", [])]]
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        where = path or os.path.join(build, MANIFESTS[0])
        found_instead = type(error).__name__ if path else "no manifest"
        raise RollbackError("The front-end build has no manifest to be used", found_instead, where) from None
    return sorted(set(found))


def fault(build: str) -> str:
    """Why the build cannot serve, empty if every file that its manifest names is there."""
    try:
        missing = [name for name in named(build) if not os.path.isfile(os.path.join(build, name))]
    except RollbackError as error:
        return str(error)
    if missing:
        found = f"{len(missing)} missing, {missing[0]} the first"
        return str(RollbackError("The manifest names files that are not there", found=found, where=build))
    return ""


def kept_name(commit: str, digest: str) -> str:
    """Name under which a build is kept; two builds of one commit are two."""
    return f"{commit}-{digest[:12]}"


def places(builds: str, commit: str, digest: str) -> list[str]:
    """Directories in which a build may be kept, the likeliest first; a pipeline may keep its own by commit alone."""
    names = sorted(os.listdir(builds)) if os.path.isdir(builds) else []
    likely = [kept_name(commit, digest), commit] if digest else [commit]
    alike = [name for name in names if name.startswith(commit + "-") or (digest and name.endswith("-" + digest[:12]))]
    return [os.path.join(builds, name) for name in dict.fromkeys([*likely, *alike])]


def find(candidates: Iterable[tuple[str, str]], digest: str, whole: bool) -> tuple[Found | None, list[str]]:
    """The first of ``(kind, path)`` that is the wanted build, and why each before it is not.

    ``whole`` also demands that the files of its manifest are there, and so does a search without a ``digest``.
    """
    reasons = []
    for kind, path in candidates:
        if not os.path.isdir(path):
            continue
        found = Found(kind, path, build_digest(path))
        if digest and found.digest != digest:
            # That what is to be replaced is something else needs no reason.
            reasons += (
                []
                if kind in ("live", "staged")
                else [f"{path} has the digest {found.digest[:12]}, wanted {digest[:12]}"]
            )
        elif (whole or not digest) and fault(path):
            reasons.append(fault(path))
        else:
            return found, reasons
    return None, reasons


def own(one: str, other: str) -> str:
    """Give ``other`` to the owner of ``one``."""
    status = os.lstat(one)
    os.chown(other, status.st_uid, status.st_gid, follow_symlinks=False)
    return other


def put(source: str, destination: str) -> None:
    """Make ``destination`` a copy of the build ``source`` without what it carries; it is there whole or not at all.

    A directory in its place, which may be the live one, goes in the same step where the file system has such a step.
    """
    parent, name = os.path.split(destination)
    part = os.path.join(parent, f".{name}.part")
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(parent, exist_ok=True)
    copy_tree(source, part, without=set(carried(source)))
    if os.path.isdir(destination):
        try:
            exchange.rename(part, destination, exchange.RENAME_EXCHANGE)
        except RollbackError:
            shutil.rmtree(destination)
    if not os.path.isdir(destination):
        os.rename(part, destination)
        fsync_directory(parent)
    shutil.rmtree(part, ignore_errors=True)


def keep(build: str, builds: str, commit: str) -> Found:
    """Keep a copy of ``build`` under its commit and digest; one that is there is left alone."""
    digest = build_digest(build)
    if not digest:
        raise RollbackError("There is no front-end build to keep", found="no directory", where=build)
    place = os.path.join(builds, kept_name(commit, digest))
    if build_digest(place) != digest:
        put(build, place)
    return Found("kept", place, digest)


def carry(source: str, destination: str, assets: str) -> list[str]:
    """Let ``destination`` also serve the assets of ``source`` that it has not, by further names of the same files.

    ``assets`` is the directory inside a build whose file names carry a hash. They are listed before they are there, so
    that they never count as the build's own. Returns their names.
    """
    names = [os.path.join(assets, name) for name in files_below(os.path.join(source, assets))]
    wanted = [name for name in names if not os.path.lexists(os.path.join(destination, name))]
    if not wanted:
        return []
    listed = sorted({*carried(destination), *wanted} - {CARRIED})
    text = "".join(name + "\n" for name in listed).encode("utf-8", "surrogateescape")
    path = os.path.join(destination, CARRIED)
    write_atomically(path, text, mode=0o644)
    own(destination, path)
    for name in wanted:
        place = os.path.join(destination, name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        link_or_copy(os.path.join(source, name), place)
    fsync_directory(destination)
    return wanted


def link_or_copy(source: str, destination: str) -> None:
    """A second name of the same file, a copy where the file system has no such thing."""
    try:
        os.link(source, destination, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, destination, follow_symlinks=False)
        own(source, destination)
