#!/bin/sh
# Loads the node on PORT of this machine as the documented figures were taken:
# 900 keep-alive clients, 50,000 requests each of GET /, POST /api and
# GET /api?key=. With ab if it is installed, else with the bundled generator.
#
#   scripts/bench.sh [PORT]
#
# CLIENTS and REQUESTS change the load.
set -eu
cd "$(dirname "$0")/.."

port=${1:-4000}
clients=${CLIENTS:-900}
requests=${REQUESTS:-50000}

if ! command -v ab >/dev/null 2>&1; then
  echo "bench.sh: ab is not installed: using smache bench" >&2
  CGO_ENABLED=0 go build -trimpath -o bin/smache ./cmd/smache
  exec bin/smache bench --addr "127.0.0.1:$port" --clients "$clients" --requests "$requests"
fi

record=$(mktemp)
trap 'rm -f "$record"' EXIT
trap 'exit 1' HUP INT TERM
printf '%s' '{"key":"bench","data":{"lat":52.520008,"lng":13.404954}}' >"$record"

run() {
  title=$1
  shift
  echo "== $title"
  report=$(ab -q -k -c "$clients" -n "$requests" "$@")
  echo "$report" | grep -E '^(Time taken|Complete|Failed|Non-2xx|Requests per second|  50%|  95%|  99%| 100%)'
}

run 'control: GET /' "http://127.0.0.1:$port/"
run 'POST /api' -T application/json -p "$record" "http://127.0.0.1:$port/api"
run 'GET /api?key=' "http://127.0.0.1:$port/api?key=bench"
