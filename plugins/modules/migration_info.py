#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_info
short_description: Say which migrations a rollback has to reverse, and what that would take away
description:
  - Compares the live table C(migrations) with the list of a restore point, and counts the rows and values that would be
    lost with tables and columns that the migrations drop when they are reversed.
options:
  schema:
    description: Live schema.
    type: str
    required: true
  recorded:
    description: Migrations of the restore point.
    type: list
    elements: str
    required: true
  drops:
    description: What reversing drops, as M(campaign.rollback.migration_rollback) found in the source.
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description: Table; nothing is counted without one.
        type: str
      column:
        description: Column; the whole table without one.
        type: str
  statement_s:
    description: Longest time of one query in seconds; what takes longer is told as not counted.
    type: int
    default: 30
extends_documentation_fragment:
  - campaign.rollback.database
  - campaign.rollback.reads_only
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Find the migrations that are newer than the restore point
  campaign.rollback.migration_info:
    schema: blazz
    recorded: [2025_09_01_000000_create_users_table]
  register: found
"""

RETURN = r"""
reverse:
  description: Migrations to reverse, newest first, each with its RV(ignore:name) and RV(ignore:batch).
  returned: success
  type: list
  elements: dict
vanished:
  description:
    - Migrations of the restore point that are not in force now. They cannot be brought back by reversing others.
  returned: success
  type: list
  elements: str
losses:
  description: What would be lost, in words, with the number of rows or values.
  returned: success
  type: list
  elements: str
  sample: ["table campaign_hybrid_options with 3 rows"]
demands:
  description:
    - What of the dropped columns asks older code for what it does not give, such as a value. With none the older code
      can work on the live schema, as far as O(drops) tell.
  returned: success
  type: list
  elements: str
  sample: ["column campaigns.campaign_type must have a value"]
tables:
  description: Bytes of each table of the schema.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DEFAULT_SOCKET,
    Database,
    read_columns,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_migrations import (
    demands,
    losses,
    read_applied,
    told,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.migrations import to_reverse, vanished


def reversed_columns(columns, drops):
    """The columns of each table without what is dropped."""
    dropped = {(drop["table"], drop["column"]) for drop in drops}
    return {
        table: {name: column for name, column in own.items() if (table, name) not in dropped}
        for table, own in columns.items()
        if (table, None) not in dropped
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schema": {"type": "str", "required": True},
            "recorded": {"type": "list", "elements": "str", "required": True},
            "drops": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"table": {"type": "str"}, "column": {"type": "str"}},
            },
            "statement_s": {"type": "int", "default": 30},
            "defaults_file": {"type": "path"},
            "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
        },
        supports_check_mode=True,
    )
    given = module.params
    schema, recorded = given["schema"], given["recorded"]
    try:
        with Database(
            given["defaults_file"], given["login_unix_socket"], read_only=True, statement_s=given["statement_s"]
        ) as db:
            live = read_applied(db, schema)
            drops = [drop for drop in given["drops"] if drop["table"] is not None]
            lost = [told(loss) for loss in losses(db, schema, drops)]
            tables = read_tables(db, [schema])[schema]
            columns = {table: own for (_schema, table), own in read_columns(db, [schema]).items()}
    except RollbackError as error:
        module.fail_json(msg=str(error))
    batches = {row.name: row.batch for row in live}
    module.exit_json(
        changed=False,
        reverse=[{"name": name, "batch": batches[name]} for name in to_reverse(live, recorded)],
        vanished=vanished(live, recorded),
        losses=lost,
        demands=demands(columns, reversed_columns(columns, drops)),
        tables={name: table.bytes for name, table in sorted(tables.items())},
    )


if __name__ == "__main__":
    main()
