"""What this scenario shares with the default one."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "default" / "tests"))
