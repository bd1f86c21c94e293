#!/usr/bin/env bash
# Compares Smache with others on this machine, all with the same generator (smache
# bench) and the same clients, in rounds, each of them in another, random order.
#
#   scripts/compare.sh [load|memory|start|seed|all] [FLAGS]
#
#   --rounds N      rounds of load and seed, and starts of each server (5)
#   --requests N    requests of each row and round (60000)
#   --clients N     keep-alive connections (900)
#   --entries LIST  sizes for memory ("1000000 10000000")
#   --only REGEX    of the rows, those alone
#   --out DIR       where table, plot and raw results go (dist/compare)
#   --append        add to the results that are there: rounds may be run one by one
#   --svg FILE      where the plot goes instead (docs/compare.svg is the one of the docs)
#   --install       install the Debian packages that are missing
#
# load:   CPU of the server, throughput and latency of reads and writes of one key; what
#         stores is given another value each time.
# memory: resident memory per entry of keys of 16 bytes and values of 100, all written
#         the same way, one by one.
# start:  from exec to the first answer.
# seed:   the rows that the seed was documented with, by scripts/bench-ab.sh.
#
# SMACHE is the program to measure, if not one that is built from here, and PORT the one below
# those that are used (10400). It needs Go and, for what is asked for, the Debian packages gcc,
# libc6-dev, redis-server, memcached, nginx, curl and apache2-utils, and writes table.md, compare.svg, load.csv, memory.csv, start.csv and
# seed.md. docs/BENCHMARKS.md holds results, and docs/BENCHMARKING.md says what to make of
# them.
set -euo pipefail
cd "$(dirname "$0")/.."

