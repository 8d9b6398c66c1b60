#!/usr/bin/env bash
# `make test`: what finds most comes first, what takes longest last.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/steps.sh
. scripts/steps.sh
STEPS_TOTAL=8
step "install what is missing" scripts/setup.sh
step "lint" scripts/lint.sh
step "unit tests" pytest -q tests/unit
step "package" scripts/package.sh
step "have every binary and image" ansible-playbook playbooks/artifacts.yml
step "scenario component" molecule test --scenario-name component
step "scenario default: the HA lab" molecule test --scenario-name default --destroy never
step "tests against the lab" scripts/test_lab.sh
steps_report
