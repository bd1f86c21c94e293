#!/usr/bin/env bash
# Counts system calls and context switches per request, by kind, of what a node does often:
# one node, and both of an encrypted cluster where the key is on the other one.
#
#   scripts/bench-syscalls.sh [REQUESTS]     200000 requests; a fiftieth of that of batches
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

smache=${SMACHE:-$dir/smache}
if [[ -z ${SMACHE:-} ]]; then CGO_ENABLED=0 go build -trimpath -o "$smache" ./cmd/smache; fi
flags=(--memory 256MiB --max-connections $((clients + 200)))
"$smache" serve --listen "127.0.0.1:$alone" "${flags[@]}" 2>"$dir/log" &
one=$!
pids+=("$one")
answering "$alone"
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
# bench SCENARIO PORT PIDS FLAGS… counts a run of smache bench.
bench() {
  local scenario=$1 port=$2 who=$3 n=$requests written=--written
  shift 3
  if [[ $scenario == remote ]]; then written=--written=false; fi # its keys are those of the other node
  if [[ $scenario == mget ]]; then n=$((requests / 50)); fi
  counted "$scenario $*" "$who" "$n" "$smache" bench "$scenario" --addr "$port" --requests "$n" --quiet "$written" "$@"
}
both=$(IFS=, && echo "${two[*]}")
bench control "$alone" "$one" --clients "$clients"
bench get "$alone" "$one" --clients "$clients"
bench post "$alone" "$one" --clients "$clients" --vary --key-prefix other-
bench mget "$alone" "$one" --clients 50 --keys 20000
bench remote "$first" "$both" --clients "$clients" --keys 900
