#!/bin/sh
# After the files are there. dpkg says "configure" and the version before, if there was
# one, be it removed since; rpm says how many versions are installed now.
#
# A new installation, or one after a removal, enables the service and starts it, on the loopback address; an
# upgrade restarts it if it runs, and its port stays open meanwhile.
set -e

case "$1" in
  configure) first=$([ -z "${2:-}" ] || [ -e /etc/smache/.removed ] && echo yes || echo no) ;;
  1) first=yes ;;
  [2-9]*) first=no ;;
  *) exit 0 ;;
esac
rm -f /etc/smache/.removed
command -v systemctl >/dev/null 2>&1 || exit 0
if [ "$first" = yes ]; then
  systemctl enable smache.service >/dev/null 2>&1 || true
fi
# Where systemd is not process 1, as in a container that is being built, that is all.
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
if [ "$first" = yes ]; then
  systemctl start smache.service ||
    echo "smache: the service did not start; see: journalctl -u smache" >&2
else
  systemctl try-restart smache.service ||
    echo "smache: the service did not restart; see: journalctl -u smache" >&2
fi
