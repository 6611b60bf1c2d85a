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
extends_documentation_fragment:
  - campaign.rollback.run
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
  environment:
    description:
      - Environment file that is lent to the application under the name C(.env.rollback) while the commands run with
        C(--env=rollback), so that they prepare a release for an environment that is not the live one.
    type: path
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
    run_id: 20261121T174500Z
    commands: ["config:cache", "cache:clear"]
"""

RETURN = r"""
commands:
  description: Commands that ran.
  returned: success
  type: list
  elements: str
"""

import contextlib
import os
import pwd
import shlex

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.artisan import argv, without_values
from ansible_collections.campaign.rollback.plugins.module_utils.environment import parse, plain, read
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import write_atomically
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_OPTIONS, Journal

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


@contextlib.contextmanager
def lent(environment, path, user):
    """The environment under the name that --env=rollback looks for; taken back whatever happens in the body."""
    if not environment:
        yield []
        return
    borrowed = os.path.join(path, ".env.rollback")
    try:
        owner = pwd.getpwnam(user)
    except KeyError:
        raise RollbackError("The user who runs artisan does not exist", found=user, where="user") from None
    text = read(environment).encode("utf-8", "surrogateescape")
    write_atomically(borrowed, text, 0o400, (owner.pw_uid, owner.pw_gid))
    try:
        yield ["--env=rollback"]
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(borrowed)


def execute(module, command, options):
    """Run one command; raises with the beginning of what it said."""
    params = module.params
    arguments = argv(params["user"], params["php"], command, options)
    # A configuration cache holds every secret of the environment.
    status, output, error = module.run_command(arguments, cwd=params["path"], umask=0o027)
    if status:
        lines = (error or output).strip().splitlines()
        raise RollbackError(
            "artisan failed",
            found=f"exit status {status}: {without_values(' '.join(lines[:2]))[:200]}",
            where=params["path"],
            next_step=f"php artisan {shlex.join(command)}",
        )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/srv/campaign/current"},
            "user": {"type": "str", "default": "www-data"},
            "php": {"type": "str", "default": "php"},
            "commands": {"type": "list", "elements": "str", "required": True},
            "environment": {"type": "path"},
            **RUN_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        commands = split(params["commands"])
        refuse_shared_flush(params["path"], commands)
        if commands and not module.check_mode:
            lending = lent(params["environment"], params["path"], params["user"])
            with Journal.of_module(params).acting(), lending as options:
                for command in commands:
                    execute(module, command, options)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(params["commands"]), commands=params["commands"])


if __name__ == "__main__":
    main()
