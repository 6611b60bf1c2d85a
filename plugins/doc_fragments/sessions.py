"""Options shared by the modules for WhatsApp sessions."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments C(campaign.rollback.sessions), C(campaign.rollback.sessions.pm2), C(campaign.rollback.sessions.api)."""

    DOCUMENTATION = r"""
options:
  path:
    description: Directory of the service with one folder an account.
    type: path
    required: true
  kind:
    description:
      - What the folders hold. V(baileys) is Baileys' multi-file authentication state.
      - V(localauth) is the LocalAuth of whatsapp-web.js, a Chromium profile. Of it only the outside can be judged, its
        JSON files and whether its databases have the tables that their manifests name.
    type: str
    choices: [baileys, localauth]
    default: baileys
  folder:
    description:
      - Name of an account's folder below O(path), with V({account}) for the account.
      - "Example: V(session-{account})."
    type: str
    default: "{account}"
  accounts:
    description: Accounts, of letters, digits, V(-) and V(_).
    type: list
    elements: str
    required: true
  program:
    description:
      - Main file of the service. Whatever else runs a file of this name and directory name, of whichever release,
        counts as a second process on the same sessions.
      - Without it such a process is known only by naming the folder in its arguments or environment, or by having files
        in it open for writing.
    type: path
"""

    PM2 = r"""
options:
  pm2:
    description: Process that runs the sessions under pm2. Without it, only sessions that nobody runs are touched.
    type: dict
    suboptions:
      name:
        description: Process name in pm2.
        type: str
        required: true
      user:
        description: Operating system user who owns the pm2 daemon.
        type: str
        required: true
      home:
        description: C(PM2_HOME) of that user.
        type: path
        required: true
      ecosystem:
        description: Ecosystem file that the process is started from.
        type: path
        required: true
"""

    API = r"""
options:
  api:
    description: Endpoints of the service. V({account}) in addresses, path and body stands for the account.
    type: dict
    required: true
    suboptions:
      status_url:
        description: Address that says how an account stands. Asked with GET.
        type: str
        required: true
      status_path:
        description: "Dotted path to the account's state in its JSON answer. Example: V(sessions.{account})."
        type: str
        required: true
      restart_url:
        description: Address that starts an account again. Without it the process is restarted.
        type: str
        default: ""
      restart_method:
        description: Method of that request.
        type: str
        default: POST
      restart_body:
        description: JSON object that is sent with it.
        type: dict
        default: {}
      connected:
        description: Words for an account that works.
        type: list
        elements: str
        required: true
      logged_out:
        description: Words for an account that its phone has unlinked.
        type: list
        elements: str
        default: []
      broken:
        description:
          - Words for an account whose session the service itself calls unusable.
          - Any word that is in none of these lists is no statement about the session.
        type: list
        elements: str
        default: []
      header:
        description: "Header that carries the token. Example: V(x-api-key: {token})."
        type: str
        default: "Authorization: Bearer {token}"
      token_file:
        description: File on the host with the token; without it none is sent.
        type: path
        default: ""
      token_key:
        description: Key of the token in O(api.token_file), an environment file; without it the file is the token.
        type: str
        default: ""
  timeout_s:
    description: Seconds after which a request counts as unanswered.
    type: float
    default: 5
"""
