#!/usr/bin/env bash
# Measures what a request costs that another node answers: CPU time per request (user and
# system time of all nodes over requests) of one hot key, of a node alone, of two nodes
# through the one that holds it, and through the other one, in interleaved rounds; then the
# same with two nodes without encryption. The ratio is that of the last to the first.
#
#   scripts/bench-cluster.sh [ROUNDS [REQUESTS]]     5 rounds of 100000 requests
#
# CLIENTS is how many there are (900), OPS which requests ("get post"; each POST writes
# another value), and SMACHE the program to measure, if not one that is built from here.
# docs/BENCHMARKS.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
requests=${2:-100000}
clients=${CLIENTS:-900}
read -ra ops <<<"${OPS:-get post}"

# shellcheck source=scripts/measure.sh
. scripts/measure.sh
build
secret=$("$smache" secret)

# node NAME PORT ARGUMENTS… starts a node, and leaves its process id in $started.
node() {
  local name=$1 port=$2
  shift 2
  "$smache" serve --listen "127.0.0.1:$port" --name "$name" --memory 256MiB "$@" 2>"$dir/$name.log" &
  started=$!
  pids+=("$started")
}

# load OP PORT ARGUMENTS… sends a load, and checks that all went well.
load() {
  local op=$1 port=$2
  shift 2
  if [[ $op == get ]]; then set -- --written "$@"; fi
  "$smache" bench "$op" --addr "127.0.0.1:$port" --keys 1 --vary --quiet --json "$@" >"$dir/result.json" ||
    { cat "$dir/result.json" >&2; exit 1; }
}

# measure OP PORT PID… prints microseconds of CPU per request of the processes.
measure() {
  local op=$1 port=$2 before after
  shift 2
  before=$(cpu "$@")
  load "$op" "$port" --clients "$clients" --requests "$requests"
  after=$(cpu "$@")
  each $((after - before)) "$requests"
}

# two TITLE PORT ARGUMENTS… measures between two nodes, beside one alone.
two() {
  local title=$1 port=$2 a b one op at here there
  shift 2
  node "alone$port" "$((port + 2))"
  one=$started
  node "a$port" "$port" "$@"
  a=$started
  node "b$port" "$((port + 1))" --join "127.0.0.1:$port" "$@"
  b=$started
  answering "$((port + 2))"
  "$smache" status --server "127.0.0.1:$((port + 1))" --wait 60s >/dev/null
  for at in "$port" "$((port + 2))"; do
    load post "$at" --clients 1 --requests 1
  done
  here=$port
  there=$((port + 1))
  if [[ $(curl -s "http://127.0.0.1:$port/metrics" | awk '/^smache_entries /{print $2}') == 0 ]]; then
    here=$((port + 1))
    there=$port
  fi
  rm -f "$dir"/*.figures
  for _ in $(seq "$rounds"); do
    for op in "${ops[@]}"; do
      measure "$op" "$((port + 2))" "$one" >"$dir/alone"
      measure "$op" "$here" "$a" "$b" >"$dir/holder"
      measure "$op" "$there" "$a" "$b" >"$dir/other"
      for column in alone holder other; do cat "$dir/$column" >>"$dir/$op.$column.figures"; done
      paste "$dir/other" "$dir/alone" | awk '{printf "%.3f\n", $1 / $2}' >>"$dir/$op.ratio.figures"
    done
  done
  for op in "${ops[@]}"; do
    printf '%-18s' "$title, $op"
    for column in alone holder other ratio; do printf ' %9s' "$(median <"$dir/$op.$column.figures")"; done
    printf '   %s\n' "$(extremes <"$dir/$op.ratio.figures")"
  done
  stop
}

echo "CPU of all nodes per request in µs, medians of $rounds rounds of $requests requests, $clients clients"
printf '%-18s %9s %9s %9s %9s   %s\n' "" alone holder other ratio "(lowest .. highest)"
two encrypted 11200 --secret "$secret"
two plain 11210 --insecure-cluster
