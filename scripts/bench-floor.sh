#!/usr/bin/env bash
# Compares the CPU time of a GET, in rounds whose order is shuffled: Smache, bare fasthttp, nginx
# and memcached with about the same answer, and a C program that does nothing but
# read and write (the floor). Needs cc, curl, nginx and memcached. A further build
# of Smache can be named to be compared, too.
#
#   scripts/bench-floor.sh [ROUNDS [REQUESTS [SMACHE]]]     5 rounds of 60000 requests
#
# Prints microseconds of each server's CPU per request, medians and extremes, and the
# ratio to the floor. CLIENTS is 900, PORT the first of six ports, 24100.
# docs/PERFORMANCE.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5} requests=${2:-60000} other=${3:-}
clients=${CLIENTS:-900} port=${PORT:-24100}
PATH=$PATH:/usr/sbin
# shellcheck source=scripts/measure.sh
. scripts/measure.sh
names=() servers=() ports=() files=()

cc -O2 -pthread -o "$dir/floor" scripts/floor/floor.c
cc -O2 -o "$dir/clients" scripts/floor/clients.c
CGO_ENABLED=0 go build -trimpath -o "$dir/smache" ./cmd/smache
CGO_ENABLED=0 go build -trimpath -o "$dir/baseline" ./engine/httpapi/baseline
value='{"id":"bench-0000000000","lat":59.574730,"lng":116.663252}'
printf 'GET /api?key=bench-0000000000 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n' >"$dir/http"
printf 'get bench-0000000000\r\n' >"$dir/text"

# began NAME PORT FILE PID… notes a server that was just started, and waits until it
# answers.
began() {
  names+=("$1") ports+=("$2") files+=("$dir/$3") servers+=("${*:4}")
  pids+=("${@:4}")
  if [[ $3 == text ]]; then answering "$2" 'version\r\n'; else answering "$2"; fi
}
smache() { # NAME PROGRAM PORT
  "$2" serve --listen "127.0.0.1:$3" --name smache@127.0.0.1:4000 2>/dev/null &
  began "$1" "$3" http $!
  curl -fsS -o "$dir/post" -H 'Content-Type: application/json' -d "{\"key\":\"bench-0000000000\",\"data\":$value}" "http://127.0.0.1:$3/api"
}

"$dir/floor" "$port" &
began floor "$port" http $!
smache smache "$dir/smache" $((port + 1))
if [[ -n $other ]]; then smache "$other" "$other" $((port + 2)); fi
"$dir/baseline" >"$dir/baseline.log" &
base=$!
while [[ ! -s $dir/baseline.log ]]; do sleep 0.1; done
began fasthttp "$(sed 's/.*://' "$dir/baseline.log")" http "$base"
nginx_on $((port + 3))
began nginx $((port + 3)) http "${nginx_pids[@]}"
memcached -u nobody -l 127.0.0.1 -p $((port + 4)) -t 2 -c 4096 &
began memcached $((port + 4)) text $!
exec 5<>"/dev/tcp/127.0.0.1/$((port + 4))"
printf 'set bench-0000000000 0 0 %d\r\n%s\r\n' ${#value} "$value" >&5
read -r _ <&5
exec 5>&-

for _ in $(seq "$rounds"); do
  for i in $(shuf -e "${!names[@]}"); do
    read -ra of <<<"${servers[i]}"
    before=$(cpu "${of[@]}")
    "$dir/clients" "${ports[i]}" "$clients" "$requests" "${files[i]}"
    each $(($(cpu "${of[@]}") - before)) "$requests" >>"$dir/us.$i"
  done
done
floor=$(median <"$dir/us.0")
for i in "${!names[@]}"; do
  us=$(median <"$dir/us.$i")
  printf '%-12s %7s µs %s  %s\n' "${names[i]}" "$us" "$(extremes <"$dir/us.$i")" "$(awk -v a="$us" -v b="$floor" 'BEGIN {printf "%.2f", a / b}')"
done
