#!/bin/sh
# Installs the Debian packages that the system tests drive, as root; else names the missing ones.
set -eu

missing=
need() {
    command -v "$1" >/dev/null 2>&1 && return
    case " $missing " in *" $2 "*) ;; *) missing="${missing:+$missing }$2" ;; esac
}
need chromium chromium
need prometheus prometheus
need promtool prometheus
need faketime faketime
need pgbouncer pgbouncer
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "The system tests need these Debian packages, which are missing: $missing" >&2
    echo "As root: apt-get install --no-install-recommends $missing" >&2
    exit 1
fi

get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" >&2
}
install() {
    # One package a word.
    # shellcheck disable=SC2086
    get install --yes --no-install-recommends $missing
}
echo "Installing $missing" >&2
# Lists that are missing or too old are fetched, once.
install || { get update && install; }
