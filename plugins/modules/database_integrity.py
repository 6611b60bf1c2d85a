#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: database_integrity
short_description: Check structure and consistency of a schema
description:
  - Returns a verdict per check and never fails because of one; the caller decides.
  - A check that cannot be made has not passed. One that the time for all checks did not reach has neither passed nor
    failed, its verdict is C(not checked).
  - The session is read-only, so an assertion that tries to change something does not pass and changes nothing. A check
    of a table that finds damage makes the server mark its indexes as damaged, as it does when it meets the damage.
  - Always checked are every declared foreign key, tables that cannot be read, and tables that have no id left.
options:
  schema:
    description: Schema to check.
    type: str
    required: true
  expected:
    description:
      - What the structure has to be. C(tables) maps names to dictionaries with a C(digest) as
        M(campaign.rollback.database_info) returns it (without one, the table only has to exist).
      - C(absent_tables) lists tables and C(absent_columns) lists C(table.column) that must not exist.
    type: dict
    default: {}
  assertions:
    description: Queries whose first column of the first row has to have a value.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What it proves, in words.
        type: str
        required: true
      query:
        description: SQL query; table names without a schema mean O(schema).
        type: str
        required: true
      expect:
        description: Value it has to have, compared as text.
        type: str
        required: true
  orphans:
    description:
      - Columns in which every value that is not NULL has to exist in another table, without a foreign key that says so.
      - Columns named like such ones that are not listed are counted too, under RV(undeclared), and do not fail.
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description: Referring table.
        type: str
        required: true
      column:
        description: Referring column.
        type: str
        required: true
      references_table:
        description: Table referred to.
        type: str
        required: true
      references_column:
        description: Column referred to.
        type: str
        default: id
  check_tables:
    description:
      - How thorough the server checks its tables with C(CHECK TABLE). It holds up nobody.
      - InnoDB leaves out a part with V(fast), and takes many times longer with V(extended).
    type: str
    choices: [none, fast, medium, extended]
    default: none
  log_since:
    description:
      - Time from which on the server's error log is searched for damage, such as V(2026-11-21T17:45:00Z). Without it
        the log is not read.
      - Read is at most the last 16 MiB of the file that C(@@log_error) names, or the last 50000 lines of the journal.
    type: str
  log_unit:
    description: systemd unit whose journal is read where the server writes no file.
    type: str
    default: mariadb.service
  time_s:
    description: Longest time of all checks together in seconds. Two sessions share the work.
    type: int
    default: 300
  statement_s:
    description: Longest time of one query in seconds; a query that takes longer has not passed.
    type: int
    default: 60
extends_documentation_fragment:
  - campaign.rollback.database
  - campaign.rollback.reads_only
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Check the restored schema
  campaign.rollback.database_integrity:
    schema: blazz
    expected:
      absent_tables: [campaign_hybrid_options]
      absent_columns: [campaigns.campaign_type]
    assertions:
      - name: no message is sent without a time
        query: SELECT COUNT(*) FROM campaign_logs WHERE status = 'sent' AND sent_at IS NULL
        expect: 0
    orphans:
      - table: campaign_logs
        column: campaign_id
        references_table: campaigns
  register: integrity
"""

RETURN = r"""
checks:
  description:
    - RV(ignore:name), RV(ignore:verdict) (C(passed), C(failed) or C(not checked)), RV(ignore:passed),
      RV(ignore:found), RV(ignore:expected) (as text or null), RV(ignore:detail) and RV(ignore:seconds) of each.
  type: list
  elements: dict
  returned: success
checks_passed:
  description: Number of checks that passed.
  type: int
  returned: success
checks_failed:
  description: Number of checks that failed.
  type: int
  returned: success
checks_not_made:
  description: Number of checks that were not made, or not to their end.
  type: int
  returned: success
undeclared:
  description:
    - RV(ignore:relation) between tables that no constraint declares, with the number of its RV(ignore:orphans) (null if
      they were not counted, RV(ignore:detail) says why) and RV(ignore:seconds).
  type: list
  elements: dict
  returned: success
  sample: [{"relation": "messages.contact_id refers to contacts.id", "orphans": 3, "detail": "", "seconds": 0.2}]
seconds:
  description: Seconds of all checks.
  type: float
  returned: success
threads_connected:
  description: Open connections of the server.
  type: int
  returned: success
processes:
  description:
    - RV(ignore:count) of connections per RV(ignore:command) and RV(ignore:state), this one left out; never a
      statement's text.
  type: list
  elements: dict
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.database_integrity import Request, run_checks
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.server_log import moment


def required_text() -> dict:
    return {"type": "str", "required": True}


def request(given):
    """What the options ask for."""
    since = given["log_since"] and moment(given["log_since"])
    if given["log_since"] and since is None:
        raise RollbackError("The time cannot be read", found=given["log_since"], where="log_since")
    return Request(
        given["expected"],
        given["assertions"],
        given["orphans"],
        given["check_tables"],
        given["time_s"],
        given["statement_s"],
        since or None,
        given["log_unit"],
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schema": required_text(),
            "expected": {"type": "dict", "default": {}},
            "assertions": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"name": required_text(), "query": required_text(), "expect": required_text()},
            },
            "orphans": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "table": required_text(),
                    "column": required_text(),
                    "references_table": required_text(),
                    "references_column": {"type": "str", "default": "id"},
                },
            },
            "check_tables": {"type": "str", "choices": ["none", "fast", "medium", "extended"], "default": "none"},
            "log_since": {"type": "str"},
            "log_unit": {"type": "str", "default": "mariadb.service"},
            "time_s": {"type": "int", "default": 300},
            "statement_s": {"type": "int", "default": 60},
            "defaults_file": {"type": "path"},
            "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        wanted = request(given)
        with Database(
            given["defaults_file"], given["login_unix_socket"], read_only=True, statement_s=given["statement_s"]
        ) as db:
            result = run_checks(db, given["schema"], wanted)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
