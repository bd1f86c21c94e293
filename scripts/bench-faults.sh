#!/usr/bin/env bash
# Measures what clients notice when one of four nodes dies (kill -9), or freezes (SIGSTOP),
# under an open load through the other three: after how long every key that it had held is
# writable again, the longest request, and requests that failed, by kind.
#
#   scripts/bench-faults.sh [KEYS [CLIENTS [ROUNDS]]]     20000 keys, 300 clients, 5 rounds of each
#
# Writable: from the signal until a batch that writes all keys of 2,000 that the node held,
# sent again and again to another node, is answered without a failure. The longest request
# is of all that a node has answered, failures too, as its access log says; "right" is that of
# right answers alone as the client sees it, from the moment when the request was due. Lost are
# reads of what the node took with it: P5 allows them. RATE is 3000 requests a second, 9 reads
# to 1 write; SMACHE the program to measure. Nodes and generators share this machine's processors.
# docs/BENCHMARKS.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
keys=${1:-20000}
clients=${2:-300}
rounds=${3:-5}
rate=${RATE:-3000}
probes=2000

# shellcheck source=scripts/measure.sh
. scripts/measure.sh
build
secret=$("$smache" secret)
base=12320
nodes=() # process ids

# node INDEX starts a node, with its access log in a file.
node() {
  local port=$((base + $1)) join=() other
  for other in 0 1 2 3; do join+=("127.0.0.1:$((base + other))"); done
  "$smache" serve --listen "127.0.0.1:$port" --name "n$1" --join "$(IFS=,; echo "${join[*]}")" \
    --secret "$secret" --memory "${MEMORY:-256MiB}" --access-log 1 >>"$dir/n$1.access" 2>>"$dir/n$1.log" &
  nodes[$1]=$!
  pids=("${nodes[@]}")
}
# settled waits until all nodes count four, and say that nothing moves.
settled() {
  local n
  for n in 0 1 2 3; do
    for _ in $(seq 1200); do
      if (($(curl -s "http://127.0.0.1:$((base + n))/cluster" | grep -o '"state":"serving"' | wc -l) == 4)); then break; fi
      sleep 0.05
    done
  done
  for n in 0 1 2 3; do
    "$smache" status --server "127.0.0.1:$((base + n))" --wait 60s >/dev/null || { tail -n 3 "$dir"/n*.log >&2; exit 1; }
  done
}
ask() { curl -s -H 'Content-Type: application/json' --data-binary "@$2" "http://127.0.0.1:$base/api/$1"; }
now() { echo "${EPOCHREALTIME/[.,]/}"; } # in µs

# batch KEY… prints a batch that writes the keys.
batch() { printf '%s\n' "$@" | awk '{printf "%s{\"key\":\"%s\",\"data\":{\"at\":%d}}", (NR > 1 ? "," : "{\"entries\":["), $1, NR} END {print "]}"}'; }

