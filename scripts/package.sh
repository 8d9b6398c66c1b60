#!/usr/bin/env bash
# Build the collection, install the tarball into an empty folder, run a playbook from there, and import it as Galaxy would.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ansible-galaxy collection build --output-path "$work" .
tarball=$(echo "$work"/selfhosted-kubernetes-*.tar.gz)
# The dependency comes with the `ansible` package here; Galaxy cannot be reached from everywhere.
# From here on nothing of the checkout may help.
cd "$work"
printf '[defaults]\ncollections_path = %s/installed\n' "$work" >ansible.cfg
export ANSIBLE_CONFIG=$work/ansible.cfg
ansible-galaxy collection install --no-deps --collections-path "$work/installed" "$tarball"
installed=$work/installed/ansible_collections/selfhosted/kubernetes
mapfile -t playbooks < <(basename --multiple --suffix=.yml "$installed"/playbooks/*.yml)
ansible-playbook -i "$installed/inventories/lab" --syntax-check "${playbooks[@]/#/selfhosted.kubernetes.}"
# One for real: it needs roles, plugins, the lock and every go.mod of the tarball, and no host. tests/lab runs the site from a tarball.
ansible-playbook -i "$installed/inventories/lab" selfhosted.kubernetes.artifacts
printf '[galaxy-importer]\nRUN_ANSIBLE_TEST = False\nCHECK_REQUIRED_TAGS = True\nRUN_ANSIBLE_LINT = False\n' >importer.cfg # ansible-lint ran on the checkout already
GALAXY_IMPORTER_CONFIG=$work/importer.cfg python3 -m galaxy_importer.main "$tarball" >importer.log 2>&1 || { cat importer.log; exit 1; }
if grep -E 'WARNING|ERROR' importer.log; then echo "galaxy-importer complains"; exit 1; fi
tail -1 importer.log
