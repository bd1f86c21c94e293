#!/bin/sh
# Reads the seven entries that curl.post.sh posts from the node on PORT of this
# machine, which may be another node of the same cluster.
#
#   scripts/curl.get.sh [PORT]
set -eu

port=${1:-4000}

get() {
  curl --silent --show-error --fail-with-body --get --data-urlencode "key=$1" \
    "http://127.0.0.1:$port/api"
  echo
}

get 1
get 2
get -73
get 18446744073709551616
get aa
get driver:12abc
get 'Straße 東京 🚕'
