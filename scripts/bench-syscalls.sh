#!/usr/bin/env bash
# Counts system calls and context switches per request, by kind, of what a node does often:
# one node, and both of an encrypted cluster where the key is on the other one.
#
#   scripts/bench-syscalls.sh [REQUESTS]     200000 requests; a fiftieth of that of batches,
#                                            and a tenth by one client
#
# CLIENTS is 900; PORTS are those of one node and of two ("10520 10521 10522"); SMACHE is
# the program to look at, if not one that is built from here. Needs perf, with the right to
# trace (root, or kernel.perf_event_paranoid of -1). docs/PERFORMANCE.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
requests=${1:-200000}
clients=${CLIENTS:-900}
read -r alone first second <<<"${PORTS:-10520 10521 10522}"
# shellcheck source=scripts/measure.sh
. scripts/measure.sh

build
flags=(--memory 256MiB --max-connections $((clients + 200)))
one_node "$smache" "$alone" "${flags[@]}"
two_nodes "$smache" "$first" "$second" "${flags[@]}"
for port in "$alone" "$first"; do # what is read
  "$smache" bench post --addr "$port" --clients 100 --requests 20000 --keys 20000 --order sequential --quiet >/dev/null
done

# counted TITLE PID,PID… REQUESTS COMMAND… prints the calls of the processes per request
# while the command runs; those of less than a thousandth are left out.
counted() {
  local title=$1 who=$2 n=$3
  shift 3
  perf stat -x, -o "$dir/stat" -e 'syscalls:sys_enter_*,context-switches' -p "$who" -- "$@" >"$dir/out" 2>&1 || { cat "$dir/out" >&2; exit 1; }
  awk -F, -v n="$n" '$1 + 0 > 0 {sub(/.*sys_enter_/, "", $3); v = $1 / n; if (v >= 0.001) printf "%s %.3f\n", $3, v
    if ($3 !~ /switches/) all += v} END {printf "all %.3f\n", all}' "$dir/stat" |
    sort -k2,2 -rn | awk -v title="$title" 'BEGIN {printf "%-36s", title} {printf " %s %s ", $1, $2} END {print ""}'
}
# bench REQUESTS SCENARIO PORT PIDS FLAGS… counts a run of smache bench.
bench() {
  counted "$2 ${*:5}" "$4" "$1" "$smache" bench "$2" --addr "$3" --requests "$1" --quiet "${@:5}"
}
both=$(IFS=, && echo "${two[*]}")
batches=$((requests / 50)) few=$((requests / 10))
bench "$requests" control "$alone" "$one" --clients "$clients"
bench "$requests" get "$alone" "$one" --clients "$clients" --written
bench "$requests" post "$alone" "$one" --clients "$clients" --vary --key-prefix other-
bench "$batches" mget "$alone" "$one" --clients 50 --keys 20000 --written
# The keys of remote are those of the other node; of a batch's half are there.
bench "$requests" remote "$first" "$both" --clients "$clients" --keys 900
bench "$requests" post "$first" "$both" --clients "$clients" --keys 900 --vary --remote --key-prefix other-
bench "$batches" mget "$first" "$both" --clients 50 --keys 20000 --written
bench "$few" get "$alone" "$one" --clients 1 --written
bench "$few" post "$alone" "$one" --clients 1 --vary --key-prefix other-
bench "$few" remote "$first" "$both" --clients 1 --keys 900
bench "$few" post "$first" "$both" --clients 1 --keys 900 --vary --remote --key-prefix other-
