#!/bin/sh
# Installs a binary of Smache with its units of systemd, upgrades it, or removes it.
# For machines without the packages (make packages); each command may be repeated.
#
#   scripts/install.sh install [BINARY]   install or upgrade; bin/smache by default
#   scripts/install.sh memory SIZE        what the node may use: 4GiB, 512MiB
#   scripts/install.sh remove [--purge]   stop and remove; with --purge the settings too
#   scripts/install.sh sysctl             suggest settings of the kernel, and why
#
# With DESTDIR set, files go below it, and systemd is not told.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
dest=${DESTDIR:-}
units=$dest/etc/systemd/system
binary=$dest/usr/bin/smache

usage() {
  sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}

# systemd runs systemctl where there is a systemd to talk to.
systemd() {
  if [ -z "$dest" ] && [ -d /run/systemd/system ]; then
    systemctl "$@"
  fi
}

# replace FILE TARGET MODE puts a file in place as a whole, and only if it differs.
replace() {
  if cmp -s "$1" "$2"; then
    return
  fi
  mkdir -p "$(dirname "$2")"
  install -m "$3" "$1" "$2.new"
  mv -f "$2.new" "$2"
  echo "installed $2"
}

install_all() {
  source=${1:-$root/bin/smache}
  if [ ! -x "$source" ]; then
    echo "install.sh: $source is not there; make build makes it" >&2
    exit 1
  fi
  "$source" version >/dev/null
  before=$(cksum "$binary" "$units/smache.service" 2>/dev/null || true)
  replace "$source" "$binary" 755
  replace "$root/scripts/systemd/smache.service" "$units/smache.service" 644
  replace "$root/scripts/systemd/smache.socket" "$units/smache.socket" 644
  if [ ! -e "$dest/etc/smache/smache.env" ]; then
    replace "$root/scripts/systemd/smache.env" "$dest/etc/smache/smache.env" 600
  fi
  pages=$dest/usr/share
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  "$source" man | gzip -9n >"$tmp/man"
  replace "$tmp/man" "$pages/man/man1/smache.1.gz" 644
  for shell in bash zsh fish; do
    "$source" completion "$shell" >"$tmp/$shell"
  done
  replace "$tmp/bash" "$pages/bash-completion/completions/smache" 644
  replace "$tmp/zsh" "$pages/zsh/site-functions/_smache" 644
  replace "$tmp/fish" "$pages/fish/vendor_completions.d/smache.fish" 644
  systemd daemon-reload
  systemd enable --quiet smache.service
  # A node that runs is restarted only if something is new; its port stays open.
  if [ "$before" != "$(cksum "$binary" "$units/smache.service")" ]; then
    systemd restart smache.service
  else
    systemd start smache.service
  fi
}

# bytes SIZE prints a size in bytes, with the node's own units, of which those are left
# out that no memory is given in.
bytes() {
  number=${1%%[!0-9]*}
  factor=0
  case ${1#"$number"} in
    MiB | M) factor=1048576 ;;
    GiB | G) factor=1073741824 ;;
    TiB | T) factor=1099511627776 ;;
    MB) factor=1000000 ;;
    GB) factor=1000000000 ;;
    TB) factor=1000000000000 ;;
  esac
  if [ -z "$number" ] || [ "$factor" = 0 ]; then
    echo "install.sh: $1 is no size of a memory: 512MiB, 4GiB" >&2
    return 1
  fi
  echo $((number * factor))
}

# set_memory writes the two figures that go together: what the node divides, and what
# the kernel lets it take, a quarter and 64 MiB more.
set_memory() {
  total=$(bytes "$1")
  tmp=$(mktemp)
  trap 'rm -f "$tmp"' EXIT
  cat >"$tmp" <<MEMORY
# Written by install.sh memory $1.
[Service]
Environment=SMACHE_MEMORY=$1
MemoryMax=$((total * 5 / 4 + 67108864))
MEMORY
  replace "$tmp" "$units/smache.service.d/memory.conf" 644
  systemd daemon-reload
  systemd try-restart smache.service
}

remove_all() {
  systemd stop smache.socket smache.service 2>/dev/null || true
  systemd disable --quiet smache.service smache.socket 2>/dev/null || true
  rm -f "$binary" "$units/smache.service" "$units/smache.socket" \
    "$dest/usr/share/man/man1/smache.1.gz" \
    "$dest/usr/share/bash-completion/completions/smache" \
    "$dest/usr/share/zsh/site-functions/_smache" \
    "$dest/usr/share/fish/vendor_completions.d/smache.fish"
  if [ "${1:-}" = --purge ]; then
    rm -rf "$dest/etc/smache" "$units/smache.service.d" "$units/smache.socket.d"
  fi
  systemd daemon-reload
}

# suggest NAME LEAST REASON prints a setting that is below what is suggested.
suggest() {
  file=/proc/sys/$(echo "$1" | tr . /)
  now=$(cat "$file" 2>/dev/null || echo unknown)
  # Of a range, the width counts.
  case $now in *[!0-9]*) have=$(echo "$now" | awk '{print NF == 2 ? $2 - $1 : 0}') ;; *) have=$now ;; esac
  want=$(echo "$2" | awk '{print NF == 2 ? $2 - $1 : $1}')
  if [ "$have" -lt "$want" ]; then
    printf '# %s\n# now %s\n%s = %s\n\n' "$3" "$now" "$1" "$2"
  fi
}

suggest_all() {
  cat <<'HEAD'
# For thousands of clients. What is not here is well on this machine already. Keep it in
# /etc/sysctl.d/60-smache.conf, and apply it with sysctl --system.

HEAD
  suggest net.core.somaxconn 4096 \
    "Connections that wait to be accepted: those of a restart, and of clients that all come at once. Beyond it they time out and try again after a second."
  suggest net.ipv4.tcp_max_syn_backlog 4096 \
    "Connections whose handshake is not over, when thousands of clients come at once. Beyond it theirs is lost, and they try again after a second."
  suggest net.core.netdev_max_backlog 4096 \
    "Packets that wait for a processor that is busy; beyond it they are lost and sent again, 200 ms later."
  suggest net.ipv4.ip_local_port_range "10240 65535" \
    "Ports for the connections that a load balancer on this machine makes to one node: 28,000 by default. It takes in the cluster's own ports, which net.ipv4.ip_local_reserved_ports = 14000,24000 keeps free."
  suggest net.core.rmem_max 1048576 \
    "What the gossip may ask for its UDP socket, so that bursts of a large cluster are not dropped."
  suggest fs.file-max 200000 \
    "Open files of the whole machine; each connection is one."
}

case ${1:-} in
  install)
    [ $# -le 2 ] || usage
    install_all "${2:-}"
    ;;
  memory)
    [ $# -eq 2 ] || usage
    set_memory "$2"
    ;;
  remove)
    [ $# -le 2 ] || usage
    remove_all "${2:-}"
    ;;
  sysctl) suggest_all ;;
  *) usage ;;
esac
