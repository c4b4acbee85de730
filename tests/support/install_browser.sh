#!/bin/sh
# Make sure that browser tests find a Chromium. $1: the environment's bin folder.
# Order: one on PATH, Playwright's own, Debian's package (as root), Playwright's download.
# Where none can be had, the browser tests report NOT RUN; that is not this script's failure.
set -u
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing Chromium (Debian's package) for the browser tests ..."
  apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null && exit 0
fi
echo "Installing Chromium (Playwright's) for the browser tests ..."
"$1/playwright" install chromium || echo "NOT RUN: no Chromium can be had here, so browser tests will not run" >&2
exit 0
