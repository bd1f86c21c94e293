#!/usr/bin/env bash
# Measures what a request costs that another node answers: CPU time per request
# (user and system time of both nodes over requests) of GETs of one hot key, through
# the node that holds it and through the other one, in interleaved rounds; then the
# same between two nodes without encryption.
#
#   scripts/bench-cluster.sh [ROUNDS [REQUESTS]]     5 rounds of 100000 requests
#
# docs/BENCHMARKS.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
requests=${2:-100000}
clients=${CLIENTS:-900}

# shellcheck source=scripts/measure.sh
. scripts/measure.sh
CGO_ENABLED=0 go build -trimpath -o "$dir/smache" ./cmd/smache
secret=$("$dir/smache" secret)

# node NAME PORT ARGUMENTS… starts a node, and leaves its process id in $started.
node() {
  local name=$1 port=$2
  shift 2
  "$dir/smache" serve --listen "127.0.0.1:$port" --name "$name" "$@" 2>"$dir/$name.log" &
  started=$!
  pids+=("$started")
}

# measure PID PID PORT prints microseconds of CPU per request of both processes.
measure() {
  local before after
  before=$(cpu "$1" "$2")
  "$dir/smache" bench get --addr "127.0.0.1:$3" --clients "$clients" --requests "$requests" --keys 1 --quiet --json \
    --written >"$dir/result.json" || { cat "$dir/result.json" >&2; exit 1; }
  after=$(cpu "$1" "$2")
  each $((after - before)) "$requests"
}

# pair TITLE PORT ARGUMENTS… measures between two nodes.
pair() {
  local title=$1 port=$2 a b here there local_cost remote_cost
  shift 2
  node "a$port" "$port" "$@"
  a=$started
  node "b$port" "$((port + 1))" --join "127.0.0.1:$port" "$@"
  b=$started
  "$dir/smache" status --server "127.0.0.1:$((port + 1))" --wait 60s >/dev/null
  "$dir/smache" bench post --addr "127.0.0.1:$port" --clients 1 --requests 1 --keys 1 --quiet >/dev/null
  : >"$dir/x"
  : >"$dir/y"
  : >"$dir/r"
  here=$port
  there=$((port + 1))
  if [[ $(curl -s "http://127.0.0.1:$port/metrics" | awk '/^smache_entries /{print $2}') == 0 ]]; then
    here=$((port + 1))
    there=$port
  fi
  for _ in $(seq "$rounds"); do
    local_cost=$(measure "$a" "$b" "$here")
    remote_cost=$(measure "$a" "$b" "$there")
    echo "$local_cost" >>"$dir/x"
    echo "$remote_cost" >>"$dir/y"
    awk -v a="$remote_cost" -v b="$local_cost" 'BEGIN {printf "%.3f\n", a / b}' >>"$dir/r"
  done
  printf '%-12s %10s %10s %8s   %s\n' "$title" "$(median <"$dir/x")" "$(median <"$dir/y")" "$(median <"$dir/r")" "$(extremes <"$dir/r")"
  stop
}

echo "CPU of two nodes per GET in µs, medians of $rounds rounds of $requests requests, $clients clients"
printf '%-12s %10s %10s %8s   %s\n' "" holder other ratio "(lowest .. highest)"
pair encrypted 11200 --secret "$secret" --memory 256MiB
pair plain 11210 --insecure-cluster --memory 256MiB
