#!/usr/bin/env bash
# Measures what a node costs that has nothing to do: a cluster of nodes on loopback
# without a client, the processor time of each over some seconds, and how often its
# threads were woken.
#
#   scripts/bench-idle.sh [NODES [SECONDS [BINARY]]]     4 nodes, 25 seconds
#
# docs/BENCHMARKS.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
nodes=${1:-4}
seconds=${2:-25}
binary=${3:-}

# shellcheck source=scripts/measure.sh
. scripts/measure.sh
if [[ -z $binary ]]; then
  binary=$dir/smache
  CGO_ENABLED=0 go build -trimpath -o "$binary" ./cmd/smache
fi
secret=$("$binary" secret)
base=${PORT:-7500}
for ((i = 0; i < nodes; i++)); do
  "$binary" serve --listen "127.0.0.1:$((base + i))" --name "n$i" --join "127.0.0.1:$base" \
    --secret "$secret" --memory 256MiB 2>"$dir/n$i.log" &
  pids+=("$!")
done
for ((i = 0; i < nodes; i++)); do
  "$binary" status --server "127.0.0.1:$((base + i))" --wait 60s >/dev/null || { tail -n 3 "$dir"/n*.log >&2; exit 1; }
done
sleep "${SETTLE:-15}" # what a start leaves to do: records are kept for some seconds, and the join list is tried

# ticks PID: user and system time, in hundredths of a second.
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
# switches PID: how often its threads went to sleep, or were made to.
switches() { cat /proc/"$1"/task/*/status | awk '/ctxt_switches/ {n += $2} END {print n}'; }
before=()
slept=()
for pid in "${pids[@]}"; do
  before+=("$(ticks "$pid")")
  slept+=("$(switches "$pid")")
done
began=$(date +%s%N)
sleep "$seconds"
took=$((($(date +%s%N) - began) / 1000000))
for i in "${!pids[@]}"; do
  awk -v name="n$i" -v t=$(($(ticks "${pids[i]}") - before[i])) -v s=$(($(switches "${pids[i]}") - slept[i])) -v ms=$took \
    'BEGIN {printf "%-4s %5.2f %% of a core %7.0f switches a second\n", name, t * 1000 / ms, s * 1000 / ms}'
done
