#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: artisan
short_description: Run artisan commands of the live release as the application's user
description:
  - Runs Laravel's command line in order and stops at the first command that fails.
  - Refuses C(cache:clear) and C(optimize:clear) where the cache and the queue share a Redis database, because they
    flush it.
version_added: 0.1.0
options:
  path:
    description: Directory of the application.
    type: path
    default: /srv/campaign/current
  user:
    description: Operating system user who runs the application.
    type: str
    default: www-data
  php:
    description: PHP interpreter.
    type: str
    default: php
  commands:
    description: Commands with their arguments, such as V(config:cache).
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Checks the commands and says that they would run.
    support: full
  diff_mode:
    description: Commands have no state to compare.
    support: none
  idempotent:
    description: The commands run each time.
    support: none
  platform:
    description: Linux with C(runuser).
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Let the application see its restored environment
  campaign.rollback.artisan:
    commands: ["config:cache", "cache:clear"]
"""

RETURN = r"""
commands:
  description: Commands that ran.
  returned: success
  type: list
  elements: str
"""

import os
import shlex

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.environment import parse, plain, read
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: Commands that empty the application cache.
FLUSHING = ("cache:clear", "optimize:clear")


def split(commands):
    """Arguments of each command."""
    arguments = []
    for command in commands:
        try:
            arguments.append(shlex.split(command))
        except ValueError as error:
            raise RollbackError("A command cannot be read", found=f"{command} ({error})", where="commands") from None
        if not arguments[-1]:
            raise RollbackError("A command is empty", where="commands")
    return arguments


def refuse_shared_flush(path, commands):
    """Raise if one of the commands would flush queued jobs together with the cache."""
    if not any(command[0] in FLUSHING for command in commands):
        return
    values = {key: plain(raw) for key, raw in parse(read(os.path.join(path, ".env"))).items()}
    if "redis" not in (values.get("CACHE_DRIVER"), values.get("CACHE_STORE")):
        return
    queue, cache = values.get("REDIS_DB", "0"), values.get("REDIS_CACHE_DB", "1")
    if queue == cache:
        raise RollbackError(
            "Clearing the cache would delete queued jobs: cache and queue share a Redis database",
            found=f"REDIS_DB and REDIS_CACHE_DB are both {queue}",
            where=os.path.join(path, ".env"),
            next_step=f"take {' and '.join(FLUSHING)} out of services_artisan",
        )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/srv/campaign/current"},
            "user": {"type": "str", "default": "www-data"},
            "php": {"type": "str", "default": "php"},
            "commands": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        commands = split(params["commands"])
        refuse_shared_flush(params["path"], commands)
        for command in [] if module.check_mode else commands:
            as_user = ["runuser", "-u", params["user"], "--"]
            argv = [*as_user, params["php"], "artisan", *command, "--no-interaction"]
            status, output, error = module.run_command(argv, cwd=params["path"])
            if status:
                lines = (error or output).strip().splitlines()
                raise RollbackError(
                    "artisan failed",
                    found=f"exit status {status}: {' '.join(lines[:2])[:200]}",
                    where=params["path"],
                    next_step=f"php artisan {shlex.join(command)}",
                )
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(params["commands"]), commands=params["commands"])


if __name__ == "__main__":
    main()
