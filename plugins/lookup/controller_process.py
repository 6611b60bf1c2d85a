# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup of the controller process that a run is."""

from __future__ import annotations

DOCUMENTATION = r"""
name: controller_process
short_description: Which process of this controller a run is, or whether a recorded one has ended
version_added: 0.1.0
description:
  - Without a term, identifies the C(ansible-playbook) process, for the lease that it takes.
  - With such an identity as the term, says whether that process is known to have ended. A process of another controller
    never is.
options:
  _terms:
    description: Identities as this lookup returned them; none asks for one's own.
    type: list
    elements: dict
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Show which process this is
  ansible.builtin.debug:
    msg: "{{ lookup('campaign.rollback.controller_process') }}"
"""

RETURN = r"""
_raw:
  description:
    - Without a term, one dictionary with C(host), C(boot), C(namespace), C(pid) and C(started), empty without C(/proc).
    - With terms, one boolean each.
  type: list
  elements: raw
"""

from ansible.plugins.lookup import LookupBase
from ansible_collections.campaign.rollback.plugins.module_utils.controller import identity, is_gone


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms, variables=None, **kwargs):
        """One identity, or one answer for each term."""
        return [is_gone(term) for term in terms] if terms else [identity()]
