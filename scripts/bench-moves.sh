#!/usr/bin/env bash
# Measures what clients notice when a cluster of two nodes becomes one of three, by a
# start, and of two again, by SIGTERM, with a million keys of 100 bytes, at half of the
# rate that the two nodes reach at most: how long the moves take, the latency meanwhile
# beside the one before, requests that failed, and keys that are missing at the end.
#
#   scripts/bench-moves.sh [KEYS [CLIENTS]]     1000000 keys, 100 clients
#
# Nodes and generator share this machine's processors. docs/BENCHMARKS.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
keys=${1:-1000000}
clients=${2:-100}
steady=${STEADY:-8s}

# shellcheck source=scripts/measure.sh
. scripts/measure.sh
CGO_ENABLED=0 go build -trimpath -o "$dir/smache" ./cmd/smache
secret=$("$dir/smache" secret)
base=12300

# node INDEX starts a node, and leaves its process id in $started.
node() {
  local port=$((base + $1))
  "$dir/smache" serve --listen "127.0.0.1:$port" --name "n$1" --join "127.0.0.1:$base,127.0.0.1:$((base + 1))" \
    --secret "$secret" --memory "${MEMORY:-768MiB}" --move-rate "${MOVE_RATE:-64MiB}" 2>"$dir/n$1.log" &
  started=$!
  pids+=("$started")
}
settled() {
  "$dir/smache" status --server "127.0.0.1:$((base + $1))" --wait 60s >/dev/null || { tail -n 3 "$dir"/n*.log >&2; exit 1; }
}
entries() {
  local sum=0 n
  for n in "$@"; do
    sum=$((sum + $(curl -s "http://127.0.0.1:$((base + n))/metrics" | awk '/^smache_entries /{print $2}')))
  done
  echo "$sum"
}
mixed=("$dir/smache" bench mixed --addr "127.0.0.1:$base" --clients "$clients" --keys "$keys" --value-size 100 --written --quiet --json)
# figure NAME FILE prints a figure of a result's latencies.
figure() { grep -o '"latency_ms":{[^}]*}' "$2" | head -n 1 | sed "s/.*\"$1\":\([0-9.]*\).*/\1/"; }
field() { grep -o "\"$1\":[0-9.]*" "$2" | head -n 1 | cut -d: -f2; }
failed() { grep -o '"failures":{[^}]*}' "$1" | grep -o '[0-9][0-9]*' | awk '{n += $1} END {print n + 0}'; }
row() {
  printf '%-28s %8s %10s %9s %9s %9s %8s %9s\n' "$1" "$2" "$(field ok "$3")" "$(figure p50 "$3")" "$(figure p99 "$3")" \
    "$(figure max "$3")" "$(awk -v a="$(figure p99 "$3")" -v b="$p99" 'BEGIN {printf "%.2f", a / b}')" "$(failed "$3")"
}
# during TITLE measures until the nodes given have settled; what begins the move is in
# the function change.
during() {
  local title=$1 began took load
  shift
  "${mixed[@]}" --rate "$rate" --duration 180s >"$dir/move.json" &
  load=$!
  sleep 0.5
  began=$(date +%s%N)
  change
  for n in "$@"; do settled "$n"; done
  took=$((($(date +%s%N) - began) / 1000000))
  kill -TERM "$load"
  wait "$load" || true
  row "$title" "$(awk -v ms=$took 'BEGIN {printf "%.1f s", ms / 1000}')" "$dir/move.json"
}

node 0
node 1
settled 0
settled 1
"$dir/smache" bench post --addr "127.0.0.1:$base" --clients 100 --requests "$keys" --keys "$keys" --value-size 100 --order sequential --quiet >/dev/null
"${mixed[@]}" --duration 3s >"$dir/most.json"
rate=$(awk -v r="$(field requests_per_second "$dir/most.json")" 'BEGIN {printf "%d", r / 2}')
"${mixed[@]}" --rate "$rate" --duration "$steady" >"$dir/steady.json"
p99=$(figure p99 "$dir/steady.json")
echo "$keys keys of 100 bytes, 9 reads to 1 write, $rate requests a second, $clients clients; latencies in ms"
printf '%-28s %8s %10s %9s %9s %9s %8s %9s\n' "" took answered p50 p99 max ratio failed
row "two nodes" "-" "$dir/steady.json"
change() { node 2; }
during "a third one joins" 0 1 2
echo "entries on the three: $(entries 0 1 2)"
change() { kill -TERM "$started"; wait "$started"; }
during "it leaves" 0 1
echo "entries on the two: $(entries 0 1)"
"${mixed[@]}" --read-share 1 --order sequential --requests "$keys" >"$dir/read.json" || true
echo "read again: $(field ok "$dir/read.json") of $keys"
