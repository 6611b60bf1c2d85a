#!/usr/bin/env bash
# Runs ansible-test sanity over a copy of the collection, because it insists on a path that ends in
# ansible_collections/<namespace>/<name>. Arguments are passed on, e.g.: tests/sanity.sh --test validate-modules
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=$root/.ansible/sanity
copy=$state/ansible_collections/campaign/rollback
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# Each entry is skipped by name with its reason; everything else that ansible-test knows is run.
skipped=(
  "pslint:needs PowerShell, and the collection has none of it"
  "shellcheck:needs the shellcheck program, and plugins and roles hold no shell script"
)

rm -rf "$copy"
mkdir -p "$copy" "$state/.ansible/test/cache"
for part in galaxy.yml LICENSE README.md meta plugins roles playbooks; do
  if [ -e "$root/$part" ]; then
    cp -RL "$root/$part" "$copy/$part"
  fi
done
find "$copy" -name __pycache__ -type d -prune -exec rm -rf {} +

# ansible-test fetches get-pip.py from a host of its own unless it finds it here. The interpreter brings pip along, and
# pip installs the wanted version from wherever it is configured to.
cat >"$state/.ansible/test/cache/get_pip_24_2.py" <<'PYTHON'
import subprocess
import sys

wanted = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"])
subprocess.check_call([sys.executable, "-m", "pip", "install", *wanted])
PYTHON

arguments=(--local --python "$python" --color no)
for entry in "${skipped[@]}"; do
  echo "sanity: skipping ${entry%%:*}: ${entry#*:}"
  arguments+=(--skip-test "${entry%%:*}")
done

cd "$copy"
# ansible-test asks git for the files, and the project's own git ignores this place.
git init --quiet
echo "sanity: ansible-test sanity ${arguments[*]} $*"
# A home of its own keeps its virtual environments out of the user's, and warm between two runs.
HOME=$state exec ansible-test sanity "${arguments[@]}" "$@"
