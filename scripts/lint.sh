#!/usr/bin/env bash
# Every linter, each with its own configuration file; none may say anything.
set -euo pipefail
cd "$(dirname "$0")/.."
yamllint --strict .
ruff check .
ruff format --check --diff .
# Through the collection's path, so that imports are the ones that Ansible sees.
(cd .lab/collections && MYPYPATH=. mypy --config-file ansible_collections/selfhosted/kubernetes/pyproject.toml -p ansible_collections.selfhosted.kubernetes.plugins)
shellcheck -x scripts/*.sh scripts/node_image/entrypoint .ci/run
python3 scripts/docs.py --check
ansible-lint --offline
