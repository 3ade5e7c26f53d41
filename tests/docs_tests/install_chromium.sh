#!/usr/bin/env bash
# Install the browser that opens the site's pages, and a font with Hangul, where they are missing and
# this may be done. Without a browser, its tests are left out and say so.
set -uo pipefail

command -v chromium >/dev/null && fc-list :lang=ko 2>/dev/null | grep -q . && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "There is no Chromium with a Korean font, and this user cannot install them: the tests in a browser are left out."
    exit 0
fi
{ apt-get install -y -q chromium fonts-noto-cjk || { apt-get update -q && apt-get install -y -q chromium fonts-noto-cjk; }; } >/dev/null \
    || echo "Chromium cannot be installed here: the tests in a browser are left out."
exit 0
