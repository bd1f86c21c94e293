#!/usr/bin/env bash
# Measures the server's CPU time per request (user and system time of the server
# process over requests) of Smache against a bare fasthttp server that answers the
# same bytes, in rounds that begin with either in turn, and prints the medians.
#
#   scripts/bench-cpu.sh [ROUNDS [REQUESTS]]     5 rounds of 200000 requests
#
# Rows: control, POST of one record, again and again (which is no write after the
# first) and with other values each time, GET of one hot key, GET of random keys among a
# million. docs/BENCHMARKS.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
requests=${2:-200000}
clients=${CLIENTS:-900}
million=${KEYS:-1000000}

# shellcheck source=scripts/measure.sh
. scripts/measure.sh

CGO_ENABLED=0 go build -trimpath -o "$dir/smache" ./cmd/smache
CGO_ENABLED=0 go build -trimpath -o "$dir/baseline" ./engine/httpapi/baseline

: >"$dir/smache.log"
: >"$dir/baseline.log"
"$dir/smache" serve --listen 127.0.0.1:0 --memory "${MEMORY:-768MiB}" --name smache@127.0.0.1:4000 \
  --log-format json 2>"$dir/smache.log" &
smache=$!
pids+=("$smache")
"$dir/baseline" >"$dir/baseline.log" &
baseline=$!
pids+=("$baseline")

smache_addr=$(address_in "$dir/smache.log")
until [[ -s $dir/baseline.log ]]; do
  kill -0 "$baseline" || { echo "bench-cpu.sh: the baseline did not start" >&2; exit 1; }
  sleep 0.05
done
baseline_addr=$(head -n 1 "$dir/baseline.log")

# measure PID ADDR SCENARIO KEYS FLAGS… prints microseconds of server CPU per request.
measure() {
  local before after
  before=$(cpu "$1")
  "$dir/smache" bench "$3" --addr "$2" --clients "$clients" --requests "$requests" --keys "$4" --quiet --json \
    --written "${@:5}" >"$dir/result.json" || { cat "$dir/result.json" >&2; exit 1; }
  after=$(cpu "$1")
  each $((after - before)) "$requests"
}

# fill ADDR KEYS writes the keys, so that it is not counted.
fill() {
  "$dir/smache" bench post --addr "$1" --clients "$(($2 < 100 ? $2 : 100))" --requests "$2" --keys "$2" --order sequential --quiet >/dev/null
}


# row TITLE SCENARIO KEYS FLAGS… compares Smache with the baseline, which always answers
# for the first key and is not given the flags.
row() {
  local a b round
  : >"$dir/a"
  : >"$dir/b"
  : >"$dir/r"
  if [[ $2 == get ]]; then
    fill "$smache_addr" "$3"
    fill "$baseline_addr" 1
  fi
  for round in $(seq "$rounds"); do
    if ((round % 2)); then a=$(measure "$smache" "$smache_addr" "$2" "$3" "${@:4}"); fi
    b=$(measure "$baseline" "$baseline_addr" "$2" 1)
    if ((round % 2 == 0)); then a=$(measure "$smache" "$smache_addr" "$2" "$3" "${@:4}"); fi
    echo "$a" >>"$dir/a"
    echo "$b" >>"$dir/b"
    awk -v a="$a" -v b="$b" 'BEGIN {printf "%.3f\n", a / b}' >>"$dir/r"
  done
  printf '%-28s %10s %10s %8s   %s\n' "$1" "$(median <"$dir/a")" "$(median <"$dir/b")" "$(median <"$dir/r")" "$(extremes <"$dir/r")"
}

echo "CPU of the server per request in µs, medians of $rounds rounds of $requests requests, $clients clients"
printf '%-28s %10s %10s %8s   %s\n' "" smache fasthttp ratio "(lowest .. highest)"
row "control" control 1
row "POST, one key" post 1
row "POST, other values" post 1 --vary
row "GET, one hot key" get 1
row "GET, random of $million" get "$million"
