#!/usr/bin/env bash
# The five rows that the cache before this one was documented with, as they were
# documented: ab, 900 keep-alive clients, 50,000 requests each, of one node and, with the
# key on the other one, of two (encrypted). Rates, latency, and CPU time (user and system)
# of all nodes per request, in rounds whose order is shuffled, as a table in Markdown: beside the
# documented figures, which are another machine's, and beside those of that cache built and
# run on a machine of this kind, which is what the targets mean.
#
#   scripts/bench-ab.sh [ROUNDS]     5 rounds
#
# REQUESTS (50000) and CLIENTS (900) change the load; SMACHE is the program to measure, if
# not one that is built from here; PORTS are its ports ("10500 10501 10502"). Needs ab
# (apache2-utils). docs/BENCHMARKS.md holds results.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
requests=${REQUESTS:-50000} clients=${CLIENTS:-900}
read -r alone first second <<<"${PORTS:-10500 10501 10502}"
command -v ab >/dev/null || { echo "bench-ab.sh: ab is missing: install apache2-utils" >&2; exit 1; }
# shellcheck source=scripts/measure.sh
. scripts/measure.sh

build
flags=(--memory 256MiB --max-connections $((clients + 200)))
one_node "$smache" "$alone" "${flags[@]}"
two_nodes "$smache" "$first" "$second" "${flags[@]}"

# record KEY FILE writes the body of a POST.
record() { printf '{"key":"%s","data":{"lat":52.520008,"lng":13.404954}}' "$1" >"$2"; }
# post PORT FILE posts it once.
post() { curl -fsS -o /dev/null -H 'Content-Type: application/json' --data-binary "@$2" "http://127.0.0.1:$1/api"; }

record bench "$dir/here"
post "$alone" "$dir/here"
key=0 # the other node's
until record "bench$key" "$dir/there"; post "$first" "$dir/there"
  curl -fsS "http://127.0.0.1:$first/api?key=bench$key" | grep -q "\"node\":\"smache@$second\""; do
  key=$((key + 1))
done

# The rows: what is documented (requests/s, p50, p95, longest in ms), and what the same
# cache, built and run, did on a machine of 2 cores (requests/s, µs of CPU in all nodes).
rows=(control post get post2 get2)
declare -A title=(
  [control]='control, GET /' [post]='one node, POST' [get]='one node, GET'
  [post2]='two nodes, key on the other one, POST' [get2]='two nodes, key on the other one, GET'
)
declare -A documented=([control]='30540 28 46 76' [post]='23411 37 62 94' [get]='26595 32 52 78' [post2]='17577 50 77 118' [get2]='18652 46 76 167')
declare -A built=([control]='16800 96' [post]='12300 136' [get]='14400 113' [post2]='8700 205' [get2]='8300 214')
# Targets: at least so many times that rate, at most one part in so many of that CPU.
declare -A target=([control]='0 0' [post]='3.5 5' [get]='3.5 5' [post2]='6 9' [get2]='6 9')

# row NAME measures once, as a line of $dir/NAME: requests/s, p50, p95, longest, µs of the
# nodes, µs of ab.
row() {
  local name=$1 servers=("$one") at=$alone from to self
  local -a what
  case $1 in post2 | get2) servers=("${two[@]}") at=$first ;; esac
  case $1 in
  control) what=("http://127.0.0.1:$at/") ;;
  post) what=(-T application/json -p "$dir/here" "http://127.0.0.1:$at/api") ;;
  get) what=("http://127.0.0.1:$at/api?key=bench") ;;
  post2) what=(-T application/json -p "$dir/there" "http://127.0.0.1:$at/api") ;;
  get2) what=("http://127.0.0.1:$at/api?key=bench$key") ;;
  esac
  from=$(cpu "${servers[@]}")
  TIMEFORMAT='%U %S'
  self=$({ time ab -q -k -c "$clients" -n "$requests" "${what[@]}" >"$dir/out" 2>"$dir/err"; } 2>&1) ||
    { cat "$dir/err" >&2; exit 1; }
  to=$(cpu "${servers[@]}")
  if ! grep -Eq '^Failed requests: +0$' "$dir/out" || grep -q Non-2xx "$dir/out"; then
    echo "bench-ab.sh: ${title[$name]}: some failed" >&2
    grep -E '^(Failed|Non-2xx|  *\()' "$dir/out" >&2
    exit 1
  fi
  awk -v server="$(each $((to - from)) "$requests")" -v self="$self" -v n="$requests" '
    /^Requests per second/ {rate = $4} $1 == "50%" {p50 = $2} $1 == "95%" {p95 = $2} $1 == "100%" {longest = $2}
    END {split(self, s, " "); print rate, p50, p95, longest, server, (s[1] + s[2]) / n * 1e6}' "$dir/out" >>"$dir/$name"
}

for _ in $(seq "$rounds"); do
  for name in $(shuf -e "${rows[@]}"); do row "$name"; done
done

# of NAME COLUMN prints the column's values.
of() { cut -d' ' -f"$2" "$dir/$1"; }
cat <<HEAD
| ab, $clients clients, $requests requests, $rounds rounds | requests/s (lowest .. highest) | p50, p95, longest, ms | CPU of the nodes, µs (lowest .. highest) | CPU of ab, µs | documented: requests/s, p50, p95, longest | rate of that | the same on such a machine: requests/s, CPU | rate of that | CPU of that |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
HEAD
for name in "${rows[@]}"; do
  of "$name" 1 | awk '{printf "%.0f\n", $1}' >"$dir/rates"
  of "$name" 5 >"$dir/cpus"
  awk -v title="${title[$name]}" -v rates="$(extremes <"$dir/rates")" -v cpus="$(extremes <"$dir/cpus")" -v documented="${documented[$name]}" \
    -v built="${built[$name]}" -v target="${target[$name]}" -v rate="$(median <"$dir/rates")" -v us="$(median <"$dir/cpus")" \
    -v p50="$(of "$name" 2 | median)" -v p95="$(of "$name" 3 | median)" -v longest="$(of "$name" 4 | median)" -v ab="$(of "$name" 6 | median)" 'BEGIN {
      split(documented, d, " "); split(built, b, " "); split(target, t, " ")
      more = rate / b[1]; less = b[2] / us
      printf "| %s | %.0f %s | %g, %g, %g | %.1f %s | %.1f | %d, %d, %d, %d | %.1f | %d, %d | %.1f%s | 1/%.1f%s |\n", title, rate, rates, p50, p95, longest,
        us, cpus, ab, d[1], d[2], d[3], d[4], rate / d[1], b[1], b[2],
        more, t[1] ? ", " t[1] ": " (more >= t[1] ? "met" : "**missed**") : "", less, t[2] ? ", 1/" t[2] ": " (less >= t[2] ? "met" : "**missed**") : ""
    }'
done
