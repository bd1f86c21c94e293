#!/usr/bin/env bash
# Measures what clients notice when a cluster of two nodes becomes one of three, by a
# start, and of two again, by SIGTERM, with a million keys of 100 bytes, at half of the
# rate that the two nodes reach at most: how long the moves take, the latency meanwhile
# beside the one right before, requests that failed, and keys that are missing at the end.
#
#   scripts/bench-moves.sh [KEYS [CLIENTS [ROUNDS]]]     1000000 keys, 100 clients, 3 rounds
#
# The rate that two nodes reach is the median of five probes. SMACHE is the program to
# measure, RATE the requests a second in place of half of what is found, STEADY how long the
# steady load of each round lasts (8s). Nodes and generator share this machine's processors.
# docs/BENCHMARKS.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
keys=${1:-1000000}
clients=${2:-100}
rounds=${3:-3}
steady=${STEADY:-8s}

# shellcheck source=scripts/measure.sh
. scripts/measure.sh
build
secret=$("$smache" secret)
base=12300

# node INDEX starts a node, and leaves its process id in $started.
node() {
  local port=$((base + $1))
  "$smache" serve --listen "127.0.0.1:$port" --name "n$1" --join "127.0.0.1:$base,127.0.0.1:$((base + 1))" \
    --secret "$secret" --memory "${MEMORY:-768MiB}" --move-rate "${MOVE_RATE:-64MiB}" 2>"$dir/n$1.log" &
  started=$!
  pids+=("$started")
}
settled() {
  "$smache" status --server "127.0.0.1:$((base + $1))" --wait 60s >/dev/null || { tail -n 3 "$dir"/n*.log >&2; exit 1; }
}
entries() {
  local sum=0 n
  for n in "$@"; do
    sum=$((sum + $(curl -s "http://127.0.0.1:$((base + n))/metrics" | awk '/^smache_entries /{print $2}')))
  done
  echo "$sum"
}
mixed=("$smache" bench mixed --addr "127.0.0.1:$base" --clients "$clients" --keys "$keys" --value-size 100 --written --quiet --json)
# figure NAME FILE prints a figure of a result's latencies.
figure() { grep -o '"latency_ms":{[^}]*}' "$2" | head -n 1 | sed "s/.*\"$1\":\([0-9.]*\).*/\1/"; }
field() { grep -o "\"$1\":[0-9.]*" "$2" | head -n 1 | cut -d: -f2; }
failed() { grep -o '"failures":{[^}]*}' "$1" | grep -o '[0-9][0-9]*' | awk '{n += $1} END {print n + 0}'; }
# row TITLE TOOK FILE prints a row, and notes the ratio of its p99 under its title.
row() {
  local ratio
  ratio=$(awk -v a="$(figure p99 "$3")" -v b="$p99" 'BEGIN {printf "%.2f", a / b}')
  printf '%-28s %8s %10s %9s %9s %9s %8s %9s\n' "$1" "$2" "$(field ok "$3")" "$(figure p50 "$3")" "$(figure p99 "$3")" \
    "$(figure max "$3")" "$ratio" "$(failed "$3")"
  echo "$ratio" >>"$dir/$1"
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
"$smache" bench post --addr "127.0.0.1:$base" --clients 100 --requests "$keys" --keys "$keys" --value-size 100 --order sequential --quiet >/dev/null
for _ in 1 2 3 4 5; do
  "${mixed[@]}" --duration 2s >"$dir/most.json"
  field requests_per_second "$dir/most.json"
done >"$dir/most"
rate=${RATE:-$(($(median <"$dir/most" | cut -d. -f1) / 2))}
echo "$keys keys of 100 bytes, 9 reads to 1 write, $rate requests a second, $clients clients; latencies in ms"
echo "requests a second in the probes: $(sort -n "$dir/most" | cut -d. -f1 | xargs)"
printf '%-28s %8s %10s %9s %9s %9s %8s %9s\n' "" took answered p50 p99 max ratio failed
for _ in $(seq "$rounds"); do
  "${mixed[@]}" --rate "$rate" --duration "$steady" >"$dir/steady.json"
  p99=$(figure p99 "$dir/steady.json")
  row "two nodes" "-" "$dir/steady.json"
  change() { node 2; }
  during "a third one joins" 0 1 2
  three=$(entries 0 1 2)
  change() {
    kill -TERM "$started"
    wait "$started"
    pids=("${pids[@]:0:2}")
  }
  during "it leaves" 0 1
  echo "entries on the three: $three, on the two: $(entries 0 1)"
done
for title in "a third one joins" "it leaves"; do
  echo "p99 over the steady one, $title: $(median <"$dir/$title") $(extremes <"$dir/$title")"
done
"${mixed[@]}" --read-share 1 --order sequential --requests "$keys" >"$dir/read.json" || true
echo "read again: $(field ok "$dir/read.json") of $keys"
