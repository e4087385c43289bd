#!/bin/sh
# The servers and the browser that tests start, from Debian's archive: installed where this machine is a Debian and we are
# root. Where they cannot be had, the tests that need them report themselves as skipped, by name.
set -eu

# command, and the package that brings it
wanted="
chromium chromium
prometheus prometheus
promtool prometheus
nginx nginx-light
haproxy haproxy
slowhttptest slowhttptest
"
packages=$(echo "$wanted" | while read -r command package; do
  [ -z "$command" ] || command -v "$command" >/dev/null 2>&1 || [ -x "/usr/sbin/$command" ] || echo "$package"
done | sort -u)
[ -n "$packages" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "tests: not installed here, and no way to install it: $(echo $packages)" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# A package that brings a server would start it; runlevel 1 tells its scripts not to.
export RUNLEVEL=1
apt-get -qq update
# shellcheck disable=SC2086  # one word per package
apt-get -qq install --yes --no-install-recommends $packages >/dev/null || echo "tests: could not install $packages" >&2
