#!/usr/bin/env bash
# Tests the package and the units on a Debian system of its own, with systemd as
# process 1: installs it, crashes the node, hangs it, upgrades it under load, stops it,
# fills its memory, removes it. Needs root, mmdebstrap and systemd-nspawn, and Debian's
# packages.
#
#   scripts/test-systemd.sh
#
# Everything is made in one temporary directory, which goes at the end. The system has
# its own network, and so no port in common with this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in mmdebstrap systemd-nspawn nsenter; do
  command -v "$tool" >/dev/null || { echo "test-systemd.sh: $tool is missing (apt-get install mmdebstrap systemd-container util-linux)" >&2; exit 1; }
done
((EUID == 0)) || { echo "test-systemd.sh: only root can boot a system" >&2; exit 1; }

dir=$(mktemp -d)
root=$dir/root
nspawn='' leader='' cage='' caged=''
finish() {
  local code=$?
  if ((code != 0)) && [[ -n $leader ]]; then
    inside journalctl --no-pager --lines 80 >&2 || true
  fi
  if [[ -n $nspawn ]]; then
    kill -TERM "$nspawn" 2>/dev/null || true # asks the system to power off
    for _ in $(seq 100); do kill -0 "$nspawn" 2>/dev/null || break; sleep 0.1; done
    if kill -0 "$nspawn" 2>/dev/null; then kill -KILL "$leader" "$nspawn" 2>/dev/null || true; fi
    wait "$nspawn" 2>/dev/null || true
  fi
  if [[ -n $caged ]]; then kill -KILL "$caged" 2>/dev/null || true; wait "$caged" 2>/dev/null || true; fi
  if [[ -n $cage ]]; then rmdir "$cage" || true; fi
  rm -rf "$dir"
}
trap finish EXIT

began=$SECONDS
step() { printf '%4ds  %s\n' $((SECONDS - began)) "$*"; }
fail() { echo "test-systemd.sh: $*" >&2; exit 1; }

# inside runs a command in the system.
inside() { nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup -- "$@"; }
# property NAME prints what systemd says of the service.
property() { inside systemctl show --property "$1" --value smache.service; }
# expect WHAT WANT COMMAND… compares what a command prints.
expect() {
  local what=$1 want=$2 got
  shift 2
  got=$("$@" 2>&1) || true
  [[ $got == "$want" ]] || fail "$what is \"$got\", not \"$want\""
}
# await WHAT COMMAND… repeats a command until it succeeds.
await() {
  local what=$1
  shift
  for _ in $(seq 600); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.05
  done
  fail "$what: not within half a minute and more"
}
restarts_above() { (($(property NRestarts) > $1)); }
active() { [[ $(property ActiveState) == active ]]; }
not_ready() { ! inside smache status --quiet && inside smache get --timeout 5s kept; }
gone() { ! inside smache get --timeout 5s kept; }
# loaded ends the load, and judges it.
loaded() {
  kill -0 "$load" 2>/dev/null || { cat "$dir/load" "$dir/load.err" >&2; fail "the load ended too early"; }
  local code=0
  inside pkill --signal INT --full 'smache bench'
  wait "$load" || code=$?
  if ((code != 130)) || ! grep '"failures":{\("[a-z]*":0,*\)*}' "$dir/load" >/dev/null; then
    cat "$dir/load" "$dir/load.err" >&2
    fail "requests failed"
  fi
  step "  $(sed 's/.*"requests":\([0-9]*\).*"retried":\([0-9]*\).*/\1 requests, \2 of them sent again/' "$dir/load"), 0 failed"
}
# configure TEXT replaces the drop-in of the service.
configure() {
  mkdir -p "$root/etc/systemd/system/smache.service.d"
  printf '[Service]\n%s\n' "$1" >"$root/etc/systemd/system/smache.service.d/test.conf"
  inside systemctl daemon-reload
}

