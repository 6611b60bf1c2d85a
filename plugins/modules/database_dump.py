#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: database_dump
short_description: Write a consistent, compressed dump of one schema
description:
  - Runs the server's own dump tool in one transaction, through zstd, into a file that gets its name only when it is
    whole and on disk.
  - No writer is blocked. Tables, views, triggers, routines and events are included.
  - A file that already has the name is verified and left alone.
options:
  schema:
    description: Schema to dump.
    type: str
    required: true
  dest:
    description: File to write, mode 0600; its name ends in C(.sql.zst). A missing directory is made with mode 0700.
    type: path
    required: true
  progress:
    description: File that tells how far the dump is while it lasts, as JSON with C(done), C(total) and C(at).
    type: path
  run_id:
    description:
      - Run on whose behalf the dump is made.
      - Without it nothing stops the dump when another run takes the lease over.
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
  - zstd
  - mariadb-dump or mysqldump
attributes:
  check_mode:
    description: Verifies that the schema and the tools exist, or that an existing file is whole.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  idempotent:
    description: An existing file is never written again.
    support: full
  platform:
    description: Runs on the database host.
    support: full
    platforms: posix
author: campaign.rollback engineers (@campaign-rollback)
"""

EXAMPLES = r"""
- name: Dump the live schema into a restore point
  campaign.rollback.database_dump:
    schema: blazz
    dest: /var/lib/rollback/restore_points/20261121T174500Z/database/blazz.sql.zst
"""

RETURN = r"""
path:
  description: The dump file.
  type: str
  returned: success
bytes:
  description: Size of the file; 0 in check mode if it does not exist yet.
  type: int
  returned: success
uncompressed_bytes:
  description: Size of the SQL text.
  type: int
  returned: success
sha256:
  description: Digest of the file, empty in check mode if it does not exist yet.
  type: str
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
import dataclasses
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DEFAULT_SOCKET,
    Database,
    existing_schemas,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.dump import (
    Dump,
    Progress,
    Written,
    connection_arguments,
    dump_command,
    write_dump,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_OPTIONS, Journal


def dumped(given: dict, check: bool) -> dict:
    """Write or verify the dump; returns the module's result without the time taken."""
    schema, dest = given["schema"], given["dest"]
    with Database(given["defaults_file"], given["login_unix_socket"], read_only=True) as db:
        if schema not in existing_schemas(db, [schema]):
            raise RollbackError("The schema does not exist", found=schema)
        engine, version = db.engine, db.version
        # As SQL text it is another size, but of that order.
        total = sum(table.bytes for table in read_tables(db, [schema])[schema].values())
    connection = connection_arguments(given["defaults_file"], given["login_unix_socket"])
    command = dump_command(engine, connection, schema)
    changed = not os.path.exists(dest)
    if not changed:
        with Dump(dest) as dump:
            written = Written(dest, dump.bytes, dump.verify(), dump.sha256())
    elif check:
        written = Written(dest, 0, 0, "")
    else:
        written = write_dump(command, dest, Progress(given["progress"], total))
    return dict(dataclasses.asdict(written), changed=changed, engine=engine, version=version)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schema": {"type": "str", "required": True},
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
            result = dumped(given, check)
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(seconds=round(time.monotonic() - started, 3), **result)


if __name__ == "__main__":
    main()
