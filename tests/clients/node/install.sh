#!/bin/sh
# Installs the npm client into a folder and says so with a stamp there. Where there is no Node and none can be had, it
# leaves no stamp, and the tests that need it report themselves as skipped.
set -eu
folder=$1
here=$(dirname "$0")

missing=
command -v node > /dev/null || missing="nodejs"
command -v npm > /dev/null || missing="$missing npm"
if [ -n "$missing" ] && [ -f /etc/debian_version ] && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # these are words
    { apt-get -qq update && apt-get -qq install --yes --no-install-recommends $missing; } > /dev/null || true
fi
if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
    echo "node and npm are not here, so the tests of the npm client will be skipped" >&2
    exit 0
fi

mkdir -p "$folder"
cp "$here/package.json" "$here/package-lock.json" "$folder"
npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel error > /dev/null
touch "$folder/.stamp"
