#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: login_sessions
short_description: Count, end and bring back the log-ins of users
description:
  - Ends log-ins that the application keeps in Redis or in a table, so that every user has to log in again.
  - They are set aside, not deleted; O(state=reverted) brings them back.
version_added: 0.2.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
  - campaign.rollback.database
options:
  redis:
    description: Log-ins in Redis on this host, C(database) and C(pattern) of their keys.
    type: dict
    suboptions:
      database:
        description: Number of the Redis database.
        type: int
        required: true
      pattern:
        description: Pattern of the keys, such as V(campaign_cache:*).
        type: str
        required: true
  table:
    description: Log-ins as rows of a table with a column C(id) on this host's database server.
    type: dict
    suboptions:
      schema:
        description: Schema of the table.
        type: str
        required: true
      name:
        description: The table.
        type: str
        default: sessions
  state:
    description:
      - V(counted) only counts.
      - V(ended) sets all of them aside.
      - V(reverted) brings back what O(reverts) ended; a run that ended none is refused.
    type: str
    choices: [counted, ended, reverted]
    default: counted
attributes:
  check_mode:
    description: Counts.
    support: full
  diff_mode:
    description: Log-ins are secrets; their number is returned.
    support: none
  idempotent:
    description: Ends whatever is in force each time.
    support: partial
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Let every user log in again
  campaign.rollback.login_sessions:
    run_id: 20261121T174500Z
    redis: {database: 0, pattern: "campaign_cache:*"}
    state: ended
"""

RETURN = r"""
before:
  description: Log-ins in force before.
  returned: success
  type: int
after:
  description: Log-ins in force after.
  returned: success
  type: int
moved:
  description: How many were ended or brought back.
  returned: success
  type: int
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import log_ins
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal


@contextlib.contextmanager
def opened(module):
    """The store of log-ins."""
    redis, table = module.params["redis"], module.params["table"]
    if redis:
        yield log_ins.RedisStore(lambda argv: module.run_command(argv, cwd="/"), redis["database"], redis["pattern"])
        return
    with Database(module.params["defaults_file"], module.params["login_unix_socket"]) as db:
        yield log_ins.TableStore(db, table["schema"], table["name"])


def act(params, store):
    """Bring the log-ins to the wanted state; returns how many were moved."""
    by = Journal.of_module(params)
    if params["state"] == "ended":
        return log_ins.end(by, store)
    return log_ins.bring_back(Journal.to_revert(params), by, store)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "redis": {
                "type": "dict",
                "options": {
                    "database": {"type": "int", "required": True},
                    "pattern": {"type": "str", "required": True},
                },
            },
            "table": {
                "type": "dict",
                "options": {
                    "schema": {"type": "str", "required": True},
                    "name": {"type": "str", "default": "sessions"},
                },
            },
            "defaults_file": {"type": "path"},
            "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
            "state": {"type": "str", "choices": ["counted", "ended", "reverted"], "default": "counted"},
            **UNDO_OPTIONS,
        },
        required_one_of=[("redis", "table")],
        mutually_exclusive=[("redis", "table")],
        supports_check_mode=True,
    )
    params = module.params
    acts = params["state"] != "counted" and not module.check_mode
    moved = 0
    try:
        if params["state"] == "reverted":
            log_ins.check_ended(Journal.to_revert(params))
        with Journal.of_module(params).acting() if acts else contextlib.nullcontext(), opened(module) as store:
            before = store.count()
            moved = act(params, store) if acts else 0
            after = store.count()
    except RollbackError as error:
        module.fail_json(msg=str(error))
    left = params["state"] == "reverted" and bool(Journal.to_revert(params).to_undo(log_ins.COMPONENT))
    changed = moved > 0 or (module.check_mode and (left or (params["state"] == "ended" and before > 0)))
    module.exit_json(changed=changed, before=before, after=after, moved=moved)


if __name__ == "__main__":
    main()
