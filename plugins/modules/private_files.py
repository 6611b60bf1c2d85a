#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: private_files
short_description: Write several texts into a directory that only its owner may enter
description:
  - Writes all files in one call, each atomically with mode 0600, and makes the directory with mode 0700.
  - Runs on the controller, in its own process, whichever host the task is for.
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
  action:
    description: There is an action plugin and no module.
    support: full
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
    description: The controller.
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
