"""Options shared by the modules that can put back what a run changed."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment C(campaign.rollback.undo)."""

    DOCUMENTATION = r"""
options:
  reverts:
    description:
      - Run whose changes are put back; O(run_id) itself unless given.
      - If it is another run, O(run_id) records in its own journal how to come back, and can be undone in its turn.
    type: str
"""
