#!/bin/sh
# Installs what runs programs for arm64 on this machine (Debian, Ubuntu, root), unless it is there, or this is an arm64 machine.
set -eu

[ "$(uname -m)" != aarch64 ] || exit 0
! command -v qemu-aarch64 >/dev/null || exit 0
command -v apt-get >/dev/null || { echo "this is no Debian: please install qemu-aarch64, of QEMU's user mode" >&2; exit 1; }
echo "installing qemu-user by apt-get" >&2
install() { DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends qemu-user >&2; }
install || { apt-get -qq update >&2 && install; }
