# Sourced by .ci/run and .ci/checks: named steps, their times, and one closing line.
# Every step runs, also after a failure; a failure is never forgotten.

set -euo pipefail

# step NAME COMMAND...: runs it and notes its exit status, seconds and name.
step() {
    local name=$1 started=$SECONDS status
    shift
    printf '\n==> %s: %s\n' "$name" "$*"
    set +e # not `|| status=$?`: that would switch off -e inside the command too
    (
        set -e
        "$@"
    ) </dev/null
    status=$?
    set -e
    printf '%s\t%s\t%s\n' "$status" "$((SECONDS - started))" "$name" >>"$STEPS_DIR/steps.tsv"
    [ "$status" -eq 0 ] || printf '==> %s FAILED with exit status %s\n' "$name" "$status"
}

# tests NAME COMMAND...: a step whose command runs pytest; its report is kept for the closing line.
tests() {
    PYTEST_ADDOPTS="--junitxml='$STEPS_DIR/${1// /-}.xml'" step "$@"
}

# closing_line: the time of every step, then "N passed, N failed"; fails when a step did.
closing_line() {
    python3 .ci/closing_line.py "$STEPS_DIR"
}
