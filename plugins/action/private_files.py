# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Action that writes texts on the controller. An action, because a module would start another Python for it."""

from __future__ import annotations

import os

from ansible.plugins.action import ActionBase
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import make_private_directory, write_atomically


def has(path, text):
    """Whether the file has this text."""
    try:
        with open(path, "rb") as stream:
            return bool(stream.read() == text)
    except FileNotFoundError:
        return False


def write(root, files, check):
    """Write what differs; returns the names of those files."""
    texts = {os.path.join(root, os.path.basename(name)): text.encode() for name, text in files.items()}
    written = [path for path, text in texts.items() if not has(path, text)]
    if not check:
        make_private_directory(root)
        for path in written:
            write_atomically(path, texts[path])
    return [os.path.basename(path) for path in written]


class ActionModule(ActionBase):
    """Runs in the process of the task, on the controller."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Write the files and say which of them changed."""
        result = super().run(tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(
            {"path": {"type": "path", "required": True}, "files": {"type": "dict", "required": True}}
        )
        try:
            written = write(os.path.abspath(arguments["path"]), arguments["files"], self._task.check_mode)
        except OSError as error:
            return {**result, "failed": True, "msg": str(RollbackError.of_file(error))}
        return {**result, "changed": bool(written), "written": written}
