#!/bin/sh
# Runs four nodes behind a load balancer (haproxy) on port 8080, in containers.
#
#   scripts/services.sh            start, or bring back to four
#   scripts/services.sh N          any number of nodes up to ten: those there move over
#   scripts/services.sh down       stop and remove all
#
# Then: scripts/curl.post.sh 8080, scripts/curl.get.sh 8080. SMACHE_PORT is another
# port, SMACHE_MEMORY what each node may use.
set -eu
cd "$(dirname "$0")"
port=${SMACHE_PORT:-8080}

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

# Nodes that run keep their secret: new ones get theirs.
first=$(docker ps -q --filter label=com.docker.compose.project=smache --filter label=com.docker.compose.service=node | head -n 1)
if [ -n "$first" ]; then
  SMACHE_SECRET=$(docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$first" | sed -n 's/^SMACHE_SECRET=//p')
else
  SMACHE_SECRET=${SMACHE_SECRET:-$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')}
fi
export SMACHE_SECRET
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
until curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz"; do
  tries=$((tries + 1))
  if [ "$tries" -gt 120 ]; then
    echo "services.sh: nobody answers on port $port; see: docker ps, docker logs" >&2
    exit 1
  fi
  sleep 0.5
done
echo "services.sh: $nodes nodes on http://127.0.0.1:$port" >&2
