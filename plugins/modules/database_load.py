#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: database_load
short_description: Load a backup beside the live schema, or in its place
description:
  - Verifies the backup before anything is touched. It must have the recorded digests and stay inside one schema (a dump
    of several databases is refused). A dump must decompress completely and end with its completion trailer; any other
    backup must consist of exactly the files of its tables.
  - Then loads it into a schema created anew, checks every table, and compares tables, structure, next ids, row counts,
    digests of the rows, and migrations with what was recorded. A load that fails leaves no schema behind; one that was
    complete before is not repeated.
  - The rows of a logical backup go in through LOAD DATA, two tables at a time, into tables that get their secondary
    keys and foreign keys afterwards. A server with C(local_infile) off, as MySQL's default is, gets them as INSERT
    statements, which takes longer; the setting is never changed. All of it is in the server's binary log.
  - The tables of a physical backup are copied into the server's data directory and imported, outside its binary log.
    Then InnoDB's checkpoint is brought past them, without which a crash would empty them. No event of the copy runs;
    those that were enabled are C(DISABLE ON SLAVE).
  - With O(in_place=true) the tables and views of the live schema are replaced, which users notice; rows written since
    the backup are only in O(undo_src) then, but for what O(carry) names.
options:
  schema:
    description:
      - Schema to load into. Beside the live one its name contains two underscores; an existing schema is
        replaced only if C(__shadow_), C(__verify_) or C(__standby) is part of its name.
    type: str
    required: true
  state:
    description:
      - V(present) loads O(src).
      - V(absent) drops a schema with C(__shadow_), C(__verify_) or C(__standby) in its name.
      - V(reverted) puts back what an O(in_place=true) load replaced, and brings along the rows inserted since.
    type: str
    choices: [present, absent, reverted]
    default: present
  src:
    description:
      - Backup on this host. The directory of one that M(campaign.rollback.database_backup) wrote, of which a physical
        one cannot be loaded in place; or a dump, whose name ends in C(.sql), C(.sql.gz) or C(.sql.zst).
    type: path
  files:
    description: What M(campaign.rollback.database_backup) recorded of the files of O(src).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: File; of a directory only the last part counts.
        type: path
        required: true
      bytes:
        description: Size, not looked at because the digest says more.
        type: int
      sha256:
        description: Digest.
        type: str
        required: true
  expected_tables:
    description:
      - Table name to a dictionary with the recorded C(rows), C(digest) and C(auto_increment), as
        M(campaign.rollback.database_info) gave them. A table that is missing, has another number of rows, another
        structure or a lower next id is an error, and so is a table that is not named, unless none is.
      - Counts belong to the dump's own snapshot only if they were taken from a load of that dump.
    type: dict
    default: {}
  expected_migrations:
    description: Recorded migrations. One more or less is an error; without the list they are not looked at.
    type: list
    elements: str
  expected_checksums:
    description:
      - RV(checksums) of the test restore. A table whose rows are others is an error.
      - Without them both forms of the digests are computed, to be recorded.
    type: dict
    default: {}
  expected_standby:
    description:
      - RV(standby) of the load that left O(schema) as it is expected to be. If nobody can have written to it since it
        serves as it is, at once; after a restart of the server it is checked as after a load. Otherwise O(src) is
        loaded.
      - In check mode RV(standby) is empty if that copy is gone, and nothing is asked of O(src).
    type: dict
    default: {}
  in_place:
    description: Load straight into the live schema. Recorded in the journal first.
    type: bool
    default: false
  undo_src:
    description: Backup of the state that O(in_place=true) replaces, verified before anything is touched.
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
  auto_increment_gap:
    description:
      - Distance between the highest next id before an O(in_place=true) load and the first id given out after it.
      - O(state=reverted) takes this from the journal.
    type: int
    default: 1000
  bandwidth_mb_s:
    description:
      - Most megabytes (1000000 bytes) per second that a load beside the live schema works through, of text or of
        tables' files, so that the running system stays responsive. V(0) does not limit it.
      - The server itself reads and writes each imported file once more, as fast as it can.
    type: float
    default: 0
  progress:
    description: File that tells how far the load is while it lasts, as JSON with C(done), C(total) and C(at).
    type: path
  run_id:
    description:
      - Rollback run on whose behalf the change is made; its journal records an in-place load.
      - Without it nothing stops the change when another run takes the lease over.
    type: str
  fencing:
    description: Number of the run's lease. Refused if this host knows a newer one.
    type: int
    default: 0
  state_dir:
    description: Directory that keeps journals and restore points on this host.
    type: path
    default: /var/lib/rollback