# fill writes all keys, and leaves in the batch $dir/held those of the probes that node 3 holds.
fill() {
  local from held
  "$smache" bench post --addr "127.0.0.1:$base" --clients 50 --requests "$keys" --keys "$keys" --value-size 100 --order sequential --quiet >/dev/null
  for ((from = 0; from < probes; from += 1000)); do
    # shellcheck disable=SC2046 # one word for each key
    batch $(seq -f 'probe-%.0f' "$from" $((from + 999))) >"$dir/probe"
    ask mset "$dir/probe" | grep -o '"key":"[^"]*","node":"n3"' | cut -d'"' -f4
  done >"$dir/names"
  mapfile -t held <"$dir/names"
  batch "${held[@]}" >"$dir/held"
  count=${#held[@]}
}

# sum PATTERN FILE… adds up the figures that follow a pattern in results.
sum() { cat "${@:2}" | { grep -o "\"$1\":[0-9]*" || true; } | cut -d: -f2 | awk '{n += $1} END {print n + 0}'; }

# round KIND SIGNAL measures one, prints its row, and notes its figures.
round() {
  local kind=$1 began took load loads=() n logs=("$dir/n0.access" "$dir/n1.access" "$dir/n2.access")
  fill
  for n in 0 1 2; do
    "$smache" bench mixed --addr "127.0.0.1:$((base + n))" --clients $((clients / 3)) --keys "$keys" --value-size 100 --seed $((RANDOM)) \
      --rate $((rate / 3)) --duration 120s --written --quiet --json >"$dir/load$n" &
    loads+=("$!")
  done
  pids+=("${loads[@]}")
  sleep 2
  for n in "${logs[@]}"; do : >"$n"; done
  began=$(now)
  kill "-$2" "${nodes[3]}"
  while ask mset "$dir/held" >"$dir/answer"; grep -q '"error"\|"code"' "$dir/answer" || ! grep -q '"results"' "$dir/answer"; do
    if (($(now) - began > 60000000)); then echo "keys are not writable within a minute" >&2; exit 1; fi
  done
  took=$((($(now) - began) / 1000))
  sleep 1
  kill -TERM "${loads[@]}"
  for load in "${loads[@]}"; do wait "$load" || true; done
  local right any busy unreachable lost other
  right=$(for n in 0 1 2; do grep -o '"latency_ms":{[^}]*}' "$dir/load$n" | head -n 1 | sed 's/.*"max":\([0-9.]*\).*/\1/'; done | sort -n | tail -n 1)
  any=$(cat "${logs[@]}" | grep -o '"ms":[0-9.]*' | cut -d: -f2 | sort -n | tail -n 1)
  busy=$(cat "${logs[@]}" | grep -c '"outcome":"busy"' || true)
  unreachable=$(cat "${logs[@]}" | grep -c '"outcome":"unreachable"' || true)
  lost=$(failures content)
  other=$(($(failures connect) + $(failures timeout) + $(failures closed) + $(failures malformed) + $(failures unsent) + $(failures unfinished)))
  printf '%-8s %6d %10d %10.0f %10.0f %6d %12d %6d %6d\n' "$kind" "$count" "$took" "$any" "$right" "$busy" "$unreachable" "$lost" "$other"
  awk -v t="$took" 'BEGIN {printf "%.2f\n", t / 1000}' >>"$dir/$kind.took"
  printf '%.0f\n' "$any" >>"$dir/$kind.any"
  pids=("${nodes[@]}")
  if [[ $2 == KILL ]]; then
    wait "${nodes[3]}" 2>/dev/null || true
    node 3
  else
    kill -CONT "${nodes[3]}"
  fi
  answering $((base + 3))
  settled
}
# failures KIND sums a kind over the three generators.
failures() { for n in 0 1 2; do grep -o '"failures":{[^}]*}' "$dir/load$n" | head -n 1; done >"$dir/failures"; sum "$1" "$dir/failures"; }

for n in 0 1 2 3; do node "$n"; done
for n in 0 1 2 3; do answering $((base + n)); done
settled
echo "four nodes, $keys keys of 100 bytes, 9 reads to 1 write, $rate requests a second through three of them, $clients clients; times in ms"
printf '%-8s %6s %10s %10s %10s %6s %12s %6s %6s\n' "" held writable longest right busy unreachable lost other
for _ in $(seq "$rounds"); do
  round "kill -9" KILL
  round SIGSTOP STOP
done
for kind in "kill -9" SIGSTOP; do
  within=1
  [[ $kind == SIGSTOP ]] && within=5
  echo "$kind: writable after $(median <"$dir/$kind.took") s $(extremes <"$dir/$kind.took"), target $within; longest request $(median <"$dir/$kind.any") ms $(extremes <"$dir/$kind.any"), target 500"
done
for n in 0 1 2 3; do
  dropped=$(curl -s "http://127.0.0.1:$((base + n))/metrics" | awk '/^smache_access_log_lines_total{result="dropped"}/{print $2}')
  if ((dropped)); then echo "n$n has left out $dropped lines of its access log: the longest request may be another"; fi
done
