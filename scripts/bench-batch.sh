#!/usr/bin/env bash
# Measures what a batch over three nodes costs: CPU time (user and system time of all
# three processes) of one mget of 100 keys against that of 100 GETs of single keys,
# both through the same node, in interleaved rounds.
#
#   scripts/bench-batch.sh [ROUNDS [KEYS]]     5 rounds, random keys among 200000
#
# SINGLES and BATCHES are the requests of a round (60000, 3000), CLIENTS and
# BATCH_CLIENTS their connections (900, 50), BATCH the keys of a batch (100).
# docs/BENCHMARKS.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} keys=${2:-200000}
singles=${SINGLES:-60000} batches=${BATCHES:-3000} batch=${BATCH:-100}
base=${PORT:-11300}

# shellcheck source=scripts/measure.sh
. scripts/measure.sh
build
"$smache" secret >"$dir/secret"
chmod 600 "$dir/secret"

for i in 0 1 2; do
  "$smache" serve --listen "127.0.0.1:$((base + i))" --name "smache@$i" --join "127.0.0.1:$base" \
    --secret-file "$dir/secret" --memory "${MEMORY:-512MiB}" 2>"$dir/$i.log" &
  pids+=("$!")
done
for i in 0 1 2; do
  "$smache" status --server "127.0.0.1:$((base + i))" --wait 60s >/dev/null || { cat "$dir"/*.log >&2; exit 1; }
done
members=$(curl -s "http://127.0.0.1:$base/cluster" | grep -o '"state":"serving"' | wc -l)
((members == 3)) || { echo "bench-batch.sh: $members nodes in place of 3" >&2; exit 1; }


# measure SCENARIO CLIENTS REQUESTS FLAGS… prints the nodes' CPU per request in µs.
measure() {
  "$smache" bench "$1" --addr "127.0.0.1:$base" --clients "$2" --requests "$3" --keys "$keys" --batch "$batch" --warmup 300ms --quiet --csv \
    "${pids[@]/#/--server-pid=}" "${@:4}" >"$dir/row" || { cat "$dir/row" >&2; exit 1; }
  sed -n 2p "$dir/row" | sed 's/"[^"]*"/q/g' | cut -d, -f25
}

measure get 50 1000 >/dev/null # which writes the keys
echo "CPU of three nodes in µs, $keys keys, $rounds rounds"
printf '%-10s %14s %16s %8s\n' round "$batch GETs" "one mget" ratio
for round in $(seq "$rounds"); do
  single=$(measure get "${CLIENTS:-900}" "$singles" --written)
  many=$(measure mget "${BATCH_CLIENTS:-50}" "$batches" --written)
  awk -v r="$round" -v s="$single" -v m="$many" -v n="$batch" 'BEGIN {printf "%-10d %14.1f %16.1f %8.4f\n", r, s * n, m, m / s / n}' | tee -a "$dir/rounds"
done
printf '%-10s %14s %16s %8s   %s\n' median "$(awk '{print $2}' "$dir/rounds" | median)" "$(awk '{print $3}' "$dir/rounds" | median)" \
  "$(awk '{print $4}' "$dir/rounds" | median)" "$(awk '{print $4}' "$dir/rounds" | extremes)"