extends_documentation_fragment:
  - campaign.rollback.undo
  - campaign.rollback.database
requirements:
  - zstd
  - mariadb or mysql client
attributes:
  check_mode:
    description: Verifies the backup, the names and the server; loads nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: A copy beside the live schema is built again unless O(expected_tables) prove it whole.
    support: partial
  platform:
    description: Runs on the database host.
    support: full
    platforms: posix
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Build the shadow schema
  campaign.rollback.database_load:
    src: /var/lib/rollback/restore_points/20261121T174500Z/database/blazz
    schema: blazz__shadow_20261121t180000z
    expected_tables:
      campaigns:
        rows: 12

- name: Import the files of a physical backup, at 200 MB per second at most
  campaign.rollback.database_load:
    src: /var/lib/rollback/restore_points/20261121T174500Z/database/blazz
    files: "{{ manifest.database.files }}"
    schema: blazz__shadow_20261121t180000z
    expected_checksums: "{{ manifest.database.checksums }}"
    bandwidth_mb_s: 200

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
  description: Per table the exact number of RV(ignore:rows) after the load; in check mode the tables of the backup.
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
checksums:
  description:
    - C(version) of the server, and C(tables) with the C(rows) of each and digests over them. C(checksum) is what the
      server computes, comparable within one version of it, C(portable) is comparable everywhere.
    - Empty for a load in place and where nothing was loaded.
  type: dict
  returned: success
standby:
  description: What tells later, as O(expected_standby), that the copy was not touched; empty for a load in place.
  type: dict
  returned: success
carried:
  description: Per table of O(carry) the number of rows that were brought up to date after an in-place load.
  type: dict
  returned: success
merged:
  description: With O(state=reverted), number of rows inserted since an in-place load that were brought along, by table.
  type: dict
  returned: success
conflicts:
  description: Number of such rows that the tables refused, by table; they stay in C(<schema>__carry_undo_<run>_<step>).
  type: dict
  returned: success
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.database_backup import FILE_OPTIONS
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import CARRY_OPTIONS, Carry
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import (
    Expected,
    load_beside,
    load_in_place,
    remove,
    revert_in_place,
)
from ansible_collections.campaign.rollback.plugins.module_utils.dump import connection_arguments
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal


def carry_out(given: dict, check: bool) -> dict:
    """Do what the options ask for; returns the module's result."""
    schema, progress = given["schema"], given["progress"]
    connection = connection_arguments(given["defaults_file"], given["login_unix_socket"])
    by = Journal.of_module(given) if given["run_id"] else None
    names = ("expected_tables", "expected_migrations", "expected_checksums", "expected_standby")
    expected = Expected(*(given[name] for name in names))
    with (
        contextlib.nullcontext() if check or by is None else by.acting(),
        Database(given["defaults_file"], given["login_unix_socket"], lock_wait_s=30) as db,
    ):
        if given["state"] == "absent":
            return remove(db, schema, check)
        if given["state"] == "reverted":
            return revert_in_place(db, connection, Journal.to_revert(given), by, schema, check, progress)
        if given["in_place"]:
            return load_in_place(
                db,
                connection,
                by,
                given["src"],
                given["undo_src"],
                schema,
                expected,
                given["files"],
                tuple(Carry.from_mapping(rule) for rule in given["carry"]),
                given["auto_increment_gap"],
                check,
                progress,
            )
        limit = given["bandwidth_mb_s"] * 1e6
        return load_beside(db, connection, given["src"], schema, expected, given["files"], check, progress, limit)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schema": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "reverted"], "default": "present"},
            "src": {"type": "path"},
            "files": {"type": "list", "elements": "dict", "default": [], "options": FILE_OPTIONS},
            "expected_tables": {"type": "dict", "default": {}},
            "expected_migrations": {"type": "list", "elements": "str"},
            "expected_checksums": {"type": "dict", "default": {}},
            "expected_standby": {"type": "dict", "default": {}},
            "in_place": {"type": "bool", "default": False},
            "undo_src": {"type": "path"},
            "carry": {"type": "list", "elements": "dict", "default": [], "options": CARRY_OPTIONS},
            "auto_increment_gap": {"type": "int", "default": 1000},
            "bandwidth_mb_s": {"type": "float", "default": 0},
            "progress": {"type": "path"},
            **UNDO_OPTIONS,
            "run_id": {"type": "str"},
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
    try:
        result = carry_out(module.params, module.check_mode)
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
