#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_point_info
short_description: Find the restore point that an operator means
description:
  - Resolves a restore point id, a date or V(latest) to one manifest, on the state host, once for the whole fleet.
  - A date that no restore point answers to is looked up among the plain dumps that operators keep, and a restore point
    is assembled from the dump and O(commit).
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.reads_only
options:
  target:
    description: Restore point id such as V(20261121T174500Z), date such as V(20261121), or V(latest).
    type: str
    default: latest
  commit:
    description: Commit of the application that belongs to a plain dump; needed only to assemble a restore point.
    type: str
    default: ""
  environment:
    description: Name of the environment, written into an assembled restore point.
    type: str
    default: ""
  backup_dir:
    description: Directory with plain dumps named C(backup_YYYYMMDD*.sql[.gz|.zst]).
    type: path
    default: /backups/database
  state_dir:
    description: Directory that keeps journals and restore points on this host.
    type: path
    default: /var/lib/rollback
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Find the newest known good restore point
  campaign.rollback.restore_point_info:
    target: latest
  register: point
"""

RETURN = r"""
manifest:
  description: Manifest of the restore point.
  returned: success
  type: dict
present:
  description: Ids of all restore points on this host, oldest first.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.restore_points import Store, meant


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "target": {"type": "str", "default": "latest"},
            "commit": {"type": "str", "default": ""},
            "environment": {"type": "str", "default": ""},
            "backup_dir": {"type": "path", "default": "/backups/database"},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    try:
        params = module.params
        store = Store(params["state_dir"])
        manifest = meant(store, params["target"], params["commit"], params["environment"], params["backup_dir"])
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, manifest=manifest, present=store.ids())


if __name__ == "__main__":
    main()
