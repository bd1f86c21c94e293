#!/bin/sh
# Posts an entry under each of seven different keys to the node on PORT of this
# machine. curl.get.sh reads them back.
#
#   scripts/curl.post.sh [PORT]
set -eu

port=${1:-4000}

post() {
  curl --silent --show-error --fail-with-body \
    --header 'Content-Type: application/json' --data-binary "$1" \
    "http://127.0.0.1:$port/api"
  echo
}

post '{"key":1,"data":{"lat":52.520008,"lng":13.404954}}'
post '{"key":"2","data":{"lat":48.137154,"lng":11.576124}}'
post '{"key":-73,"data":{"lat":40.712776,"lng":-74.005974}}'
post '{"key":"18446744073709551616","data":{"lat":35.689487,"lng":139.691711}}'
post '{"key":"aa","data":{"lat":51.507351,"lng":-0.127758}}'
post '{"key":"driver:12abc","data":{"lat":-33.868820,"lng":151.209290}}'
post '{"key":"Straße 東京 🚕","data":{"lat":50.937531,"lng":6.960279}}'
