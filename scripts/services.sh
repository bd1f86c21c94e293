#!/bin/sh
# Runs four nodes behind a load balancer (haproxy) on port 8080, in containers.
#
#   scripts/services.sh            start, or bring back to four
#   scripts/services.sh N          any number of nodes up to ten: those there move over
#   scripts/services.sh down       stop and remove all
#
# Then: scripts/curl.post.sh 8080, scripts/curl.get.sh 8080. SMACHE_PORT is another
# port, SMACHE_ADDRESS another address than 127.0.0.1 (0.0.0.0: other machines reach it),
# SMACHE_TOKEN the token that clients then need, SMACHE_MEMORY what each node may use.
set -eu
cd "$(dirname "$0")"
balancer=${SMACHE_ADDRESS:-127.0.0.1}:${SMACHE_PORT:-8080}

if docker compose version >/dev/null 2>&1; then
  compose() { docker compose -p smache -f compose.yaml "$@"; }
else
  compose() { docker-compose -p smache -f compose.yaml "$@"; }
fi

nodes=${1:-4}
case $nodes in
  down)
    SMACHE_SECRET=none compose down
    exit
    ;;
  [1-9] | 10) ;;
  *)
    sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac

# Nodes that run keep their secret and token: new ones get theirs.
first=$(docker ps -q --filter label=com.docker.compose.project=smache --filter label=com.docker.compose.service=node | head -n 1)
if [ -n "$first" ]; then
  settings=$(docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$first")
  SMACHE_SECRET=$(echo "$settings" | sed -n 's/^SMACHE_SECRET=//p')
  SMACHE_TOKEN=$(echo "$settings" | sed -n 's/^SMACHE_TOKEN=//p')
else
  SMACHE_SECRET=${SMACHE_SECRET:-$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')}
fi
SMACHE_TOKEN=${SMACHE_TOKEN:-}
export SMACHE_SECRET SMACHE_TOKEN
[ -n "$first" ] || compose build
compose up -d --no-recreate --scale "node=$nodes"

# Until all have joined and no slot moves; then until the balancer sees them.
for node in $(docker ps -q --filter label=com.docker.compose.project=smache --filter label=com.docker.compose.service=node); do
  if ! docker exec "$node" /smache status --wait 2m --quiet; then
    echo "services.sh: the nodes have not found each other; see: docker logs $node" >&2
    exit 1
  fi
done
tries=0
until curl --silent --fail --output /dev/null "http://$balancer/readyz"; do
  tries=$((tries + 1))
  if [ "$tries" -gt 120 ]; then
    echo "services.sh: nobody answers on $balancer; see: docker ps, docker logs" >&2
    exit 1
  fi
  sleep 0.5
done
echo "services.sh: $nodes nodes on http://$balancer" >&2
