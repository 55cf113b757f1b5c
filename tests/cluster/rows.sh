#!/usr/bin/env bash
# rows.sh ROW...: runs rows of the tests on the login host of a cluster that nodes.sh made (lib.sh says what it needs).
. "$SOURCE/tests/cluster/lib.sh"
for rows in stop time fault disk shard pbs; do
    # shellcheck disable=SC1090 # one after the other
    . "$SOURCE/tests/cluster/${rows}_rows.sh"
done
# shellcheck disable=SC2034 # lib.sh
for row in "$@"; do
    soda_options=() STEPS=$USUAL_STEPS alone=$work/runs/alone
    "row_$row"
done