what=all rounds=5 requests=60000 clients=900 entries="1000000 10000000" only=. out=dist/compare svg='' append='' install=
while (($#)); do
  case $1 in
  load | memory | start | seed | all) what=$1 ;;
  --install) install=yes ;;
  --append) append=yes ;;
  --rounds | --requests | --clients | --entries | --only | --out | --svg)
    (($# > 1)) || { echo "compare.sh: $1 needs a value" >&2; exit 2; }
    declare "${1#--}=$2"
    shift
    ;;
  *)
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | sed '$d' >&2
    exit 2
    ;;
  esac
  shift
done
for n in "$rounds" "$requests" "$clients" $entries; do
  [[ $n =~ ^[1-9][0-9]*$ ]] || { echo "compare.sh: $n is no number above 0" >&2; exit 2; }
done

# The rows of load: the server, the name, and what to ask.
rows=(
  "floor|floor, GET|get --written"
  "gnet|gnet, GET|get --written"
  "nginx|nginx, GET|get --written"
  "nethttp|nethttp, GET|get --written"
  "fasthttp|fasthttp, GET|get --written"
  "smache|smache, GET|get --vary --written"
  "two|smache, two nodes, GET|remote"
  "memcached|memcached, GET|get --vary --written"
  "redis|redis, GET|get --vary --written"
  "fasthttp|fasthttp, POST|post"
  "smache|smache, POST|post --vary"
  "two|smache, two nodes, POST|post --vary --remote"
  "memcached|memcached, SET|post --vary"
  "redis|redis, SET|post --vary"
)

# Which servers are needed, and what else is.
needed=()
if [[ $what == load || $what == all ]]; then
  for row in "${rows[@]}"; do
    IFS='|' read -r name label _ <<<"$row"
    if [[ $label =~ $only ]]; then needed+=("$name"); fi
  done
fi
starts=(floor gnet nginx nethttp fasthttp memcached redis smache)
if [[ $what == start || $what == all ]]; then
  for name in "${starts[@]}"; do if [[ $name =~ $only ]]; then needed+=("$name"); fi; done
fi
holders=(smache redis memcached)
if [[ $what == memory || $what == all ]]; then
  for name in "${holders[@]}"; do if [[ $name =~ $only ]]; then needed+=("$name" memory); fi; done
fi
if [[ $what == seed || $what == all ]]; then needed+=(seed); fi
((${#needed[@]})) || { echo "compare.sh: --only $only names nothing of $what" >&2; exit 2; }
need() { [[ " ${needed[*]} " == *" $1 "* ]]; }

# The program and the Debian package that each needs.
missing=()
for of in floor:cc:gcc redis:redis-server:redis-server memcached:memcached:memcached nginx:nginx:nginx \
  memory:curl:curl seed:curl:curl seed:ab:apache2-utils; do
  IFS=: read -r name program package <<<"$of"
  if need "$name" && ! PATH=$PATH:/usr/sbin command -v "$program" >/dev/null && [[ " ${missing[*]} " != *" $package "* ]]; then
    missing+=("$package")
    if [[ $package == gcc ]]; then missing+=(libc6-dev); fi
  fi
done
if ((${#missing[@]})); then
  [[ -n $install ]] || { echo "compare.sh: missing: ${missing[*]}; give --install, or install them yourself" >&2; exit 1; }
  apt-get update
  apt-get install -y --no-install-recommends "${missing[@]}"
fi
PATH=$PATH:/usr/sbin

mkdir -p "$out"
# shellcheck source=scripts/measure.sh
. scripts/measure.sh
say() { echo "compare.sh: $*" >&2; }

say "building"
build
if need floor; then cc -O2 -pthread -o "$dir/floor" scripts/floor/floor.c; fi
export CGO_ENABLED=0
if need fasthttp; then go build -trimpath -o "$dir/fasthttp" ./engine/httpapi/baseline; fi
if need nethttp; then go build -trimpath -o "$dir/nethttp" ./scripts/floor/nethttp; fi
if need gnet; then go build -trimpath -o "$dir/gnet" ./scripts/floor/gnet; fi

# Ports below those that connections get; a node's other two are 10,000 and 20,000
# above its own.
port=${PORT:-10400}

# launch NAME starts a server, and sets server_pids and server_port.
launch() {
  local log="$dir/$1.log" hello=()
  : >"$log" # of the start before
  : >"$dir/address"
  server_log=$log
  case $1 in
  floor) server_port=$((port + 1)); "$dir/floor" "$server_port" 2>"$log" & ;;
  redis) hello=('PING\r\n') server_port=$((port + 2)); redis-server --port "$server_port" --bind 127.0.0.1 --save '' --appendonly no --maxclients 20000 --tcp-backlog 1024 >"$log" 2>&1 & ;;
  memcached) hello=('version\r\n') server_port=$((port + 3)); memcached -u nobody -l 127.0.0.1 -p "$server_port" -t 2 -c 16384 -m "${memory:-256}" 2>"$log" & ;;
  nginx) # it has waited
    server_port=$((port + 4))
    nginx_on "$server_port"
    server_pids=("${nginx_pids[@]}")
    return
    ;;
  smache) server_port=$((port + 5))
    "$smache" serve --listen "127.0.0.1:$server_port" --memory "${memory:-512}MiB" --max-connections $((clients + 200)) 2>"$log" & ;;
  fasthttp | nethttp | gnet) "$dir/$1" >"$dir/address" 2>"$log" & ;;
  esac
  server_pids=("$!")
  pids+=("$!")
  if [[ $1 == fasthttp || $1 == nethttp || $1 == gnet ]]; then
    until [[ -s $dir/address ]]; do
      if ! kill -0 "$!" 2>/dev/null; then gave_up "$1 has ended"; fi
      sleep 0.005
    done
    server_port=$(sed -n '1s/.*://p' "$dir/address")
  fi
  answering "$server_port" "${hello[@]}"
}

# row NAME FLAGS… measures once, as one line of load.csv.
row() {
  local name=$1
  shift
  "$smache" bench "$@" --clients "$clients" --requests "$requests" --label "$name" --quiet --csv >"$dir/row" ||
    { say "$name failed"; cat "$dir/row" >&2; exit 1; }
  sed -n 2p "$dir/row" >>"$out/load.csv"
}

# begin PART empties the results of a part, unless there are to be more of them.
begin() {
  if [[ -z $append ]]; then : >"$out/$1.csv"; fi
}

# by PID… prints the flags that have bench read their CPU time.
by() { printf -- '--server-pid=%s ' "$@"; }

# url NAME prints where a server of load is, which at says.
url() {
  case $1 in
  memcached | redis) echo "$1://127.0.0.1:${at[$1]}" ;;
  *) echo "http://127.0.0.1:${at[$1]}" ;;
  esac
}

