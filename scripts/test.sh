#!/usr/bin/env bash
# `make test`: what finds most comes first, what takes longest last.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/steps.sh
. scripts/steps.sh
STEPS_TOTAL=7
step "install what is missing" scripts/setup.sh
step "lint" scripts/lint.sh
step "unit tests" pytest -q -n 2 tests/unit
step "package" scripts/package.sh
step "have every binary and image" ansible-playbook playbooks/artifacts.yml
step "scenario component: the mechanism on a toy service" molecule test --scenario-name component
step "scenario default: an HA cluster from nothing, an unchanged re-run, tests against it" molecule test --scenario-name default
steps_report
