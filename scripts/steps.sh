#!/usr/bin/env bash
# Sourced: run a script's steps one after another, say which one runs, and print a table of times at the end.
STEPS_STARTED=$SECONDS
STEPS_TABLE=""
STEPS_NUMBER=0

step() { # step TITLE COMMAND...
    local title=$1 began=$SECONDS
    shift
    STEPS_NUMBER=$((STEPS_NUMBER + 1))
    printf '\n[%d of %d] %s (%d:%02d elapsed)\n' "$STEPS_NUMBER" "${STEPS_TOTAL:?}" "$title" $(((began - STEPS_STARTED) / 60)) $(((began - STEPS_STARTED) % 60))
    "$@" || { printf '\nfailed: %s, after %d s\n' "$title" $((SECONDS - began)); exit 1; }
    STEPS_TABLE+=$(printf '  %4d s  %s' $((SECONDS - began)) "$title")$'\n'
}

steps_report() { printf '\n%s  %4d s  in all\n' "$STEPS_TABLE" $((SECONDS - STEPS_STARTED)); }
