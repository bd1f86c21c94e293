#!/bin/sh
# After the files have gone. A purge (dpkg) takes the drop-ins as well, which the
# operator has made.
set -e

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
if [ "$1" = purge ]; then
  rm -rf /etc/smache /etc/systemd/system/smache.service.d /etc/systemd/system/smache.socket.d
fi
