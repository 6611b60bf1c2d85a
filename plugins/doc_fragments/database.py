"""Options shared by the modules that talk to MariaDB or MySQL."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment C(campaign.rollback.database)."""

    DOCUMENTATION = r"""
options:
  defaults_file:
    description:
      - Client option file (mode 0600) with the C([client]) user and password, read by PyMySQL and by the command line
        tools.
      - Without it the connection is made as the operating system user through the socket.
    type: path
  login_unix_socket:
    description: Socket of the local server.
    type: path
    default: /run/mysqld/mysqld.sock
requirements:
  - PyMySQL
"""
