#!/bin/sh
# Before the files go. dpkg says "remove", or "upgrade"; rpm says how many versions will
# be left. Only a removal stops the node, which hands over what it holds first.
set -e

case "$1" in
  remove | 0) ;;
  *) exit 0 ;;
esac
command -v systemctl >/dev/null 2>&1 || exit 0
if [ -d /run/systemd/system ]; then
  systemctl stop smache.socket smache.service || true
fi
systemctl disable smache.socket smache.service >/dev/null 2>&1 || true
