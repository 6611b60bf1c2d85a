"""Laravel's command line: how it is called, and what of its answers may be told."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ansible_collections.campaign.rollback.plugins.module_utils.database import public_message

#: Where messages begin to quote: a line of the environment that cannot be parsed, a statement with its values.
VALUES = re.compile(r"at \[|\((?:SQL:|Connection:)")
#: An error of the database server, which may quote a row.
SERVER = re.compile(r"(SQLSTATE\[\w+\][^:]*:)(?: [^:]*:)? ?([0-9]{4}) (.*)", re.DOTALL)


def argv(user: str, php: str, command: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """Arguments that run ``command`` as the operating system user ``user`` in the directory of the application."""
    return ["runuser", "-u", user, "--", php, "artisan", *command, *options, "--no-interaction"]


def without_values(text: str) -> str:
    """What artisan said, cut where it quotes the environment or rows of a statement."""
    said = VALUES.split(text)[0].strip()
    return SERVER.sub(lambda match: f"{match[1]} {public_message(int(match[2]), match[3])}", said)
