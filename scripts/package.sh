#!/usr/bin/env bash
# Build the collection, install the tarball into an empty folder, call a playbook from there, and import it as Galaxy would.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ansible-galaxy collection build --output-path "$work" .
tarball=$(echo "$work"/selfhosted-kubernetes-*.tar.gz)
# The dependency comes with the `ansible` package here; Galaxy cannot be reached from everywhere.
ansible-galaxy collection install --no-deps --collections-path "$work/installed" "$tarball"
cd "$work"
export ANSIBLE_CONFIG=/dev/null ANSIBLE_COLLECTIONS_PATH=$work/installed
for playbook in "$work"/installed/ansible_collections/selfhosted/kubernetes/playbooks/*.yml; do
    name=$(basename "$playbook" .yml)
    echo "selfhosted.kubernetes.$name"
    ansible-playbook -i "$work/installed/ansible_collections/selfhosted/kubernetes/inventories/lab" --syntax-check "selfhosted.kubernetes.$name" >/dev/null
done
python3 -m galaxy_importer.main "$tarball" 2>&1 | tee "$work/importer.log" | grep -vE '^INFO' || true
grep -q 'Importer processing completed successfully' "$work/importer.log" || { cat "$work/importer.log"; exit 1; }
