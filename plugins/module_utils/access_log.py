"""What users were answered since a moment: an access log of a web server, from a place in it on."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import log_windows
from ansible_collections.campaign.rollback.plugins.module_utils.files import make_private_directory, write_atomically

Place = dict[str, Any]
#: How far back, in seconds and in bytes, is looked for what failed before a mark.
BEFORE_S = 600
BEFORE_BYTES = 8 << 20


def mark(path: str) -> Place:
    """The end of the log as it is now, and what ``failing`` shortly before: kinds of paths that got a status of 5xx."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return {"path": path, "inode": 0, "offset": 0, "failing": []}
    before, _whole = log_windows.recent([path], time.time() - BEFORE_S, BEFORE_BYTES, log_windows.access)
    failing = sorted({_kind(request.path) for request in before if request.status >= 500})
    return {"path": path, "inode": status.st_ino, "offset": status.st_size, "failing": failing}


def _kind(path: str) -> str:
    """A path without what differs from one request to the next."""
    return re.sub(r"\d+", "0", path)


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
    """``{requests, errors, as_before, first}`` since the mark: answers of status 5xx, and the first of them.

    Those of a kind that failed before count ``as_before``: they tell nothing about what was changed. A 503 on a path
    that matches the regular expression ``held`` is wanted and does not count; empty matches none.
    """
    wanted = re.compile(held) if held else None
    requests, as_before, found = 0, 0, []
    for request in filter(None, map(log_windows.access, lines_since(place))):
        requests += 1
        is_held = wanted is not None and request.status == 503 and wanted.search(request.path)
        if request.status < 500 or is_held:
            continue
        if _kind(request.path) in place["failing"]:
            as_before += 1
        else:
            found.append(f"{request.path} {request.status}")
    return {"requests": requests, "errors": len(found), "as_before": as_before, "first": found[0] if found else ""}