# cage makes a control group with a limit of memory, as systemd does for MemoryMax=, and
# sets $cage, and the files that tell how much was taken there and whether the kernel has
# killed. In the system that is booted there may be none: where the machine has version 1, systemd-nspawn
# gives it no controllers.
cage() {
  if [[ -d /sys/fs/cgroup/memory ]]; then
    cage=/sys/fs/cgroup/memory/smache-test-$$
    mkdir "$cage"
    echo "$1" >"$cage/memory.limit_in_bytes"
    if [[ -e $cage/memory.memsw.limit_in_bytes ]]; then echo "$1" >"$cage/memory.memsw.limit_in_bytes"; fi
    # Version 1 counts the buffers of sockets beside all else, once they have a limit.
    echo "$1" >"$cage/memory.kmem.tcp.limit_in_bytes"
    peaks=("$cage/memory.max_usage_in_bytes" "$cage/memory.kmem.tcp.max_usage_in_bytes") kills=$cage/memory.oom_control
  elif grep -w memory /sys/fs/cgroup/cgroup.subtree_control >/dev/null; then
    cage=/sys/fs/cgroup/smache-test-$$
    mkdir "$cage"
    echo "$1" >"$cage/memory.max"
    if [[ -e $cage/memory.swap.max ]]; then echo 0 >"$cage/memory.swap.max"; fi
    peaks=("$cage/memory.peak") kills=$cage/memory.events
  else
    fail "no control group can be given a limit of memory here"
  fi
}

step "packages of two versions"
./scripts/packages.sh v1.0.0 "$dir" >/dev/null
[[ -s $dir/smache-1.0.0-1.x86_64.rpm || -s $dir/smache-1.0.0-1.aarch64.rpm ]] || fail "there is no .rpm"
KINDS=deb ./scripts/packages.sh v1.0.1 "$dir" >/dev/null

