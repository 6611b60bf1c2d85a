#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: database_swap
short_description: Exchange the live tables for those of a shadow schema in one atomic rename
description:
  - One C(RENAME TABLE) moves all live tables into the attic and all shadow tables into the live schema, after a bounded
    wait for open transactions, several times if need be. A crash leaves everything old or everything new.
  - Before that, rows that must not fall back (O(carry)) are copied into the shadow, and AUTO_INCREMENT values are
    raised so that no id is given out twice.
  - Refused with nothing touched if the live or the shadow schema has triggers, views, routines, events or
    sequences, or if a foreign key connects a table that moves with one that does not.
  - O(carry) is complete only if the writers of its tables are paused; without O(carry) writers may go on.
options:
  schema:
    description: The live schema.
    type: str
    required: true
  state:
    description:
      - V(present) swaps. Running again for the same run completes a swap that was interrupted, or changes nothing.
      - V(reverted) makes the attic tables live again, as the run's journal tells. The restored ones go to
        C(<schema>__attic_undo_<suffix>), rows that match O(carry) are carried back first. Changes nothing the second
        time.
      - Rows that were inserted since the swap are taken along, those with an AUTO_INCREMENT id at least. Rows that the
        returning tables refuse stay in C(<schema>__attic_undo_<suffix>) and are counted in RV(conflicts).
    type: str
    choices: [present, reverted]
    default: present
  shadow:
    description: Schema with the tables that are to go live.
    type: str
  attic:
    description: Schema that receives the live tables; created if missing, must be empty.
    type: str
  incoming_tables:
    description:
      - Tables that the shadow is going to hold. With them check mode plans a swap before the shadow is loaded.
    type: list
    elements: str
    default: []
  keep_tables:
    description: Tables that stay where they are, live and in the shadow.
    type: list
    elements: str
    default: []
  carry:
    description:
      - Live rows whose columns are copied into the row of the same key in the shadow.
      - O(state=reverted) takes this from the journal.
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description: Table; ignored if it is missing on either side.
        type: str
        required: true
      key:
        description: Columns that identify a row on both sides.
        type: list
        elements: str
        default: [id]
      when:
        description: SQL condition on the live row, whose alias is C(live).
        type: str
        required: true
      columns:
        description: Columns to copy, as far as both sides have them; all common ones if empty.
        type: list
        elements: str
        default: []
  auto_increment_gap:
    description:
      - Distance between the highest next id of both sides and the first id given out after the swap.
      - O(state=reverted) takes this from the journal.
    type: int
    default: 1000
  lock_wait_s:
    description: Longest wait of one attempt in seconds. New statements on the tables queue up behind it.
    type: int
    default: 2
  attempts:
    description: Number of attempts.
    type: int
    default: 5
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
  - campaign.rollback.database
attributes:
  check_mode:
    description: Verifies everything that can be known beforehand and returns what would be swapped.
    support: full
  diff_mode:
    description: Shows the tables per schema before and after.
    support: full
  idempotent:
    description: Once per run.
    support: full
  platform:
    description: Runs on the database host.
    support: full
    platforms: posix
author: campaign.rollback engineers (@campaign-rollback)
"""

EXAMPLES = r"""
- name: Put the restored tables live, sent messages stay sent
  campaign.rollback.database_swap:
    run_id: 20261121T180000Z
    schema: blazz
    shadow: blazz__shadow_20261121t180000z
    attic: blazz__attic_20261121t180000z
    keep_tables: [sessions, jobs, failed_jobs]
    carry:
      - table: campaign_logs
        when: live.status IN ('sending', 'sent', 'failed')
        columns: [status, error, sent_at]

- name: And back
  campaign.rollback.database_swap:
    run_id: 20261121T180000Z
    schema: blazz
    state: reverted
"""

RETURN = r"""
schema:
  description: The live schema.
  type: str
  returned: success
in_force:
  description: Whether a swap of this run is in force now; in check mode, before it is made, it is not.
  type: bool
  returned: success
incoming:
  description: Schema whose tables go live.
  type: str
  returned: if there is something to swap
outgoing:
  description: Schema that receives the tables that were live.
  type: str
  returned: if there is something to swap
tables:
  description: Names of the tables that go live (RV(ignore:to_live)) and that stop being live (RV(ignore:from_live)).
  type: dict
  returned: success
  sample: {"to_live": ["campaigns"], "from_live": ["campaigns", "campaign_hybrid_options"]}
swap_s:
  description: Seconds of the rename that succeeded.
  type: float
  returned: success
attempts:
  description: Number of attempts it took.
  type: int
  returned: success
carried:
  description: Number of changed rows per carried table.
  type: dict
  returned: success
  sample: {"campaign_logs": 17}
merged:
  description: With O(state=reverted), number of rows inserted since the swap that were taken along, by table.
  type: dict
  returned: success
  sample: {"contacts": 3}
conflicts:
  description: Number of such rows that the returning tables refused, by table. They are where RV(outgoing) says.
  type: dict
  returned: success
  sample: {"contacts": 1}
auto_increment:
  description: Next id per table after the swap, for the tables that had one on both sides.
  type: dict
  returned: success
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import (
    CARRY_OPTIONS,
    Carry,
    Request,
    revert,
    swap,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schema": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "reverted"], "default": "present"},
            "shadow": {"type": "str"},
            "attic": {"type": "str"},
            "incoming_tables": {"type": "list", "elements": "str", "default": []},
            "keep_tables": {"type": "list", "elements": "str", "default": []},
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
            if given["state"] == "reverted":
                journal = Journal.to_revert(given)
                result = revert(db, journal, by, given["schema"], given["lock_wait_s"], given["attempts"], check)
            else:
                request = Request(
                    given["schema"],
                    given["shadow"],
                    given["attic"],
                    tuple(given["keep_tables"]),
                    tuple(Carry.from_mapping(carry) for carry in given["carry"]),
                    given["auto_increment_gap"],
                    given["lock_wait_s"],
                    given["attempts"],
                    tuple(given["incoming_tables"]) if check else (),
                )
                result = swap(db, by, request, check)
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
