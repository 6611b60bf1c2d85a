#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_rehearsal
short_description: Make a copy of a schema's structure to reverse migrations on, and judge the outcome
description:
  - The copy has the newest rows of each table, whole where a table is small, and an account of its own that may do
    nothing anywhere else.
  - It is recognised by the batch number of its migrations, which is drawn anew for each copy.
options:
  state:
    description:
      - V(present) makes the copy anew.
      - V(compared) holds what became of it against the restore point, and says which tables were changed.
      - V(absent) drops the copy and its account.
    type: str
    choices: [present, compared, absent]
    default: present
  schema:
    description: Live schema; only read.
    type: str
    required: true
  copy:
    description: Name of the copy, with C(__verify_) in it.
    type: str
    required: true
  rows:
    description: Number of rows of each table that are copied.
    type: int
    default: 10000
  password:
    description: Password of the account.
    type: str
  expected_tables:
    description:
      - Tables of the restore point, name to a dictionary with the C(digest), as M(campaign.rollback.database_info) gave
        them.
    type: dict
    default: {}
  recorded:
    description: Migrations of the restore point.
    type: list
    elements: str
    default: []
  checksums:
    description: What O(state=present) returned under this name.
    type: dict
    default: {}
  named:
    description: Tables that the source of the migrations names.
    type: list
    elements: str
    default: []
  whole:
    description: Whether the migrations may change other tables too, as far as their source tells.
    type: bool
    default: false
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.database
attributes:
  check_mode:
    description: Makes and drops nothing, and says that it would.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: O(state=present) makes the copy anew each time.
    support: partial
  platform:
    description: Runs on the database host.
    support: full
    platforms: posix
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Make the copy
  campaign.rollback.migration_rehearsal:
    run_id: 20261121T174500Z
    schema: blazz
    copy: blazz__verify_20261121T174500Z
    password: "{{ rehearsal_password }}"
  register: copy

- name: Drop it
  campaign.rollback.migration_rehearsal:
    run_id: 20261121T174500Z
    schema: blazz
    copy: blazz__verify_20261121T174500Z
    state: absent
"""

RETURN = r"""
account:
  description: Account that may do everything in the copy and nothing elsewhere, from any host.
  returned: with O(state=present), not in check mode
  type: str
batch:
  description: Batch of every migration in the copy.
  returned: with O(state=present), not in check mode
  type: int
rows:
  description: Number of copied rows per table.
  returned: with O(state=present), not in check mode
  type: dict
checksums:
  description: Checksum of each table of the copy.
  returned: with O(state=present), not in check mode
  type: dict
seconds:
  description: Seconds that it took to make the copy.
  returned: with O(state=present), not in check mode
  type: float
differences:
  description: In what the copy is not like the restore point, in words.
  returned: with O(state=compared)
  type: list
  elements: str
affected:
  description: Tables that the migrations change.
  returned: with O(state=compared)
  type: list
  elements: str
demands:
  description: What the live schema asks of code that the restored one would not, such as a value for a column.
  returned: with O(state=compared)
  type: list
  elements: str
losses:
  description: What of the live schema would be lost, in words, with the number of rows or values.
  returned: with O(state=compared)
  type: list
  elements: str
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.migration_rehearsal import compare, prepare, remove


def act(db, given, check):
    """Do what the state says."""
    schema, copy = given["schema"], given["copy"]
    if given["state"] == "absent":
        return {"changed": remove(db, copy, check)}
    if given["state"] == "compared":
        digests = {name: table.get("digest") for name, table in given["expected_tables"].items()}
        named = given["named"]
        outcome = compare(db, schema, copy, digests, given["recorded"], given["checksums"], named, given["whole"])
        return {"changed": False, **outcome}
    if check:
        return {"changed": True}
    return {"changed": True, **prepare(db, schema, copy, given["rows"], given["password"])}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "compared", "absent"], "default": "present"},
            "schema": {"type": "str", "required": True},
            "copy": {"type": "str", "required": True},
            "rows": {"type": "int", "default": 10000},
            "password": {"type": "str", "no_log": True},
            "expected_tables": {"type": "dict", "default": {}},
            "recorded": {"type": "list", "elements": "str", "default": []},
            "checksums": {"type": "dict", "default": {}},
            "named": {"type": "list", "elements": "str", "default": []},
            "whole": {"type": "bool", "default": False},
            **RUN_OPTIONS,
            "defaults_file": {"type": "path"},
            "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
        },
        required_if=[("state", "present", ["password"])],
        supports_check_mode=True,
    )
    given = module.params
    check = module.check_mode
    try:
        with (
            contextlib.nullcontext() if check or given["state"] == "compared" else Journal.of_module(given).acting(),
            Database(given["defaults_file"], given["login_unix_socket"]) as db,
        ):
            result = act(db, given, check)
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
