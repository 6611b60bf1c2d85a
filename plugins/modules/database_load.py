#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: database_load
short_description: Load a dump beside the live schema, or in its place
description:
  - Verifies the file before anything is touched. It must decompress completely, end with the dump's completion trailer,
    have the recorded digest, and stay inside one schema (a dump of several databases is refused).
  - Then loads it into a schema created anew and compares the row counts. A load that fails leaves no schema behind.
  - With O(in_place=true) the tables and views of the live schema are replaced, which users notice; rows written since
    the dump are only in O(undo_src) then, but for what O(carry) names.
options:
  schema:
    description:
      - Schema to load into. Beside the live one its name contains two underscores; an existing schema is
        replaced only if C(__shadow_) or C(__verify_) is part of its name.
    type: str
    required: true
  state:
    description:
      - V(present) loads O(src).
      - V(absent) drops a schema with C(__shadow_) or C(__verify_) in its name.
      - V(reverted) puts back what an O(in_place=true) load of this run replaced.
    type: str
    choices: [present, absent, reverted]
    default: present
  src:
    description: Dump on this host; its name ends in C(.sql), C(.sql.gz) or C(.sql.zst).
    type: path
  sha256:
    description: Recorded digest of O(src).
    type: str
  expected_tables:
    description:
      - Table name to a dictionary with the recorded C(rows). A table that is missing or has another number of rows
        is an error.
      - Counts belong to the dump's own snapshot only if they were taken from a load of that dump.
    type: dict
    default: {}
  in_place:
    description: Load straight into the live schema. Recorded in the journal first.
    type: bool
    default: false
  undo_src:
    description: Dump of the state that O(in_place=true) replaces, verified before anything is touched.
    type: path
  carry:
    description:
      - Live rows whose columns are kept over an in-place load, copied into the row of the same key afterwards.
      - O(state=reverted) takes this from the journal.
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description: Table; ignored if it is missing before or after the load.
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
  run_id:
    description: Rollback run whose journal records an in-place load.
    type: str
  state_dir:
    description: Directory that keeps journals and restore points on this host.
    type: path
    default: /var/lib/rollback
extends_documentation_fragment:
  - campaign.rollback.database
requirements:
  - zstd
  - mariadb or mysql client
attributes:
  check_mode:
    description: Verifies the file and the names; loads nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: Loading beside always builds a new copy; in-place loads, V(absent) and V(reverted) are idempotent.
    support: partial
  platform:
    description: Runs on the database host.
    support: full
    platforms: posix
author: campaign.rollback engineers (@campaign-rollback)
"""

EXAMPLES = r"""
- name: Build the shadow schema
  campaign.rollback.database_load:
    src: /var/lib/rollback/restore_points/20261121T174500Z/database/blazz.sql.zst
    schema: blazz__shadow_20261121t180000z
    expected_tables:
      campaigns:
        rows: 12

- name: Drop the copy of a test restore
  campaign.rollback.database_load:
    schema: blazz__verify_20261121t174500z
    state: absent
"""

RETURN = r"""
schema:
  description: The schema.
  type: str
  returned: success
tables:
  description: Per table the exact number of RV(ignore:rows) after the load.
  type: dict
  returned: success
  sample: {"campaigns": {"rows": 12}}
bytes:
  description: Data and indexes of the loaded schema as the server reports them; an estimate.
  type: int
  returned: success
load_s:
  description: Seconds of the load itself, without verifying and counting.
  type: float
  returned: success
carried:
  description: Per table of O(carry) the number of rows that were brought up to date after an in-place load.
  type: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import (
    load_beside,
    load_in_place,
    remove,
    revert_in_place,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import CARRY_OPTIONS, Carry
from ansible_collections.campaign.rollback.plugins.module_utils.dump import connection_arguments
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import DEFAULT_STATE_DIR, Journal


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schema": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "reverted"], "default": "present"},
            "src": {"type": "path"},
            "sha256": {"type": "str"},
            "expected_tables": {"type": "dict", "default": {}},
            "in_place": {"type": "bool", "default": False},
            "undo_src": {"type": "path"},
            "carry": {"type": "list", "elements": "dict", "default": [], "options": CARRY_OPTIONS},
            "run_id": {"type": "str"},
            "state_dir": {"type": "path", "default": DEFAULT_STATE_DIR},
            "defaults_file": {"type": "path"},
            "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
        },
        required_if=[
            ("state", "present", ["src"]),
            ("state", "reverted", ["run_id"]),
            ("in_place", True, ["run_id", "undo_src"]),
        ],
        supports_check_mode=True,
    )
    given, check, schema = module.params, module.check_mode, module.params["schema"]
    connection = connection_arguments(given["defaults_file"], given["login_unix_socket"])
    try:
        with Database(given["defaults_file"], given["login_unix_socket"], lock_wait_s=30) as db:
            if given["state"] == "absent":
                result = remove(db, schema, check)
            elif given["state"] == "reverted":
                result = revert_in_place(db, connection, Journal(given["run_id"], given["state_dir"]), schema, check)
            elif given["in_place"]:
                journal = Journal(given["run_id"], given["state_dir"])
                result = load_in_place(
                    db,
                    connection,
                    journal,
                    given["src"],
                    given["undo_src"],
                    schema,
                    given["expected_tables"],
                    given["sha256"],
                    tuple(Carry.from_mapping(rule) for rule in given["carry"]),
                    check,
                )
            else:
                result = load_beside(
                    db, connection, given["src"], schema, given["expected_tables"], given["sha256"], check
                )
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
