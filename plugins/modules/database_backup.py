#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: database_backup
short_description: Write a consistent backup of one schema
description:
  - Writes a backup that gets its name only when it is whole and on disk. No writer is blocked.
  - Tables, views, triggers, routines and events are included.
  - A backup that already has the name is verified and left alone.
options:
  schema:
    description: Schema to back up.
    type: str
    required: true
  kind:
    description:
      - V(logical) is a directory with the structure and, compressed, the rows of each table as text, which every
        server can load. It takes no more than reading tables, and reads them in one snapshot. A schema with
        system-versioned tables is refused, because their history would be lost.
      - V(physical) is a directory with MariaDB's own files of each table, prepared to be imported by a server of the
        same release in a fraction of the time that a load takes. Needs a server whose files are on this host.
      - A schema with partitioned, compressed or encrypted tables, with FULLTEXT indexes, sequences or other engines
        than InnoDB needs a logical one; the module says so before anything is done.
    type: str
    choices: [logical, physical]
    default: logical
  dest:
    description:
      - Directory to write, mode 0700.
      - A missing parent directory is made with mode 0700.
    type: path
    required: true
  progress:
    description: File that tells how far the backup is while it lasts, as JSON with C(done), C(total) and C(at).
    type: path
  run_id:
    description:
      - Run on whose behalf the backup is made.
      - Without it nothing stops the backup when another run takes the lease over.
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
  - campaign.rollback.database
requirements:
  - mariadb-dump or mysqldump
  - mariadb or mysql client for O(kind=logical)
  - zstd for O(kind=logical)
  - mariadb-backup for O(kind=physical)
attributes:
  check_mode:
    description: Verifies that the backup can be made, or that an existing one is whole.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: An existing backup is never written again.
    support: full
  platform:
    description: Runs on the database host.
    support: full
    platforms: posix
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Back up the live schema into a restore point
  campaign.rollback.database_backup:
    schema: blazz
    dest: /var/lib/rollback/restore_points/20261121T174500Z/database/blazz

- name: Copy its files, to be imported in seconds
  campaign.rollback.database_backup:
    schema: blazz
    kind: physical
    dest: /var/lib/rollback/restore_points/20261121T174500Z/database/blazz
"""

RETURN = r"""
path:
  description: The backup, a directory.
  type: str
  returned: success
kind:
  description: Kind of the backup.
  type: str
  returned: success
files:
  description: Each file with its C(path), its size in C(bytes) and its C(sha256); none in check mode without a backup.
  type: list
  elements: dict
  returned: success
bytes:
  description: Size of all files together.
  type: int
  returned: success
starts:
  description:
    - First id by table that a row can have which was written after the backup, or was not committed when it was made.
    - Empty if that is not known, because a transaction did not end or the backup was there already.
  type: dict
  returned: success
engine:
  description: V(mariadb) or V(mysql).
  type: str
  returned: success
version:
  description: Version of the server as it names itself.
  type: str
  returned: success
seconds:
  description: Time taken.
  type: float
  returned: success
"""

import contextlib
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database
from ansible_collections.campaign.rollback.plugins.module_utils.database_backup import KINDS, back_up
from ansible_collections.campaign.rollback.plugins.module_utils.dump import connection_arguments
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_OPTIONS, Journal


def backed_up(given: dict, check: bool) -> dict:
    """Write or verify the backup; returns the module's result without the time taken."""
    connection = connection_arguments(given["defaults_file"], given["login_unix_socket"])
    with Database(given["defaults_file"], given["login_unix_socket"], read_only=True) as db:
        return back_up(db, connection, given["kind"], given["schema"], given["dest"], check, given["progress"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schema": {"type": "str", "required": True},
            "kind": {"type": "str", "choices": sorted(KINDS), "default": "logical"},
            "dest": {"type": "path", "required": True},
            "progress": {"type": "path"},
            **RUN_OPTIONS,
            "run_id": {"type": "str"},
            "defaults_file": {"type": "path"},
            "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
        },
        supports_check_mode=True,
    )
    given, check = module.params, module.check_mode
    started = time.monotonic()
    try:
        journal = Journal.of_module(given) if given["run_id"] else None
        with contextlib.nullcontext() if check or journal is None else journal.acting():
            result = backed_up(given, check)
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(seconds=round(time.monotonic() - started, 3), **result)


if __name__ == "__main__":
    main()