# Unpacked without the packages' own scripts: what they would do is not needed here,
# and takes most of the time.
step "a Debian system"
mmdebstrap --quiet --variant=extract --include=systemd,systemd-sysv,dpkg,diffutils,tar,gzip,coreutils,bash,dash,sed,grep,mawk,findutils,util-linux,procps,base-passwd,base-files,libc-bin \
  bookworm "$root" 2>"$dir/log" || { cat "$dir/log" >&2; exit 1; }
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
: >"$root/etc/machine-id"
touch "$root/var/lib/dpkg/status"
mkdir -p "$root/opt" && cp "$dir"/*.deb "$root/opt/"

step "boot"
systemd-nspawn --quiet --directory "$root" --machine "smache-test-$$" --keep-unit --register=no --private-network --boot \
  >"$dir/console" 2>&1 </dev/null &
nspawn=$!
booted() {
  leader=$(pgrep --parent "$nspawn" | head -n 1)
  [[ -n $leader ]] && inside systemctl is-system-running --wait
}
await "the system runs" booted

step "install: it serves, as a user of its own"
inside dpkg --install /opt/smache_1.0.0_amd64.deb >/dev/null
expect "the service" active property ActiveState
expect "what is enabled" $'enabled\ndisabled' inside systemctl is-enabled smache.service smache.socket
inside smache set kept '{"n":1}' >/dev/null
expect "the status" "serving on 127.0.0.1:4000: 1 entries" bash -c "$(declare -f inside property); leader=$leader; for _ in \$(seq 300); do s=\$(property StatusText); [[ \$s == *': 1 entries' ]] && break; sleep 0.05; done; echo \"\$s\""
user=$(inside ps -o uid= -p "$(property MainPID)")
((user >= 61184)) || fail "the node's user is $user, not a dynamic one"
expect "the mode of the settings" 600 stat -c %a "$root/etc/smache/smache.env"
expect "the manual page" "SMACHE" bash -c "zcat '$root/usr/share/man/man1/smache.1.gz' | awk '/^.TH/ {print \$2}'"

step "reload: it goes on, and says that it has read its files"
pid=$(property MainPID)
inside systemctl reload smache.service
reloaded() { inside journalctl --unit smache --no-pager | grep '"msg":"\(read again\|SIGHUP\)' >/dev/null; }
await "the reload is logged" reloaded
await "it runs" active
expect "the process" "$pid" property MainPID

step "a token that is renewed: it is found, by a node whose user may not read it but by its group"
token() { head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$root/etc/smache/$1"; }
takes() { inside smache status --token-file "/etc/smache/$1" >/dev/null 2>&1; }
echo 'smache-files:x:900:' >>"$root/etc/group"
token first
token second
inside install -m 640 -g smache-files /etc/smache/first /etc/smache/tokens
configure $'SupplementaryGroups=smache-files\nEnvironment=SMACHE_TOKEN_FILE=/etc/smache/tokens'
inside systemctl restart smache.service
takes first || fail "the token is not taken"
if takes second; then fail "a token is taken that is none"; fi
pid=$(property MainPID)
inside install -m 640 -g smache-files /etc/smache/second /etc/smache/tokens
inside systemctl reload smache.service
await "the new token is taken" takes second
if takes first; then fail "the old token is taken"; fi
expect "the process" "$pid" property MainPID
configure ''
inside systemctl restart smache.service
rm "$root"/etc/smache/{first,second,tokens}

step "kill -9: it is started again, and nobody is refused meanwhile"
before=$(property NRestarts)
inside kill -9 "$(property MainPID)"
inside smache set kept '{"n":2}' >/dev/null || fail "a request after the crash failed"
await "a restart is counted" restarts_above "$before"
await "it runs" active

step "a wrong setting: it does not start, and says why"
configure 'Environment=SMACHE_QUEUE=none'
if inside systemctl restart smache.service 2>/dev/null; then fail "it starts with a wrong setting"; fi
expect "the exit code" 2 property ExecMainStatus
inside journalctl --unit smache --no-pager | grep 'SMACHE_QUEUE="none"' >/dev/null || fail "the log does not name the variable"

step "SIGSTOP: the watchdog ends it, and it is started again"
configure $'WatchdogSec=2s\nTimeoutAbortSec=1s'
inside systemctl restart smache.service
before=$(property NRestarts)
inside kill -STOP "$(property MainPID)"
await "a restart is counted" restarts_above "$before"
await "it runs" active
inside journalctl --unit smache --no-pager | grep "Watchdog timeout" >/dev/null || fail "it was not the watchdog"
inside smache set kept '{"n":3}' >/dev/null

step "upgrade under load: 900 clients, no request fails"
configure ''
inside systemctl restart smache.service
inside smache bench post --clients 900 --keys 10000 --duration 5m --timeout 30s --retry --json >"$dir/load" 2>"$dir/load.err" &
load=$!
under_load() { (($(inside smache status --json | sed 's/.*"smache_http_connections":\([0-9]*\).*/\1/') >= 900)); }
await "the load runs" under_load
inside dpkg --install /opt/smache_1.0.1_amd64.deb >/dev/null
inside smache status | grep v1.0.1 >/dev/null || fail "the new version does not run"
await "the load has come back" under_load
loaded

step "stop: it drains, longer than systemd would wait by itself; then the port is closed"
configure $'Environment=SMACHE_DRAIN_DELAY=4s\nTimeoutStopSec=2s'
inside systemctl restart smache.service
inside smache set kept '{"n":4}' >/dev/null
inside systemctl stop smache.service 2>/dev/null &
stop=$!
await "it serves, and is not ready" not_ready
wait "$stop"
expect "how it ended" success property Result
code=0
inside smache get kept >/dev/null 2>&1 || code=$?
((code == 4)) || fail "after the stop a client ends with $code"

step "the socket unit: a restart refuses nobody, and the next connection starts what was stopped"
configure ''
inside systemctl start smache.socket smache.service
inside smache bench post --clients 900 --keys 10000 --duration 5m --timeout 30s --retry --json >"$dir/load" 2>"$dir/load.err" &
load=$!
for _ in 1 2; do
  await "the load runs" under_load
  inside systemctl restart smache.service
