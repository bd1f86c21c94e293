#!/usr/bin/env bash
# Measures what the turning ring costs reads over HTTP: the latency of GET hits, at
# about half load, on a node whose arena is full and turns and on one whose arena
# stays half empty, in interleaved rounds.
#
#   scripts/bench-wrap.sh [ROUNDS [SECONDS]]     5 rounds of 4 seconds
#
# Both nodes take the same requests: two clients read 20,000 quiet keys, one rewrites
# 30,000 others with new values. The nodes differ in --memory alone.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
seconds=${2:-4}

# shellcheck source=scripts/measure.sh
. scripts/measure.sh
CGO_ENABLED=0 go build -trimpath -o "$dir/smache" ./cmd/smache

turning='' roomy=''
# node MEMORY NAME starts a node and leaves its address in the variable NAME.
node() {
  local address
  : >"$dir/$2.log"
  "$dir/smache" serve --listen 127.0.0.1:0 --memory "$1" --log-format json 2>"$dir/$2.log" &
  pids+=("$!")
  address=$(address_in "$dir/$2.log")
  printf -v "$2" %s "$address"
}
node 128MiB turning
node 1GiB roomy

for address in "$turning" "$roomy"; do
  "$dir/smache" bench post --addr "$address" --clients 100 --requests 20000 --keys 20000 --key-prefix quiet- \
    --order sequential --quiet >/dev/null
done

# wear ADDRESS rewrites keys for ever; each round has values of another length.
wear() {
  local size=200 child=
  trap 'kill -9 "$child"; exit' TERM
  while :; do
    size=$((size < 250 ? size + 1 : 200))
    "$dir/smache" bench post --addr "$1" --clients 1 --requests 30000 --keys 30000 --value-size $size \
      --order sequential --quiet >/dev/null &
    child=$!
    wait "$child" || return
  done
}

# measure ADDRESS FILE adds a line of p50, p99, p99.9 and longest, in ms.
measure() {
  wear "$1" &
  local wearer=$!
  "$dir/smache" bench get --addr "$1" --clients 2 --keys 20000 --key-prefix quiet- --written \
    --warmup 2s --duration "${seconds}s" --quiet >"$dir/out"
  kill "$wearer"
  wait "$wearer" 2>/dev/null || true
  awk '/^ *50%/ {a = $2} /^ *99%/ {b = $2} /^ *99.9%/ {c = $2} /^ *100%/ {d = $2} /Requests per second/ {r = $4}
    END {print a, b, c, d, r}' "$dir/out" | tee -a "$2"
}

for n in $(seq "$rounds"); do
  echo "round $n: p50, p99, p99.9, longest (ms), requests/s; turning, then half-empty"
  measure "$turning" "$dir/turning"
  measure "$roomy" "$dir/roomy"
done
echo "p99.9, turning over half-empty, by round:"
paste -d' ' "$dir/turning" "$dir/roomy" | awk '{printf "%.2f\n", $3 / $8}' | sort -n | tr '\n' ' '
echo
for which in turning roomy; do
  curl -s "http://${!which}/metrics" | awk -v w="$which" '/^smache_(arena_bytes|arena_written_bytes_total|evictions_total|arena_moved_total) / {print w, $1, $2}'
done
