# shellcheck shell=bash
# What the scripts that measure share; they source it from the top of the repository. It
# makes a directory, $dir, which goes at the end with the processes in pids.

dir=$(mktemp -d)
pids=()
# stop ends the processes, without their taking leave of each other.
stop() {
  if ((${#pids[@]})); then kill -9 "${pids[@]}"; wait "${pids[@]}"; fi 2>/dev/null || true
  pids=()
}
finish() {
  stop
  rm -rf "$dir"
}
trap finish EXIT

# build sets smache to the program to look at: SMACHE, or one that is built from here.
build() {
  smache=${SMACHE:-$dir/smache}
  if [[ -z ${SMACHE:-} ]]; then CGO_ENABLED=0 go build -trimpath -o "$smache" ./cmd/smache; fi
}

# cpu PID… prints the user and system time of processes, in nanoseconds. The kernel gives
# it in ticks of 10 ms.
cpu() {
  local pid
  for pid; do sed 's/.*) //' "/proc/$pid/stat"; done |
    awk -v hz="$(getconf CLK_TCK)" '{t += $12 + $13} END {printf "%.0f\n", t / hz * 1e9}'
}

# each NANOSECONDS COUNT prints microseconds for each.
each() { awk -v t="$1" -v n="$2" 'BEGIN {printf "%.2f\n", t / n / 1000}'; }

# median and extremes read numbers, one a line; extremes prints "(lowest .. highest)".
median() { sort -n | awk '{v[NR] = $1} END {print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
extremes() { sort -n | awk 'NR == 1 {low = $1} END {printf "(%s .. %s)\n", low, $1}'; }

# gave_up WHAT… says what went wrong, and the last lines of server_log, if it is set.
gave_up() {
  echo "${0##*/}: $*" >&2
  if [[ -s ${server_log:-} ]]; then tail -n 5 "$server_log" >&2; fi
  exit 1
}

# answering PORT [REQUEST] waits until a request, which is one of HTTP unless given, is
# answered, and sets answered to the time in µs. A port that can be connected to is not
# enough: a node listens before it has touched its memory. The last of pids must not end.
answering() {
  local first request=${2:-'GET /healthcheck HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'}
  for _ in $(seq 2000); do
    if { exec 5<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; then
      printf '%b' "$request" >&5
      if read -r -t 60 -n 1 first <&5 && [[ -n $first ]]; then
        # shellcheck disable=SC2034 # for who wants it
        answered=${EPOCHREALTIME/[.,]/}
        exec 5>&-
        return
      fi
      exec 5>&-
    fi
    if ! kill -0 "${pids[-1]}" 2>/dev/null; then gave_up "what was to listen on port $1 has ended"; fi
    sleep 0.005
  done
  gave_up "nothing answers on port $1"
}

# address_in LOG waits until a node that listens on any port has said in its log, which is
# JSON, where, and prints that. The log must be there, empty, before the node is started.
address_in() {
  local address
  for _ in $(seq 1200); do
    address=$(sed -n 's/.*"msg":"serving","address":"\([^"]*\)".*/\1/p' "$1")
    if [[ -n $address ]]; then echo "$address"; return; fi
    sleep 0.05
  done
  cat "$1" >&2
  return 1
}

# one_node SMACHE PORT FLAGS… starts a node alone, waits until it answers, and sets one to
# its process id.
one_node() {
  server_log="$dir/$2.log"
  "$1" serve --listen "127.0.0.1:$2" "${@:3}" 2>"$server_log" &
  one=$!
  pids+=("$one")
  answering "$2"
}

# two_nodes SMACHE PORT PORT FLAGS… starts two nodes of an encrypted cluster, named
# smache@PORT, waits until they have settled, and sets two to their process ids. One that gets
# no processor for a moment makes the other wait, and not refuse: that shows in the latency.
two_nodes() {
  local smache=$1 first=$2 second=$3 at join=()
  shift 3
  "$smache" secret >"$dir/secret"
  chmod 600 "$dir/secret"
  two=()
  for at in "$first" "$second"; do
    server_log="$dir/$at.log"
    "$smache" serve --listen "127.0.0.1:$at" --name "smache@$at" --secret-file "$dir/secret" --peer-wait 30s "${join[@]}" "$@" 2>"$server_log" &
    two+=("$!")
    pids+=("$!")
    join=(--join "127.0.0.1:$first")
    answering "$at"
  done
  "$smache" status --server "127.0.0.1:$second" --wait 5m >/dev/null
}

# nginx_on PORT starts nginx with a constant answer, and sets nginx_pids to those that work.
# Two workers with a socket each for new connections, no access log, connections that do
# not end.
nginx_on() {
  [[ -e $dir/nginx.conf ]] || sed "s|DIR|$dir|; s|PORT|$1|" scripts/floor/nginx.conf >"$dir/nginx.conf"
  server_log="$dir/nginx.log"
  nginx -c "$dir/nginx.conf" 2>"$server_log" &
  pids+=("$!")
  answering "$1"
  mapfile -t nginx_pids < <(pgrep -P "$!") # their parent only looks after them
  pids+=("${nginx_pids[@]}")
}
