"""What PHP-FPM says of itself: whether a reload lets requests under way finish."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.processes import arguments_of

_MASTER = re.compile(r"php-fpm: master process \((.+)\)")
_TIMEOUT = re.compile(r"process_control_timeout = (\d+)")


def reload_waits(run: Callable[[list[str]], Any], pid: int, root: str = "/proc") -> int | None:
    """``process_control_timeout`` in seconds of the PHP-FPM with main process ``pid``; None where nothing says so.

    ``run`` returns exit status, standard output and standard error.
    """
    master = _MASTER.match(arguments_of(pid, root))
    try:
        program = os.readlink(os.path.join(root, str(pid), "exe"))
    except OSError:
        return None
    if not master:
        return None
    _status, output, error = run([program, "--fpm-config", master[1], "-tt"])
    found = _TIMEOUT.search(output + error)
    return int(found[1]) if found else None
