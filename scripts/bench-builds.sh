#!/usr/bin/env bash
# Compares builds or settings of Smache by the server's CPU time per request, in
# interleaved rounds, with wrk as the generator.
#
#   scripts/bench-builds.sh SCENARIO ROUNDS SECONDS COMMAND…
#   scripts/bench-builds.sh get 5 3 ./smache-before ./smache-after
#   scripts/bench-builds.sh mget 5 3 ./smache "env GOGC=400 ./smache"
#
# SCENARIO: get (one hot key), random (keys among KEYS, 200000), mget (100 random keys
# of those). Each COMMAND is started once, as `COMMAND serve …`, and each round begins
# with another of them; ratios are to the first. CLIENTS is 900. docs/PERFORMANCE.md holds
# results.
set -euo pipefail
scenario=$1 rounds=$2 seconds=$3
shift 3
keys=${KEYS:-200000}
clients=${CLIENTS:-900}
# shellcheck source=scripts/measure.sh
. "$(dirname "$0")/measure.sh"
addrs=()

case $scenario in
get) body='return wrk.format("GET", "/api?key=bench-0000000000")' ;;
random) body='return wrk.format("GET", string.format("/api?key=bench-%010d", math.random(0, keys - 1)))' ;;
mget) body='local k = {}
  for i = 1, 100 do k[i] = string.format("\"bench-%010d\"", math.random(0, keys - 1)) end
  return wrk.format("POST", "/api/mget", {["Content-Type"] = "application/json"},
    "{\"keys\":[" .. table.concat(k, ",") .. "]}")' ;;
*)
  echo "bench-builds.sh: no scenario $scenario" >&2
  exit 2
  ;;
esac
# Requests are made before the clock starts, so that making them costs wrk little.
cat >"$dir/load.lua" <<LUA
local keys = $keys
local function make() $body end
local made, at = {}, 0
function init() for i = 1, 2000 do made[i] = make() end end
function request() at = at % #made + 1; return made[at] end
LUA

start() {
  local log="$dir/$1.log" address
  shift
  : >"$log"
  local -a command
  read -r -a command <<<"$1"
  "${command[@]}" serve --listen 127.0.0.1:0 --memory 512MiB --log-format json 2>"$log" &
  pids+=($!)
  address=$(address_in "$log")
  addrs+=("$address")
  "${command[@]}" bench post --addr "$address" --clients 100 --requests "$keys" --keys "$keys" --order sequential --quiet >/dev/null
}
n=0
for command in "$@"; do
  start $n "$command"
  n=$((n + 1))
done

for round in $(seq "$rounds"); do
  for ((k = 0; k < n; k++)); do
    i=$(((k + round) % n))
    before=$(cpu "${pids[i]}")
    wrk -t1 -c"$clients" -d"${seconds}s" -s "$dir/load.lua" "http://${addrs[i]}" >"$dir/out"
    after=$(cpu "${pids[i]}")
    if grep -E 'Non-2xx|Socket errors' "$dir/out" >&2; then exit 1; fi
    each $((after - before)) "$(awk '/requests in/ {print $1}' "$dir/out")" >>"$dir/us.$i"
  done
done
for ((i = 0; i < n; i++)); do
  paste "$dir/us.$i" "$dir/us.0" | awk '{printf "%.3f\n", $1 / $2}' >"$dir/ratio.$i"
  i_command=$((i + 1))
  printf '%8s µs %s  %6s %s  %s\n' "$(median <"$dir/us.$i")" "$(extremes <"$dir/us.$i")" \
    "$(median <"$dir/ratio.$i")" "$(extremes <"$dir/ratio.$i")" "${!i_command}"
done
