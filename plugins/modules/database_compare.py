#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: database_compare
short_description: Find the rows that two schemas of one server do not have in common
description:
  - Compares any two schemas, such as the live one, an attic, the standby or a loaded backup, table by table.
  - A row that only O(right) has is new, one that only O(left) has is deleted, one whose columns differ is changed.
    Columns that only one side has are named and not compared, nor are generated ones.
  - Ranges of each table are compared by checksums on two connections; only ranges that differ are read row by row.
    Rows that are written meanwhile are seen as they are at that moment. Takes no locks.
  - Tells keys and names of columns, never values. A key that is a text is told only if it is a UUID or an ULID.
version_added: 0.1.0
options:
  left:
    description: Schema that the question is asked of, such as the live one after a rollback.
    type: str
    required: true
  right:
    description: Schema that it is held against, such as the attic.
    type: str
    required: true
  tables:
    description: Tables to compare, all if empty.
    type: list
    elements: str
    default: []
  policies:
    description:
      - What is done with which tables. Patterns come before the defaults for Laravel, and everything else is V(merge).
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description: Name of a table, or a pattern such as V(telescope_*).
        type: str
        required: true
      policy:
        description:
          - V(merge) and V(report) find all differences, V(keep) only counts rows, V(ignore) does not look.
        type: str
        choices: [merge, report, keep, ignore]
        required: true
      reason:
        description: Why, for the report.
        type: str
      last:
        description: Whether its rows come after those of all other tables when rows are recovered.
        type: bool
  new_only:
    description:
      - Find only rows of O(right) whose key is beyond all keys of O(left). Takes no time, but does not see rows whose
        transaction ended late, and works only for tables whose keys are handed out in order.
    type: bool
    default: false
  starts:
    description:
      - With O(new_only), first keys that are new, by table, where O(left) went on handing out keys.
    type: dict
    default: {}
  ids:
    description: Most keys of each kind and table that are listed.
    type: int
    default: 100
  samples:
    description: Most changed rows of a table whose differing columns are named.
    type: int
    default: 10
  seconds:
    description: Longest time for everything. What was not looked at by then is told.
    type: int
    default: 300
  statement_s:
    description: Longest time of one query in seconds.
    type: int
    default: 60
extends_documentation_fragment:
  - campaign.rollback.database
  - campaign.rollback.reads_only
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: See which rows were written after the restore point
  campaign.rollback.database_compare:
    left: blazz
    right: blazz__attic_20261121T174500Z
    policies:
      - table: audit_log
        policy: report
        reason: the auditor decides
  register: compared
"""

RETURN = r"""
tables:
  description:
    - Per table RV(ignore:policy) with its RV(ignore:reason), the numbers RV(ignore:deleted), RV(ignore:new) and
      RV(ignore:changed) (null where they cannot be known), RV(ignore:ids) of each kind, RV(ignore:samples) of changed
      rows with the names of their differing columns, RV(ignore:rows), RV(ignore:columns) that only one side has, these
      two for C(left) and C(right), RV(ignore:how) they were found, RV(ignore:complete), RV(ignore:note) in words,
      RV(ignore:seconds).
  type: dict
  returned: success
complete:
  description: Whether every table was looked at to its end.
  type: bool
  returned: success
unused:
  description: Patterns of O(policies) that no table matches.
  type: list
  elements: str
  returned: success
seconds:
  description: How long it took.
  type: float
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.database_compare import (
    Request,
    compare,
    new_rows_only,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.table_comparison import Bounds
from ansible_collections.campaign.rollback.plugins.module_utils.table_policies import POLICY_OPTIONS, Policies


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "left": {"type": "str", "required": True},
            "right": {"type": "str", "required": True},
            "tables": {"type": "list", "elements": "str", "default": []},
            "policies": {"type": "list", "elements": "dict", "default": [], "options": POLICY_OPTIONS},
            "new_only": {"type": "bool", "default": False},
            "starts": {"type": "dict", "default": {}},
            "ids": {"type": "int", "default": 100},
            "samples": {"type": "int", "default": 10},
            "seconds": {"type": "int", "default": 300},
            "statement_s": {"type": "int", "default": 60},
            "defaults_file": {"type": "path"},
            "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        request = Request(
            given["left"],
            given["right"],
            tuple(given["tables"]),
            Policies.of(given["policies"]),
            Bounds(given["seconds"], given["ids"], given["samples"]),
            {table: int(start) for table, start in given["starts"].items()},
        )
        with Database(
            given["defaults_file"], given["login_unix_socket"], read_only=True, statement_s=given["statement_s"]
        ) as db:
            result = (new_rows_only if given["new_only"] else compare)(db, request)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
