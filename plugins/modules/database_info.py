#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: database_info
short_description: Describe one schema of MariaDB or MySQL
description:
  - Reads structure digests, exact row counts, migrations, objects and the state of the server. Changes nothing.
options:
  schema:
    description: Schema to describe; one that does not exist gives RV(exists=false).
    type: str
    required: true
  rows:
    description: Count the rows of every table exactly. Without it the answer takes no time on large tables.
    type: bool
    default: true
  long_transaction_s:
    description: Age in seconds from which an open transaction or a running statement is listed.
    type: int
    default: 5
extends_documentation_fragment:
  - campaign.rollback.database
  - campaign.rollback.reads_only
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Describe the live schema
  campaign.rollback.database_info:
    schema: blazz
  register: live_schema
"""

RETURN = r"""
exists:
  description: Whether the schema exists.
  type: bool
  returned: success
engine:
  description: V(mariadb) or V(mysql).
  type: str
  returned: success
version:
  description: Version of the server as it names itself.
  type: str
  returned: success
bytes:
  description: Data and indexes of all tables as the server reports them; an estimate.
  type: int
  returned: success
tables:
  description:
    - Per table the exact RV(ignore:rows) (if counted), the next RV(ignore:auto_increment) (or null) and the
      structure's RV(ignore:digest).
  type: dict
  returned: success
  sample: {"campaigns": {"rows": 12, "auto_increment": 13, "digest": "9f86d08..."}}
schema_digest:
  description: SHA-256 over the structure digests of all tables; a faithful copy under another name has the same.
  type: str
  returned: success
migrations:
  description: Names in the table C(migrations) in order, null without such a table.
  type: list
  elements: str
  returned: success
objects:
  description:
    - Names of RV(ignore:triggers), RV(ignore:views), RV(ignore:routines), RV(ignore:events) and
      RV(ignore:sequences).
  type: dict
  returned: success
foreign_keys:
  description: Constraints from or to another schema, with RV(ignore:name), RV(ignore:table) and RV(ignore:references).
  type: list
  elements: dict
  returned: success
threads_connected:
  description: Open connections of the server.
  type: int
  returned: success
long_transactions:
  description: Connection RV(ignore:id), RV(ignore:user) and age in RV(ignore:seconds); never the statement's text.
  type: list
  elements: dict
  returned: success
free_bytes:
  description: Free bytes in the file system of the data directory, null if it is not on this host.
  type: int
  returned: success
replication:
  description:
    - What the server has to do with others. RV(ignore:role) is V(single), V(source), V(replica), V(galera) or V(group).
    - RV(ignore:follows) lists the sources that it is configured to replicate from, RV(ignore:replicas) counts the
      replicas that are connected to it now. RV(ignore:binlog) is the format of its binary log, null without one;
      RV(ignore:gtid) says whether that identifies transactions.
    - RV(ignore:refused) is the reason why no schema can be rolled back on this server, empty without one.
  type: dict
  returned: success
  sample: {"role": "replica", "follows": ["db1:3306"], "replicas": 0, "binlog": "ROW", "gtid": true, "refused": "..."}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.database import DEFAULT_SOCKET, Database, schema_info
from ansible_collections.campaign.rollback.plugins.module_utils.database_replication import read_replication
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "schema": {"type": "str", "required": True},
            "rows": {"type": "bool", "default": True},
            "long_transaction_s": {"type": "int", "default": 5},
            "defaults_file": {"type": "path"},
            "login_unix_socket": {"type": "path", "default": DEFAULT_SOCKET},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        with Database(given["defaults_file"], given["login_unix_socket"], read_only=True) as db:
            result = schema_info(db, given["schema"], given["rows"], given["long_transaction_s"])
            result["replication"] = read_replication(db).described()
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