done
await "the load has come back" under_load
loaded
inside systemctl stop smache.service 2>/dev/null
inside smache status --quiet || fail "a connection does not start the node"
inside systemctl stop smache.socket smache.service

step "from start to ready with 1 GiB"
configure $'Environment=SMACHE_MEMORY=1GiB\nMemoryMax=1344M'
inside systemctl start smache.service
ready=$(($(property ActiveEnterTimestampMonotonic) - $(property ExecMainStartTimestampMonotonic)))
step "  $((ready / 1000)) ms"

inside systemctl stop smache.service

step "MemoryMax fits SMACHE_MEMORY: the cache is filled more than once, the kernel kills nobody"
unit() { sed -n "s/^$1=//p" scripts/systemd/smache.service; }
limit=$(numfmt --from=iec "$(unit MemoryMax)")
cage "$limit"
bash -c 'echo $$ >"$1/cgroup.procs"; ulimit -n 65536; shift; exec "$@"' caged "$cage" \
  env "$(unit Environment)" SMACHE_LISTEN=127.0.0.1:0 "$root/usr/bin/smache" serve 2>"$dir/caged" &
caged=$!
serving() { grep '"msg":"serving"' "$dir/caged" >/dev/null; }
await "the node in the control group serves" serving
address=$(sed -n 's/.*"msg":"serving","address":"\([^"]*\)".*/\1/p' "$dir/caged")
bench() { "$root/usr/bin/smache" bench "$1" --addr "$address" --quiet --timeout 30s "${@:2}" >"$dir/load" 2>&1 || true; }
bench post --clients 900 --keys 1000000 --order sequential --requests 500000 --value-size 1000 --vary
bench post --clients 200 --keys 2000 --requests 4000 --value-size 200KiB --vary # some are refused: there is a budget
bench mget --clients 200 --keys 100000 --requests 4000 --batch 500 --value-size 1000 --written
status() { "$root/usr/bin/smache" status --server "$address" --json; }
kill -0 "$caged" 2>/dev/null || { tail -n 3 "$dir/caged" >&2; fail "the node has ended"; }
evicted=$(status | sed 's/.*"smache_evictions_total":\([0-9]*\).*/\1/')
((evicted > 100000)) || fail "only $evicted entries had to go: the cache is not full"
killed=$(sed -n 's/^oom_kill //p' "$kills")
[[ $killed == 0 ]] || fail "the kernel has killed $killed times"
peak=$(cat "${peaks[@]}" | awk '{sum += $1} END {print sum}')
step "  at most $((peak >> 20)) MiB of $((limit >> 20)) were taken, $evicted entries evicted"
((peak < limit)) || fail "the limit was reached"
kill -TERM "$caged"
wait "$caged"
caged=''
rmdir "$cage"
cage=''

step "remove, and purge"
inside dpkg --remove smache >/dev/null 2>&1
[[ -e $root/etc/smache/smache.env && ! -e $root/usr/bin/smache ]] || fail "a removal leaves the wrong files"
inside dpkg --install /opt/smache_1.0.1_amd64.deb >/dev/null
expect "the service, installed again" active property ActiveState
expect "what is enabled then" enabled inside systemctl is-enabled smache.service
inside systemctl disable smache.service 2>/dev/null
inside systemctl stop smache.service
inside dpkg --install /opt/smache_1.0.1_amd64.deb >/dev/null
expect "the service, stopped and upgraded" inactive property ActiveState
expect "what is enabled then" disabled inside systemctl is-enabled smache.service
inside dpkg --purge smache >/dev/null 2>&1
[[ ! -e $root/etc/smache && ! -e $root/etc/systemd/system/smache.service.d ]] || fail "a purge leaves settings"
expect "what failed" "" inside systemctl --failed --plain --no-legend
step "all is well"
