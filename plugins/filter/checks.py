"""Filter that looks at declared checks without asking anybody."""

from __future__ import annotations

from ansible_collections.campaign.rollback.plugins.module_utils import http_checks
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

DOCUMENTATION = r"""
name: check_problem
short_description: What is wrong with declared checks
version_added: 0.1.0
description:
  - Reads checks as M(campaign.rollback.validation_http) does, on the controller and without a request.
options:
  _input:
    description: The checks.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse a misspelled check
  ansible.builtin.assert:
    that: validation_http_checks | campaign.rollback.check_problem | length == 0
"""

RETURN = r"""
_value:
  description: Why a check cannot be understood, empty if all can.
  type: str
"""


def check_problem(checks):
    """Why one of the checks cannot be understood; empty if all can."""
    try:
        http_checks.parse(checks, {})
    except RollbackError as error:
        return str(error)
    return ""


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Name to function."""
        return {"check_problem": check_problem}
