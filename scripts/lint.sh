#!/usr/bin/env bash
# Every linter, each with its own configuration file; none may say anything.
set -euo pipefail
cd "$(dirname "$0")/.."
yamllint --strict .
ruff check .
ruff format --check --diff .
# Through the collection's path, so that imports are the ones that Ansible sees.
mypy
shellcheck -x scripts/*.sh scripts/node_image/entrypoint .ci/run
python3 scripts/docs.py --check
antsibull-changelog lint
# ansible-lint installs the collection into ANSIBLE_HOME and would go on using an old copy there.
ANSIBLE_HOME=$(mktemp -d)
export ANSIBLE_HOME
trap 'rm -rf "$ANSIBLE_HOME"' EXIT
ansible-lint --offline
