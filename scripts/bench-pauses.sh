#!/usr/bin/env bash
# Measures the longest answer: an open loop at half of what the node can do, reads and
# writes alike, on a small arena that turns many times meanwhile.
#
#   scripts/bench-pauses.sh [SECONDS [RATE]]     600 seconds; half of a closed loop's rate
#
# Latency counts from the intended time of sending. The generator is on the same cores:
# how late it was itself stands beside it, for what held it up may have held the node up
# as well. SMACHE is the program to measure, if not one that is built from here.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
rate=${2:-}

# shellcheck source=scripts/measure.sh
. scripts/measure.sh
build

: >"$dir/log"
"$smache" serve --listen 127.0.0.1:0 --memory 160MiB --max-connections 300 --log-format json 2>"$dir/log" &
pids=("$!")
address=$(address_in "$dir/log")

load=(mixed --addr "$address" --clients 100 --keys 50000 --value-size 400 --read-share 0.5 --server-pid "${pids[0]}" --quiet)
if [[ -z $rate ]]; then
  rate=$("$smache" bench "${load[@]}" --warmup 2s --duration 5s | awk '/^Requests per second/ {printf "%d", $4 / 2}')
fi
"$smache" bench "${load[@]}" --rate "$rate" --warmup 2s --duration "${seconds}s" >"$dir/result"
metric() { curl -s "http://$address/metrics" | awk -v m="$1" '$1 == m {print $2}'; }
awk -v w="$(metric smache_arena_written_bytes_total)" -v a="$(metric smache_arena_bytes)" \
  'BEGIN {printf "the arena of %d MiB has turned %.1f times\n", a / 1048576, w / a}'
cat "$dir/result"
