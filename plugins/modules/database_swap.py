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
  - Sequences move with the tables. Views, routines and events of the live schema become those of the shadow; what is
    the same on both sides is not touched, and a routine that is replaced keeps its grants. Triggers are dropped right
    before the rename and made again right after it; meanwhile C(read_only) makes the writes of others fail, for at most
    O(freeze_s), while reads go on. Without triggers nothing is frozen.
  - Foreign keys between tables that move and others are dropped before the rename and added again to the tables that
    are live after it, without a look at the rows; those that refer to nothing are counted in RV(orphans).
  - What is replaced is recorded in the journal before, and comes back with O(state=reverted). If the module or the
    server dies at any moment, the next swap or undo on this host finishes it or puts it back, as the tables tell.
  - Refused with nothing touched, and with all reasons, if the definer of an object to be made does not exist, a view of
    the shadow refers to something missing, a trigger or a view has a name that a table which stays or its trigger has,
    or a foreign key could not be added again.
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
      - What else comes with the shadow, such as views and sequences, cannot be told then.
    type: list
    elements: str
    default: []
  keep_tables:
    description: Tables and sequences that stay where they are, live and in the shadow, with their triggers.
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
  freeze_s:
    description:
      - Longest time in seconds for which writes are held up while triggers are missing, over all attempts.
      - Half of it is for the rename. If the tables are not free by then, everything is put back, and the error names
        the transactions that hold them.
      - Accounts with the privilege to write to a server that is read-only (MariaDB READ ONLY ADMIN, MySQL
        CONNECTION_ADMIN) are not held up.
    type: float
    default: 2
  keep_objects:
    description:
      - Kinds of which the live schema keeps its own, for a backup that was made without them.
      - O(state=reverted) takes this from the journal.
    type: list
    elements: str
    choices: [events, routines, views]
    default: []
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
  - campaign.rollback.database
attributes:
  check_mode:
    description: Verifies everything that can be known beforehand and returns what would be swapped.
    support: full
  diff_mode:
    description: Shows the tables per schema, and the objects that change by name and digest, before and after.
    support: full
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
  description:
    - Names of the tables and sequences that go live (RV(ignore:to_live)) and that stop being live
      (RV(ignore:from_live)).
  type: dict
  returned: success
  sample: {"to_live": ["campaigns"], "from_live": ["campaigns", "campaign_hybrid_options"]}
objects:
  description:
    - Triggers, views, routines, events and foreign keys that are not the same before and after, by kind and name.
      RV(ignore:to_live) is what the live schema gets, RV(ignore:from_live) what it loses.
  type: dict
  returned: success
  sample: {"to_live": ["view open_campaigns"], "from_live": ["trigger count_logs", "view open_campaigns"]}
swap_s:
  description: Seconds of the rename that succeeded.
  type: float
  returned: success
frozen_s:
  description: Longest time in seconds in which the writes of others failed; 0 without triggers.
  type: float
  returned: success
ended:
  description:
    - Connections that were ended because they would have prolonged the freeze. They took a table that was waiting for
      its triggers.
  type: list
  elements: int
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
orphans:
  description:
    - Foreign keys that were added again and have rows that refer to nothing, with RV(ignore:name), RV(ignore:table),
      RV(ignore:references) and the number of such RV(ignore:rows).
  type: list
  elements: dict
  returned: success
  sample: [{"name": "sessions_user", "table": "blazz.sessions", "references": "blazz.users", "rows": 2}]
auto_increment:
  description: Next id per table after the swap, for the tables that had one on both sides.
  type: dict
  returned: success
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import CARRY_OPTIONS, Carry
from ansible_collections.campaign.rollback.plugins.module_utils.database_prepare import Request
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import revert, swap
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
            "freeze_s": {"type": "float", "default": 2},
            "keep_objects": {
                "type": "list",
                "elements": "str",
                "choices": ["events", "routines", "views"],
                "default": [],
            },
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
    if not given["freeze_s"] > 0:
        module.fail_json(msg=f"freeze_s must be more than 0. Found: {given['freeze_s']}.")
    check = module.check_mode
    try:
        by = Journal.of_module(given)
        with (
            contextlib.nullcontext() if check else by.acting(),
            Database(given["defaults_file"], given["login_unix_socket"], lock_wait_s=given["lock_wait_s"]) as db,
        ):
            if given["state"] == "reverted":
                journal = Journal.to_revert(given)
                waits = (given["lock_wait_s"], given["attempts"])
                result = revert(db, journal, by, given["schema"], *waits, check, given["freeze_s"])
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
                    freeze_s=given["freeze_s"],
                    keep_objects=tuple(given["keep_objects"]),
                )
                result = swap(db, by, request, check)
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
