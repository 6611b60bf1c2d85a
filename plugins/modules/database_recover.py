#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: database_recover
short_description: Bring rows back that were written after the restore point, or chosen rows, and undo that
description:
  - Without O(ids), brings the later rows from the attic into the tables with the policy V(merge), referred rows before
    those that refer to them, whole rows as they are. Columns that O(schema) lacks are left out and counted.
  - Once all later rows of a table are known, a row that is missing later on was deleted by somebody, and is not brought
    again unless O(ids) names it.
  - With O(ids), brings exactly these rows from any schema, and those that were deleted together with them because their
    foreign key says C(ON DELETE CASCADE).
  - Nothing is overwritten, and no row of a table without a key is brought. A row that the table refuses, because of a
    unique key, a missing parent or a value that does not fit, stays where it is and is told.
  - Rows go in short transactions with pauses, sized so that their locks last less than 0.2 seconds.
  - What is brought is noted in C(<schema>__recovered_<run>), which also keeps what overwritten rows held before.
version_added: 0.1.0
options:
  schema:
    description: Schema that rows are brought into, the live one.
    type: str
    required: true
  state:
    description:
      - V(present) brings the rows. Running again for the same run goes on where it stopped, tries refused rows once
        more, and otherwise changes nothing.
      - V(reverted) takes out exactly what the run brought and puts back what it overwrote, or brings it again if
        O(reverts) is itself an undo. A row that was changed since, or that others refer to by now, is left and told.
    type: str
    choices: [present, reverted]
    default: present
  source:
    description: Schema that the rows come from. Without O(ids) it has to be an attic.
    type: str
  tables:
    description:
      - Tables to bring later rows into, all whose policy is V(merge) if empty. Not together with O(ids).
      - From a schema that is no attic, what these tables lack comes back, whoever deleted it.
    type: list
    elements: str
    default: []
  ids:
    description:
      - Rows to bring, by table a list of keys. A key of several columns is a list, bytes are hexadecimal.
    type: dict
    default: {}
  changed_rows:
    description:
      - With O(ids), overwrite rows that O(schema) has with another content. Without it they are only told.
    type: bool
    default: false
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
          - V(merge) brings later rows, V(report) only rows that O(ids) names, V(keep) and V(ignore) none.
        type: str
        choices: [merge, report, keep, ignore]
        required: true
      reason:
        description: Why, for the report.
        type: str
      last:
        description: Whether its rows come after those of all other tables.
        type: bool
  starts:
    description:
      - First keys that the restore point may not have, by table, as its manifest says. For tables that are not
        in it, and for keys that are not handed out in order, every row that O(schema) lacks is a later one.
    type: dict
    default: {}
  seconds:
    description: Stop after so many seconds and say that it is not complete; V(0) for never.
    type: int
    default: 0
  progress:
    description: File in which the rows that are through are counted, for whoever waits. Removed at the end.
    type: path
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
  - campaign.rollback.database
attributes:
  check_mode:
    description: Says how many rows it would bring, and how many would be refused as far as that can be known.
    support: full
  diff_mode:
    description: Shows how many rows come into which table.
    support: full
  idempotent:
    description: A row is brought once.
    support: full
  platform:
    description: Runs on the database host.
    support: full
    platforms: posix
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Bring back what was written after the restore point
  campaign.rollback.database_recover:
    run_id: 20261121T190000Z
    schema: blazz
    source: blazz__attic_20261121T180000Z
    starts: {campaigns: 5001, campaign_logs: 120034}

- name: Bring two deleted campaigns back, with their logs
  campaign.rollback.database_recover:
    run_id: 20261121T193000Z
    schema: blazz
    source: blazz__attic_20261121T180000Z
    ids:
      campaigns: [17, 23]

- name: And take that back
  campaign.rollback.database_recover:
    run_id: 20261121T193000Z
    schema: blazz
    state: reverted
"""

RETURN = r"""
tables:
  description:
    - Per table rows that are still RV(ignore:wanted), or would be brought in check mode, RV(ignore:brought) and
      RV(ignore:overwritten) by this run, RV(ignore:present) already, RV(ignore:conflicts), and RV(ignore:reduced),
      those that lost a value because the table lacks its column. Also RV(ignore:policy), RV(ignore:undated) if nothing
      tells a later row from one that was deleted since, and in RV(ignore:note) why nothing is brought.
    - With O(state=reverted) the number of RV(ignore:rows) that were taken out, put back or brought again.
  type: dict
  returned: success
conflicts:
  description: Rows that were refused or left, with RV(ignore:table), RV(ignore:id) and RV(ignore:reason); at most 100.
  type: list
  elements: dict
  returned: success
complete:
  description: Whether nothing is left to be brought but conflicts.
  type: bool
  returned: when O(state=present)
kept:
  description: Schema that remembers what was brought.
  type: str
  returned: when O(state=present)
longest_s:
  description: How long the longest transaction held its locks, in seconds.
  type: float
  returned: success
seconds:
  description: How long it took.
  type: float
  returned: success
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.database_recover import kept_schema, recover, revert
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_plan import Request
from ansible_collections.campaign.rollback.plugins.module_utils.table_policies import POLICY_OPTIONS, Policies


def request_of(given: dict, run_id: str) -> Request:
    """The request from the options of the module."""
    return Request(
        given["schema"],
        given["source"],
        kept_schema(given["schema"], run_id),
        tuple(given["tables"]),
        given["ids"],
        given["changed_rows"],
        Policies.of(given["policies"]),
        {table: int(start) for table, start in given["starts"].items()},
        given["seconds"],
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schema": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "reverted"], "default": "present"},
            "source": {"type": "str"},
            "tables": {"type": "list", "elements": "str", "default": []},
            "ids": {"type": "dict", "default": {}},
            "changed_rows": {"type": "bool", "default": False},
            "policies": {"type": "list", "elements": "dict", "default": [], "options": POLICY_OPTIONS},
            "starts": {"type": "dict", "default": {}},
            "seconds": {"type": "int", "default": 0},
            "progress": {"type": "path"},
            **UNDO_OPTIONS,
            "defaults_file": {"type": "path"},
            "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
        },
        required_if=[("state", "present", ["source"])],
        supports_check_mode=True,
    )
    given, check = module.params, module.check_mode
    try:
        by = Journal.of_module(given)
        with (
            contextlib.nullcontext() if check else by.acting(),
            Database(given["defaults_file"], given["login_unix_socket"], read_only=check) as db,
        ):
            if given["state"] == "reverted":
                result = revert(db, Journal.to_revert(given), by, given["schema"], check)
            else:
                result = recover(db, by, request_of(given, by.run_id), check, given["progress"])
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
