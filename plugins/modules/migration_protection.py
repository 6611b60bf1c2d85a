#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_protection
short_description: Copy the tables that migrations are about to change, and put them back
description:
  - The copy is made while nobody can write to the tables, compared with them, and complete when it is in the attic.
  - An undo makes the copied tables live again as M(campaign.rollback.database_swap) does, with the rows that were
    inserted since, and with the triggers, views, routines, events and foreign keys that were there before.
options:
  schema:
    description: Live schema.
    type: str
    required: true
  state:
    description:
      - V(present) copies the tables, if there is anything to reverse. What an earlier attempt of the run reversed in
        part is put back first.
      - V(confirmed) verifies that exactly what is not in O(recorded) was reversed, by the table C(migrations) and by
        the structure of all tables, and notes it in the journal.
      - V(reverted) puts the copied tables back.
    type: str
    choices: [present, confirmed, reverted]
    default: present
  shadow:
    description: Schema in which the copy is made, with C(__shadow_) in its name.
    type: str
  attic:
    description: Schema that keeps the copy.
    type: str
  recorded:
    description: Migrations of the restore point.
    type: list
    elements: str
    default: []
  expected_tables:
    description:
      - Tables of the restore point, name to a dictionary with the C(digest), as M(campaign.rollback.database_info) gave
        them.
    type: dict
    default: {}
  tables:
    description: Tables that the migrations change. All tables of the schema are copied if none is named.
    type: list
    elements: str
    default: []
  seconds:
    description: Seconds that each reversed migration took, for the journal.
    type: dict
    default: {}
  carry:
    description:
      - Rows that an undo must not let fall back, as for M(campaign.rollback.database_swap). Tables that are not copied
        are left out.
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description: Table.
        type: str
        required: true
      key:
        description: Columns that identify a row on both sides.
        type: list
        elements: str
        default: [id]
      when:
        description: SQL condition on the row that is live before the undo, whose alias is C(live).
        type: str
        required: true
      columns:
        description: Columns to copy; all that both sides have unless given.
        type: list
        elements: str
        default: []
  auto_increment_gap:
    description: Ids left free between the highest one given out so far and the first one given out after an undo.
    type: int
    default: 1000
  lock_wait_s:
    description: Longest wait for open transactions in one attempt, in seconds. New statements queue up behind it.
    type: int
    default: 2
  attempts:
    description: How many times it is tried.
    type: int
    default: 5
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
  - campaign.rollback.database
attributes:
  check_mode:
    description: Verifies what can be known beforehand and returns what would be copied or put back.
    support: full
  diff_mode:
    description: O(state=reverted) shows tables and objects that change; else there is nothing to show.
    support: partial
  idempotent:
    description: Once per run.
    support: full
  platform:
    description: Runs on the database host.
    support: full
    platforms: posix
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Keep what the migration changes
  campaign.rollback.migration_protection:
    run_id: 20261121T174500Z
    schema: blazz
    shadow: blazz__shadow_20261121T174500Z
    attic: blazz__attic_20261121T174500Z
    recorded: [2025_09_01_000000_create_users_table]
    tables: [campaigns, campaign_hybrid_options]

- name: And back
  campaign.rollback.migration_protection:
    run_id: 20261121T174500Z
    schema: blazz
    state: reverted
"""

RETURN = r"""
schema:
  description: The live schema.
  returned: success
  type: str
reverse:
  description: Migrations that are still to be reversed, newest first.
  returned: with O(state=present)
  type: list
  elements: str
copied:
  description: Tables that are copied.
  returned: with O(state=present)
  type: list
  elements: str
in_force:
  description: Whether a complete copy is in the attic.
  returned: success
  type: bool
rows:
  description: Number of copied rows per table.
  returned: with O(state=present), if a copy was made
  type: dict
seconds:
  description: Seconds that the copy took, and that nobody could write to its tables.
  returned: with O(state=present)
  type: float
tables:
  description: Names of the tables that go live (RV(ignore:to_live)) and that stop being live (RV(ignore:from_live)).
  returned: with O(state=reverted), beside all else that M(campaign.rollback.database_swap) returns
  type: dict
merged:
  description: Number of rows inserted since that were taken along, by table.
  returned: with O(state=reverted)
  type: dict
conflicts:
  description: Number of such rows that the returning tables refused, by table.
  returned: with O(state=reverted)
  type: dict
orphans:
  description: Foreign keys with rows that refer to nothing after an undo, as M(campaign.rollback.database_swap) says.
  returned: with O(state=reverted)
  type: list
  elements: dict
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import CARRY_OPTIONS, Carry
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import revert
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.migration_protection import (
    STEP,
    Request,
    confirm,
    protect,
)


def act(db, given, by, check):
    """Do what the state says."""
    if given["state"] == "reverted":
        journal = Journal.to_revert(given)
        return revert(db, journal, by, given["schema"], given["lock_wait_s"], given["attempts"], check, name=STEP)
    if given["state"] == "confirmed":
        digests = {name: table.get("digest") for name, table in given["expected_tables"].items()}
        return confirm(db, by, given["schema"], digests, given["recorded"], given["seconds"], check)
    request = Request(
        given["schema"],
        given["shadow"],
        given["attic"],
        tuple(given["recorded"]),
        tuple(given["tables"]),
        tuple(Carry.from_mapping(carry) for carry in given["carry"]),
        given["auto_increment_gap"],
        given["lock_wait_s"],
        given["attempts"],
    )
    return protect(db, by, request, check)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schema": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "confirmed", "reverted"], "default": "present"},
            "shadow": {"type": "str"},
            "attic": {"type": "str"},
            "recorded": {"type": "list", "elements": "str", "default": []},
            "expected_tables": {"type": "dict", "default": {}},
            "tables": {"type": "list", "elements": "str", "default": []},
            "seconds": {"type": "dict", "default": {}},
            "carry": {"type": "list", "elements": "dict", "default": [], "options": CARRY_OPTIONS},
            "auto_increment_gap": {"type": "int", "default": 1000},
            "lock_wait_s": {"type": "int", "default": 2},
            "attempts": {"type": "int", "default": 5},
            **UNDO_OPTIONS,
            "defaults_file": {"type": "path"},
            "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
        },
        required_if=[("state", "present", ["shadow", "attic"])],
        supports_check_mode=True,
    )
    given = module.params
    for name in ("lock_wait_s", "attempts"):
        if given[name] < 1:
            module.fail_json(msg=f"{name} must be at least 1. Found: {given[name]}.")
    check = module.check_mode
    try:
        by = Journal.of_module(given)
        with (
            contextlib.nullcontext() if check else by.acting(),
            Database(given["defaults_file"], given["login_unix_socket"], lock_wait_s=given["lock_wait_s"]) as db,
        ):
            result = act(db, given, by, check)
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    for key in result.get("orphans", []):
        module.warn("{rows} rows of {table} lost what they refer to in {references}: {name}.".format(**key))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