load() {
  local name round label flags
  local -A at cpu
  begin load
  for name in floor gnet nginx memcached redis fasthttp nethttp smache; do
    need "$name" || continue
    say "starting $name"
    launch "$name"
    at[$name]=$server_port
    cpu[$name]=$(by "${server_pids[@]}")
  done
  if need two; then
    say "starting two nodes"
    two_nodes "$smache" $((port + 6)) $((port + 7)) --memory 512MiB --max-connections $((clients + 200))
    at[two]=$((port + 6))
    cpu[two]=$(by "${two[@]}")
  fi
  # What is read is written once before.
  for name in smache redis memcached; do
    [[ -n ${at[$name]:-} ]] || continue
    "$smache" bench post --url "$(url "$name")" --clients 1 --requests 1 --quiet >/dev/null
  done
  for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    while IFS='|' read -r name label flags <&4; do
      [[ $label =~ $only ]] || continue
      # shellcheck disable=SC2086 # lists of flags
      row "$label" $flags --url "$(url "$name")" ${cpu[$name]}
    done 4< <(shuf -e "${rows[@]}")
  done
  stop
}

resident() { awk '/^VmRSS/ {print $2 * 1024}' "/proc/$1/status"; }

memory() {
  local count name url held
  begin memory
  for count in $entries; do
    for name in "${holders[@]}"; do
      [[ $name =~ $only ]] || continue
      say "writing $count entries to $name"
      # What each needs to hold them all, and no more: Smache touches it at the start.
      case $name in
      smache) memory=$((180 + count * 243 / 1048576)) url=http ;;
      redis) memory='' url=redis ;;
      memcached) memory=$((64 + count * 260 / 1048576)) url=memcached ;;
      esac
      launch "$name"
      "$smache" bench post --url "$url://127.0.0.1:$server_port" --clients 100 --requests "$count" \
        --keys "$count" --order sequential --value-size 100 --quiet >"$dir/fill" || { cat "$dir/fill" >&2; exit 1; }
      case $name in
      smache) held=$(curl -s "http://127.0.0.1:$server_port/metrics" | awk '/^smache_entries /{print $2}') ;;
      redis) held=$(redis-cli -p "$server_port" dbsize) ;;
      memcached) held=$(printf 'stats\r\nquit\r\n' | { exec 5<>"/dev/tcp/127.0.0.1/$server_port"; cat >&5; tr -d '\r' <&5; } | awk '/curr_items/{print $3}') ;;
      esac
      [[ $held == "$count" ]] || say "$name holds ${held:-none} of $count entries: its memory for each is not that of all"
      echo "$name,$count,$held,$(resident "${server_pids[0]}")" >>"$out/memory.csv"
      stop
    done
  done
  unset memory
}

start() {
  local name round from
  begin start
  for round in $(seq "$rounds"); do
    say "starts, round $round of $rounds"
    for name in $(shuf -e "${starts[@]}"); do
      [[ $name =~ $only ]] || continue
      from=${EPOCHREALTIME/[.,]/}
      launch "$name"
      echo "$name,$((answered - from))" >>"$out/start.csv"
      stop
    done
  done
}

seed() {
  say "the rows documented with ab"
  SMACHE=$smache PORTS="$((port + 5)) $((port + 6)) $((port + 7))" REQUESTS=$requests CLIENTS=$clients scripts/bench-ab.sh "$rounds" >"$out/seed.md"
}

case $what in
all) load; start; seed; memory ;;
*) "$what" ;;
esac
for part in load memory start; do [[ -e $out/$part.csv ]] || : >"$out/$part.csv"; done
labels=$(printf '%s\n' "${rows[@]}" | cut -d'|' -f2 | paste -sd'|')
{
  awk -v clients="$clients" -v labels="$labels" -v svg="${svg:-$out/compare.svg}" -f scripts/compare.awk "$out/load.csv" "$out/memory.csv" "$out/start.csv"
  if [[ -e $out/seed.md ]]; then echo; cat "$out/seed.md"; fi
} | tee "$out/table.md"
