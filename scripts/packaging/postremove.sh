#!/bin/sh
# After the files have gone. A purge (dpkg) takes the drop-ins as well, which the
# operator has made. A removal leaves a mark beside the settings that dpkg leaves: it
# tells postinstall.sh of the version that was there, as if that were being upgraded.
set -e

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
if [ "$1" = remove ]; then
  mkdir -p /etc/smache
  : >/etc/smache/.removed
fi
if [ "$1" = purge ]; then
  rm -rf /etc/smache /etc/systemd/system/smache.service.d /etc/systemd/system/smache.socket.d
fi
