#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_rollback
short_description: Reverse Laravel migrations from the release that has them
description:
  - Runs on a host with the application's code, and never asks the database itself. Which migrations there are, and
    whether they were reversed, M(campaign.rollback.migration_info) and M(campaign.rollback.migration_protection) find
    out on the database host.
  - Each migration is reversed by its file, so that exactly the named ones are reversed, whatever their batch.
options:
  state:
    description:
      - V(planned) reads the source of the migrations and says what stands against reversing them.
      - V(rehearsed) runs their C(down()) on the copy that O(rehearsal) names, after the application has proven that it
        is connected to it, and sees the live schema as the database host does.
      - V(reversed) runs their C(down()) on the application's own database. Recorded in the journal first.
      - V(reverted) notes in the journal that the database host put back what they changed.
    type: str
    choices: [planned, rehearsed, reversed, reverted]
    required: true
  path:
    description: Directory of the release that has the migrations, the live one.
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
  timeout_s:
    description: Longest time of one command in seconds.
    type: int
    default: 1800
  migrations:
    description: Migrations, newest first.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name as the table C(migrations) has it.
        type: str
        required: true
      path:
        description: File of the migration, as O(state=planned) returned it.
        type: path
      batch:
        description: Batch of the migration in the live schema.
        type: int
  search:
    description:
      - Directories with migrations, as patterns below O(path) or absolute ones. Those of packages are among them only
        if a pattern matches them.
    type: list
    elements: str
    default:
      - database/migrations
      - vendor/*/*/database/migrations
      - vendor/*/*/src/database/migrations
      - vendor/*/*/migrations
  accept_lossy:
    description: Migrations that are reversed although they lost data when they ran.
    type: list
    elements: str
    default: []
  rehearsal:
    description: Copy to rehearse on, as M(campaign.rollback.migration_rehearsal) made it.
    type: dict
    suboptions:
      schema:
        description: Name of the copy.
        type: str
        required: true
      account:
        description: Account that may do nothing but in the copy.
        type: str
        required: true
      password:
        description: Its password.
        type: str
        required: true
      batch:
        description: Batch of every migration in the copy.
        type: int
        required: true
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
attributes:
  check_mode:
    description: Says what would be reversed, and runs nothing. O(state=planned) only reads in any case.
    support: full
  diff_mode:
    description: What changes is in the database.
    support: none
  idempotent:
    description: What is no longer to be reversed is not named again by M(campaign.rollback.migration_info).
    support: none
  platform:
    description: Linux with C(runuser) and C(timeout).
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: See what stands against reversing a migration
  campaign.rollback.migration_rollback:
    run_id: 20261121T174500Z
    state: planned
    migrations:
      - name: 2025_11_10_000000_add_hybrid_campaigns
  register: planned

- name: Reverse it
  campaign.rollback.migration_rollback:
    run_id: 20261121T174500Z
    state: reversed
    migrations: "{{ planned.migrations }}"
"""

RETURN = r"""
release:
  description: O(path) with links resolved, which stays the same when the live release changes.
  returned: with O(state=planned)
  type: str
migrations:
  description: The migrations in the order in which they were given, with their files.
  returned: with O(state=planned)
  type: list
  elements: dict
refusals:
  description: Why they cannot be reversed, one sentence each.
  returned: with O(state=planned)
  type: list
  elements: str
lossy:
  description: What was lost for good when they ran, accepted or not.
  returned: with O(state=planned)
  type: list
  elements: str
notes:
  description: What the operator should look at, such as statements whose effect is not known.
  returned: with O(state=planned)
  type: list
  elements: str
drops:
  description: Tables (without a column) and columns that C(down()) takes away.
  returned: with O(state=planned)
  type: list
  elements: dict
tables:
  description: Tables that C(down()) names.
  returned: with O(state=planned)
  type: list
  elements: str
whole:
  description: Whether C(down()) may change other tables too, as far as the source tells.
  returned: with O(state=planned)
  type: bool
