"""What users were answered since a moment: an access log of a web server, from a place in it on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import log_windows
from ansible_collections.campaign.rollback.plugins.module_utils.files import make_private_directory, write_atomically

Place = dict[str, Any]


def mark(path: str) -> Place:
    """The end of the log as it is now."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return {"path": path, "inode": 0, "offset": 0}
    return {"path": path, "inode": status.st_ino, "offset": status.st_size}


def keep_mark(file: str, path: str) -> None:
    """Keep the first mark that a run sets, in ``file``: a resumed run still knows what came since its switch."""
    if not os.path.exists(file):
        make_private_directory(os.path.dirname(file))
        write_atomically(file, json.dumps(mark(path)).encode("utf-8") + b"\n")


def read_mark(file: str) -> Place | None:
    """The mark that was kept, None if there is none."""
    try:
        with open(file, encoding="utf-8") as stream:
            place: Place = json.load(stream)
    except (FileNotFoundError, ValueError):
        return None
    return place


def lines_since(place: Place) -> Iterator[str]:
    """Lines written since the mark, those of a log that was rotated meanwhile (``<path>.1``) included."""
    for path in (place["path"] + ".1", place["path"]):
        try:
            with open(path, "rb") as stream:
                same = os.fstat(stream.fileno()).st_ino == place["inode"]
                if path != place["path"] and not same:
                    continue
                stream.seek(place["offset"] if same else 0)
                for raw in stream:
                    yield raw.decode("utf-8", "replace")
        except FileNotFoundError:
            continue


def server_errors(place: Place, held: str) -> dict[str, Any]:
    """``{requests, errors, first}`` since the mark: answers of status 5xx, and the first of them.

    A 503 on a path that matches the regular expression ``held`` is wanted and does not count; empty matches none.
    """
    wanted = re.compile(held) if held else None
    requests, found = 0, []
    for request in filter(None, map(log_windows.access, lines_since(place))):
        requests += 1
        is_held = wanted is not None and request.status == 503 and wanted.search(request.path)
        if request.status >= 500 and not is_held:
            found.append(f"{request.path} {request.status}")
    return {"requests": requests, "errors": len(found), "first": found[0] if found else ""}
