#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_point
short_description: Write the manifest of a restore point
description:
  - Stores the manifest of a restore point on the state host, whole or not at all (temporary file, fsync, rename).
  - The manifest names what was captured together before a change; the captured files stay on the hosts they belong to.
version_added: 0.1.0
options:
  manifest:
    description:
      - The manifest, schema 1.
      - It must have C(schema), C(id), C(taken_at), C(taken_by), C(environment), C(application), C(database) and
        C(known_good).
    type: dict
    required: true
  state_dir:
    description: Directory that keeps journals and restore points on this host.
    type: path
    default: /var/lib/rollback
attributes:
  check_mode:
    description: Checks the manifest and says whether it would be written.
    support: full
  diff_mode:
    description: Shows the manifest before and after.
    support: full
  idempotent:
    description: Writing the same manifest twice changes nothing the second time.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Keep what was captured
  campaign.rollback.restore_point:
    manifest: "{{ run_manifest }}"
"""

RETURN = r"""
path:
  description: Manifest file.
  returned: success
  type: str
  sample: /var/lib/rollback/restore_points/20261121T174500Z/manifest.json
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.restore_points import Store, check, render


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "manifest": {"type": "dict", "required": True},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    manifest = module.params["manifest"]
    store = Store(module.params["state_dir"])
    try:
        path = store.path(str(manifest.get("id")))
        check(manifest, path)
        before = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as stream:
                before = stream.read()
        after = render(manifest).decode("utf-8")
        changed = before != after
        if changed and not module.check_mode:
            store.write(manifest)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, path=path, diff={"before": before, "after": after, "before_header": path})


if __name__ == "__main__":
    main()
