#!/usr/bin/env bash
# Tests the image, compose.yaml and services.sh as they are, where no registry can be
# reached: the base images are made of Debian's packages and of this machine's Go, under
# the names that the files use. Then four nodes are started, asked by the seed's scripts,
# restarted one by one under 900 clients, and scaled to six and to three under load. Needs
# root, docker, docker-compose and mmdebstrap.
#
#   scripts/test-containers.sh
set -euo pipefail
cd "$(dirname "$0")/.."

export SMACHE_PORT=${SMACHE_PORT:-18080} SMACHE_MEMORY=${SMACHE_MEMORY:-160MiB}
dir=$(mktemp -d)
made=()
load=''
finish() {
  local code=$?
  if ((code != 0)); then docker ps -a --filter label=com.docker.compose.project=smache >&2 || true; fi
  [[ -z $load ]] || kill "$load" 2>/dev/null || true
  scripts/services.sh down >/dev/null 2>&1 || true
  if ((${#made[@]})); then docker image rm --force "${made[@]}" >/dev/null 2>&1 || true; fi
  # The stage that builds has no name, and stays behind.
  unnamed | comm -13 "$dir/unnamed" - | xargs --no-run-if-empty docker image rm --force >/dev/null 2>&1 || true
  rm -rf "$dir"
}
unnamed() { docker image ls --quiet --no-trunc --filter dangling=true | sort; }
unnamed >"$dir/unnamed"
trap finish EXIT
began=$SECONDS
step() { printf '%4ds  %s\n' $((SECONDS - began)) "$*"; }
fail() { echo "test-containers.sh: $*" >&2; exit 1; }

# have says whether there is an image of that name.
have() { docker image inspect "$1" >/dev/null 2>&1; }

go=$(sed -n 's/^FROM \(golang:[^ ]*\) .*/\1/p' Dockerfile)
haproxy=$(sed -n 's/^ *image: \(haproxy:.*\)/\1/p' scripts/compose.yaml)
if ! have "$go" || ! have "$haproxy"; then
  step "base images of Debian's packages"
  mmdebstrap --quiet --variant=extract --include=haproxy,dash,coreutils,base-passwd,libc-bin bookworm "$dir/root" 2>"$dir/log" ||
    { cat "$dir/log" >&2; exit 1; }
  cp "$dir/root/usr/share/base-passwd/passwd.master" "$dir/root/etc/passwd"
  cp "$dir/root/usr/share/base-passwd/group.master" "$dir/root/etc/group"
fi
if ! have "$haproxy"; then
  made+=("$haproxy")
  tar -C "$dir/root" -c . | docker import --change 'ENTRYPOINT ["haproxy", "-W", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]' - "$haproxy" >/dev/null
fi
if ! have "$go"; then
  made+=("$go")
  # The modules of go.mod, as a proxy made of files.
  source=$(go env GOMODCACHE)/cache/download
  GOFLAGS=-modcacherw GOMODCACHE=$dir/modules GOPROXY=file://$source,$(go env GOPROXY) GOSUMDB=off go mod download
  mkdir -p "$dir/root/usr/local" "$dir/root/modules"
  cp -r "$(go env GOROOT)" "$dir/root/usr/local/go"
  cp -r "$dir/modules/cache/download/." "$dir/root/modules/"
  tar -C "$dir/root" -c . | docker import --change 'ENV PATH=/usr/local/go/bin:/usr/bin:/bin GOPROXY=file:///modules GOSUMDB=off GOTOOLCHAIN=local' \
    - "$go" >/dev/null
fi
rm -rf "$dir/root"

step "services.sh: four nodes"
services() { scripts/services.sh "$@" >"$dir/services" 2>&1 || { cat "$dir/services" >&2; fail "services.sh $* failed"; }; }
services
made+=(smache)
size=$(docker image inspect --format '{{.Size}}' smache)
step "  the image has $((size / 1000000)) MB"
((size < 25000000)) || fail "the image has $size bytes, and should have less than 25 MB"
[[ $(docker image inspect --format '{{.Config.User}}' smache) == 65534:65534 ]] || fail "the image runs as root"
for script in curl.post.sh curl.get.sh; do
  got=$(scripts/$script "$SMACHE_PORT" | grep -c '"data":{"lat"') || true
  [[ $got == 7 ]] || fail "$script: $got answers of 7"
done

# members is true when a node sees so many, all ready, and nothing moves. The nodes'
# own client asks: the image has no shell.
nodes() { docker ps --quiet --filter label=com.docker.compose.project=smache --filter label=com.docker.compose.service=node; }
members() {
  local id out
  for id in $(nodes); do
    out=$(docker exec "$id" /smache status --wait 1s) || return 1
    [[ $(grep -c ' serving ' <<<"$out") == "$1" ]] || return 1
  done
}
await_members() {
  for _ in $(seq 120); do
    if members "$1"; then return; fi
    sleep 0.5
  done
  docker exec "$(nodes | head -n 1)" /smache status >&2 || true
  fail "there are not $1 members that agree"
}
await_members 4

# kept counts the keys, written before, that can be read.
keys=2000
step "  $keys keys are written, and read back after each change"
CGO_ENABLED=0 go build -o "$dir/smache" ./cmd/smache
"$dir/smache" bench post --addr "127.0.0.1:$SMACHE_PORT" --clients 20 --requests $keys --keys $keys --order sequential --key-prefix kept --quiet >/dev/null
read_back() {
  "$dir/smache" bench get --addr "127.0.0.1:$SMACHE_PORT" --clients 20 --requests $keys --keys $keys --order sequential --key-prefix kept --written --quiet >"$dir/read" ||
    { cat "$dir/read" >&2; fail "not all keys are there $1"; }
}
# loaded CLIENTS begins a load, and unloaded ends and judges it.
loaded() {
  "$dir/smache" bench post --addr "127.0.0.1:$SMACHE_PORT" --clients "$1" --keys 1000 --duration 10m --timeout 30s --retry --json >"$dir/load" 2>"$dir/load.err" &
  load=$!
}
unloaded() {
  local code=0
  kill -INT "$load"
  wait "$load" || code=$?
  load=''
  if ((code != 130)) || ! grep '"failures":{\("[a-z]*":0,*\)*}' "$dir/load" >/dev/null; then
    cat "$dir/load" "$dir/load.err" >&2
    fail "requests failed $1"
  fi
  step "  $(sed 's/.*"requests":\([0-9]*\).*"latency_ms":{[^}]*"max":\([0-9.]*\).*/\1 requests, 0 failed; the longest took \2 ms/' "$dir/load")"
}

step "rolling restart, 900 clients"
loaded 900
restarts=0
for id in $(nodes); do
  docker restart --time 35 "$id" >/dev/null
  await_members 4
  restarts=$((restarts + 1))
done
((restarts == 4)) || fail "$restarts nodes were restarted"
read_back "after a rolling restart"
unloaded "during a rolling restart"

loaded 50
for n in 6 3; do
  step "services.sh $n, under load"
  services "$n"
  await_members "$n"
  read_back "with $n nodes"
done
unloaded "while the cluster was scaled"
step "all is well"
