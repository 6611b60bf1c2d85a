"""Paths that are held back after a run: one file of nginx, what it says, and the file that it replaced."""

from __future__ import annotations

import os
import re
import shutil

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    fsync_directory,
    fsync_file,
    make_private_directory,
    write_atomically,
)
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal, Step

COMPONENT = "gate"
FILE = "hold.conf"
#: Inside a server block. The rewrite comes before any location is chosen, so it depends on nothing else in there.
CONFIGURATION = """\
# Held back by rollback run {run_id}. To let users in: remove this file, nginx -s reload.
set $rollback_hold "";
if ($uri ~ "{paths}") {{
    set $rollback_hold held;
}}
if ($http_{header} = "{secret}") {{
    set $rollback_hold "";
}}
if ($rollback_hold = held) {{
    rewrite ^ /.rollback-hold last;
}}
location = /.rollback-hold {{
    internal;
    default_type application/json;
    add_header Retry-After {retry_after_s} always;
    add_header Cache-Control no-store always;
    return 503 '{{"message":"Held back for maintenance, please try again in {retry_after_s} seconds."}}';
}}
"""


def configuration(run_id: str, paths: list[str], header: str, secret: str, retry_after_s: int) -> str:
    """Text of the file; empty holds nothing back. Raises RollbackError for a pattern that nginx would misread."""
    for pattern in paths:
        try:
            re.compile(pattern)
        except re.error as error:
            raise RollbackError(
                "A path to hold back is no regular expression", pattern, f"gate_holds: {error}"
            ) from None
        # A quote ends the pattern, and a dollar before a letter is a variable.
        if re.search(r'["\s]|\$\w', pattern):
            raise RollbackError("A path to hold back has a character that nginx would misread", pattern, "gate_holds")
    if not paths:
        return ""
    name = header.lower().replace("-", "_")
    return CONFIGURATION.format(
        run_id=run_id, paths="|".join(paths), header=name, secret=secret, retry_after_s=retry_after_s
    )


def read(path: str) -> str:
    """What is held back now, as text of the file; empty if nothing is."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def write(path: str, text: str) -> None:
    """Make ``text`` what is held back; empty removes the file. It holds a secret, so only root may read it."""
    if text:
        write_atomically(path, text.encode("utf-8"))
    elif os.path.exists(path):
        os.unlink(path)
        fsync_directory(os.path.dirname(path))


def put_aside(journal: Journal, path: str) -> str:
    """Keep a copy of the file with the run, secret and all, so that no journal has to; empty if there is none."""
    if not os.path.exists(path):
        return ""
    number = 1 + len(journal.steps(COMPONENT))
    copy = os.path.join(journal.directory, "replaced", f"{FILE}.{number}")
    make_private_directory(os.path.dirname(copy))
    shutil.copyfile(path, copy)
    os.chmod(copy, 0o600)
    fsync_file(copy)
    fsync_directory(os.path.dirname(copy))
    return copy


def hold(journal: Journal, path: str, text: str) -> None:
    """Journal, then make ``text`` what is held back."""
    if not os.path.isdir(os.path.dirname(path)):
        raise RollbackError("There is no directory of the gate", found="nothing", where=os.path.dirname(path))
    with journal.step(COMPONENT, "switch", path, {"path": path, "source": put_aside(journal, path)}):
        write(path, text)


def with_secret(text: str, secret: str) -> str:
    """The text with the secret of the run that acts; nobody knows that of the run which held the paths back first."""
    return re.sub(r'(\$http_\w+ = )"[^"]*"', lambda match: f'{match[1]}"{secret}"', text)


def replaced(step: Step, secret: str) -> str:
    """What was held back before one change."""
    return with_secret(read(step.undo["source"]), secret) if step.undo["source"] else ""


def to_revert(journal: Journal, path: str, secret: str) -> list[str]:
    """Text that was held back before each change of the run that is in force, newest first."""
    return [replaced(step, secret) for step in journal.to_undo(COMPONENT, path)]


def revert(journal: Journal, by: Journal, path: str, secret: str) -> None:
    """Put back what was held back before the run of ``journal``, on behalf of the run of ``by``."""
    for step in journal.to_undo(COMPONENT, path):
        with journal.reverting(step, by, {"path": path, "source": put_aside(by, path)}):
            write(path, replaced(step, secret))
