#!/usr/bin/env bash
# Compares builds by what two nodes of a cluster take for each request when requests come
# at a fixed rate, below what the nodes could do: CPU time of both nodes, the changes of
# threads a second, and the latency. Half of the keys are on the other node, a tenth of the
# requests are writes. Encrypted.
#
#   scripts/bench-open.sh RATE ROUNDS PROGRAM…       requests a second, rounds, builds
#   scripts/bench-open.sh 25000 5 ./smache-before ./smache-after
#
# A round starts two nodes of each build in turn, and begins with another build than the
# one before: a start may end in another state than the next
# (docs/PERFORMANCE.md, "A processor for each loop"). CLIENTS is 100, KEYS 100000, LASTS how long
# each measurement takes (5s). Ratios are to the first build.
set -euo pipefail
rate=$1 rounds=$2
shift 2
builds=("$@")
clients=${CLIENTS:-100}
keys=${KEYS:-100000}
lasts=${LASTS:-5s}
# shellcheck source=scripts/measure.sh
. "$(dirname "$0")/measure.sh"

switches() {
  local pid
  for pid; do cat "/proc/$pid"/task/*/status; done |
    awk '/_ctxt_switches/ {n += $2} END {printf "%.0f\n", n}'
}
port=12300
figure() { grep -o '"latency_ms":{[^}]*}' "$dir/result" | head -n 1 | sed "s/.*\"$1\":\([0-9.]*\).*/\1/"; }

# measure BUILD prints µs for each request, switches a second, p50 and p99.
measure() {
  port=$((port + 2))
  local before changes ok seconds
  two_nodes "$1" "$port" "$((port + 1))" --memory 256MiB
  local load=("$1" bench mixed --addr "127.0.0.1:$port" --clients "$clients" --keys "$keys" --quiet --json)
  "$1" bench post --addr "127.0.0.1:$port" --clients 100 --requests "$keys" --keys "$keys" --order sequential --quiet >/dev/null
  "${load[@]}" --written --rate "$rate" --duration 1s >/dev/null
  before=$(cpu "${two[@]}")
  changes=$(switches "${two[@]}")
  "${load[@]}" --written --rate "$rate" --duration "$lasts" >"$dir/result"
  ok=$(grep -o '"ok":[0-9]*' "$dir/result" | head -n 1 | cut -d: -f2)
  seconds=$(awk -v n="$ok" -v r="$rate" 'BEGIN {print n / r}')
  awk -v t="$(($(cpu "${two[@]}") - before))" -v n="$ok" -v s="$(($(switches "${two[@]}") - changes))" -v d="$seconds" \
    -v p50="$(figure p50)" -v p99="$(figure p99)" 'BEGIN {printf "%.1f %.0f %s %s\n", t / n / 1000, s / d, p50, p99}'
  stop
}

for ((round = 0; round < rounds; round++)); do
  for ((i = 0; i < ${#builds[@]}; i++)); do
    b=$(((round + i) % ${#builds[@]}))
    measure "${builds[b]}" >>"$dir/build$b"
  done
done

# column N FILE
column() { awk -v n="$1" '{print $n}' "$2"; }
echo "CPU of two nodes, $rate requests a second, 9 reads to 1 write, $clients clients, medians of $rounds starts"
printf '%-28s %8s %-18s %7s %12s %9s %9s\n' "" "µs" "(rounds)" "ratio" "switches/s" "p50, ms" "p99, ms"
for b in "${!builds[@]}"; do
  f=$dir/build$b
  paste <(column 1 "$f") <(column 1 "$dir/build0") | awk '{printf "%.3f\n", $1 / $2}' >"$f.ratio"
  printf '%-28s %8s %-18s %7s %12s %9s %9s\n' "${builds[b]}" "$(column 1 "$f" | median)" "$(column 1 "$f" | extremes)" \
    "$(median <"$f.ratio")" "$(column 2 "$f" | median)" "$(column 3 "$f" | median)" "$(column 4 "$f" | median)"
  sort -n "$f" | awk '{printf "    %s µs, %s switches a second, p50 %s, p99 %s\n", $1, $2, $3, $4}'
done
