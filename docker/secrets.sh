#!/bin/sh
# Makes up the passwords of an installation, once. They are nowhere but in its volumes: one has what
# asks Redis, the other Grafana alone.
set -eu
cd /run/secrets

invented() {
    [ -s "$1" ] || { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$1.new" && mv "$1.new" "$1"; }
    cat "$1"
}

redis=$(invented redis_password)
invented /run/grafana/grafana_password >/dev/null
echo "requirepass $redis" >redis.conf
echo "redis://:$redis@redis:6379/0" >redis_url
