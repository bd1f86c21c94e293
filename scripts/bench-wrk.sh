#!/usr/bin/env bash
# Measures what load generators cost: CPU time (user and system) of smache bench, wrk and
# ab per request, each with one thread and the same keep-alive clients, in rounds
# whose order is shuffled; against nginx with a constant answer, and against a node. smache bench compares
# every answer, wrk and ab look at the status.
#
#   scripts/bench-wrk.sh [ROUNDS [SECONDS]]     5 rounds of 3 seconds
#
# CLIENTS is 900, PORT the first of two ports, 10510. SMACHE is the generator to measure, if
# not one that is built from here. Needs wrk, ab (apache2-utils) and nginx.
# docs/BENCHMARKS.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-3}
clients=${CLIENTS:-900} port=${PORT:-10510}
PATH=$PATH:/usr/sbin
for tool in wrk ab nginx; do
  command -v "$tool" >/dev/null || { echo "bench-wrk.sh: $tool is missing" >&2; exit 1; }
done
# shellcheck source=scripts/measure.sh
. scripts/measure.sh

CGO_ENABLED=0 go build -trimpath -o "$dir/smache" ./cmd/smache
generator=${SMACHE:-$dir/smache}
nginx_on "$port"
"$dir/smache" serve --listen "127.0.0.1:$((port + 1))" --memory 256MiB --max-connections $((clients + 200)) 2>"$dir/log" &
pids+=("$!")
answering $((port + 1))
"$dir/smache" bench post --addr $((port + 1)) --clients 1 --requests 1 --quiet >/dev/null # what is read

# measure GENERATOR PORT prints microseconds of the generator's CPU per request, all of its
# life included, and the requests a second.
measure() {
  local at="127.0.0.1:$2" self
  local -a command
  case $1 in
  smache) command=("$generator" bench get --written --addr "$at" --clients "$clients" --threads 1 --duration "${seconds}s" --quiet --csv) ;;
  wrk) command=(wrk -t1 "-c$clients" "-d${seconds}s" "http://$at/api?key=bench-0000000000") ;;
  ab) command=(ab -q -k -c "$clients" -t "$seconds" -n 100000000 "http://$at/api?key=bench-0000000000") ;;
  esac
  TIMEFORMAT='%R %U %S'
  self=$({ time "${command[@]}" >"$dir/out" 2>"$dir/err"; } 2>&1) || { cat "$dir/out" "$dir/err" >&2; exit 1; }
  if grep -E 'Non-2xx|Socket errors|^Failed requests: +[1-9]' "$dir/out" >&2; then exit 1; fi
  case $1 in
  smache) sed -n 2p "$dir/out" | sed 's/"[^"]*"/q/g' | cut -d, -f9 ;;
  wrk) awk '/requests in/ {print $1}' "$dir/out" ;;
  ab) awk '/^Complete requests/ {print $3}' "$dir/out" ;;
  esac | awk -v self="$self" '{split(self, s, " "); printf "%.2f %.0f\n", (s[2] + s[3]) / $1 * 1e6, $1 / s[1]}'
}

generators=(smache wrk ab)
for _ in $(seq "$rounds"); do
  for at in "$port" $((port + 1)); do
    for name in $(shuf -e "${generators[@]}"); do measure "$name" "$at" >>"$dir/$name.$at"; done
    paste "$dir/smache.$at" "$dir/wrk.$at" | tail -n 1 | awk '{printf "%.3f\n", $1 / $3}' >>"$dir/ratio.$at"
  done
done

echo "| CPU per request, µs (lowest .. highest); requests/s | smache bench | wrk | ab | of wrk's, by round |"
echo "| --- | --- | --- | --- | --- |"
for at in "$port" $((port + 1)); do
  if ((at == port)); then printf '| nginx, constant answer'; else printf '| a node, GET of one key'; fi
  for name in "${generators[@]}"; do
    cut -d' ' -f1 "$dir/$name.$at" >"$dir/us"
    printf ' | %.1f %s; %.0f' "$(median <"$dir/us")" "$(extremes <"$dir/us")" "$(cut -d' ' -f2 "$dir/$name.$at" | median)"
  done
  printf ' | %.2f %s |\n' "$(median <"$dir/ratio.$at")" "$(extremes <"$dir/ratio.$at")"
done
