#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: private_files
short_description: Write several texts into a directory that only its owner may enter
description:
  - Writes all files in one call, each atomically with mode 0600, and makes the directory with mode 0700.
version_added: 0.1.0
options:
  path:
    description: The directory.
    type: path
    required: true
  files:
    description: Texts by file name.
    type: dict
    required: true
attributes:
  check_mode:
    description: Says whether a file would change.
    support: full
  diff_mode:
    description: Shows nothing; reports are long.
    support: none
  idempotent:
    description: A file that has its text already is left alone.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Keep a report
  campaign.rollback.private_files:
    path: artifacts/runs/20261121T174500Z
    files:
      report.md: "{{ lookup('ansible.builtin.template', 'report.md.j2') }}"
"""

RETURN = r"""
written:
  description: Names of the files that changed.
  returned: success
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import make_private_directory, write_atomically


def has(path, text):
    """Whether the file has this text."""
    try:
        with open(path, "rb") as stream:
            return bool(stream.read() == text)
    except FileNotFoundError:
        return False


def main() -> None:
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}, "files": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    root = os.path.abspath(module.params["path"])
    texts = {os.path.join(root, os.path.basename(name)): text.encode() for name, text in module.params["files"].items()}
    try:
        written = [path for path, text in texts.items() if not has(path, text)]
        if not module.check_mode:
            make_private_directory(root)
            for path in written:
                write_atomically(path, texts[path])
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    module.exit_json(changed=bool(written), written=[os.path.basename(path) for path in written])


if __name__ == "__main__":
    main()
