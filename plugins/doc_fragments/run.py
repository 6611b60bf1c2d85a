"""Options shared by the modules that change something on behalf of a rollback run."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment C(campaign.rollback.run)."""

    DOCUMENTATION = r"""
options:
  run_id:
    description: Rollback run on whose behalf the change is made; its journal on this host records it first.
    type: str
    required: true
  state_dir:
    description: Directory that keeps journals and restore points on this host.
    type: path
    default: /var/lib/rollback
"""