seconds:
  description: Seconds that each reversed migration took.
  returned: with O(state=rehearsed) and O(state=reversed)
  type: dict
  sample: {"2025_11_10_000000_add_hybrid_campaigns": 0.312}
reverted:
  description: Names of migrations that are noted as put back.
  returned: with O(state=reverted)
  type: list
  elements: str
"""

import contextlib
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.environment import parse, plain, read
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.migration_run import (
    Artisan,
    check_connection,
    mark_undone,
    rehearsal_environment,
    reverse_all,
    reverse_one,
)
from ansible_collections.campaign.rollback.plugins.module_utils.migrations import examine_all, summary


def artisan(module, environment):
    """The command line of the release, with additions to its environment."""
    params = module.params

    def run(arguments, additions):
        # Files that the application makes are its own, and hold what nobody else should read.
        return module.run_command(arguments, cwd=params["path"], umask=0o027, environ_update=dict(additions))

    return Artisan(run, params["user"], params["php"], params["timeout_s"], environment)


def planned(params):
    """What is known of each migration."""
    release = os.path.realpath(params["path"])
    try:
        connection = plain(parse(read(os.path.join(release, ".env"))).get("DB_CONNECTION", "")) or None
    except RollbackError:
        # Then every connection that a migration names counts as another one.
        connection = None
    batches = {migration["name"]: migration["batch"] for migration in params["migrations"]}
    found = examine_all(release, batches, params["search"], params["accept_lossy"], connection)
    return {
        "changed": False,
        "release": release,
        "migrations": [{"name": known.name, "path": known.path, "batch": batches[known.name]} for known in found],
        **summary(found),
    }


def rehearsed(module):
    """Run everything on the copy; the seconds of each."""
    params, copy = module.params, module.params["rehearsal"]
    migrations = params["migrations"]
    if not migrations or module.check_mode:
        return {"changed": bool(migrations), "seconds": {}}
    check_connection(artisan(module, {}), migrations, "the live schema")
    there = artisan(module, rehearsal_environment(copy["schema"], copy["account"], copy["password"]))
    check_connection(there, [{**migration, "batch": copy["batch"]} for migration in migrations], copy["schema"])
    return {"changed": True, "seconds": {known["name"]: reverse_one(there, known) for known in migrations}}


def act(module):
    """Do what the state says."""
    params = module.params
    by = Journal.of_module(params)
    if params["state"] == "planned":
        return planned(params)
    if params["state"] == "rehearsed":
        with contextlib.nullcontext() if module.check_mode else by.acting():
            return rehearsed(module)
    if params["state"] == "reverted":
        if module.check_mode:
            return {"changed": False, "reverted": []}
        with by.acting():
            names = mark_undone(Journal.to_revert(params), by)
        return {"changed": bool(names), "reverted": names}
    seconds = {}
    if params["migrations"] and not module.check_mode:
        with by.acting():
            seconds = reverse_all(artisan(module, {}), by, params["migrations"])
    return {"changed": bool(params["migrations"]), "seconds": seconds}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["planned", "rehearsed", "reversed", "reverted"], "required": True},
            "path": {"type": "path", "default": "/srv/campaign/current"},
            "user": {"type": "str", "default": "www-data"},
            "php": {"type": "str", "default": "php"},
            "timeout_s": {"type": "int", "default": 1800},
            "migrations": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "path": {"type": "path"},
                    "batch": {"type": "int"},
                },
            },
            "search": {
                "type": "list",
                "elements": "str",
                "default": [
                    "database/migrations",
                    "vendor/*/*/database/migrations",
                    "vendor/*/*/src/database/migrations",
                    "vendor/*/*/migrations",
                ],
            },
            "accept_lossy": {"type": "list", "elements": "str", "default": []},
            "rehearsal": {
                "type": "dict",
                "options": {
                    "schema": {"type": "str", "required": True},
                    "account": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                    "batch": {"type": "int", "required": True},
                },
            },
            **UNDO_OPTIONS,
        },
        required_if=[("state", "rehearsed", ["rehearsal"])],
        supports_check_mode=True,
    )
    try:
        result = act(module)
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
