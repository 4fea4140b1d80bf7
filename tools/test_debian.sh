#!/usr/bin/env bash
# Check the project on a Debian of another age than this machine's. Root only, and for what is committed.
#
#   tools/test_debian.sh SUITE           make test-debian: in a fresh SUITE, the README's `make demo`, then `make test`
#   tools/test_debian.sh SUITE ffmpeg    make test-ffmpeg: here, with SUITE's ffmpeg, tests of media, outputs, pipeline
#
# SUITE is a name such as bullseye, trixie or forky; MIRROR another place to fetch it from than debootstrap's own.
# How this machine reaches apt's and pip's registries (settings, proxies, certificates, cache) holds for the new one too.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1:?which suite?} mode=${2:-fresh}

main() {
  [ "$(id -u)" = 0 ] || { echo "test_debian: only root can make another system" >&2; exit 1; }
  command -v debootstrap >/dev/null || { apt-get -qq update; apt-get -qq install -y debootstrap debian-archive-keyring; }
  root=$(mktemp -d "/var/tmp/sam2-cog-$suite.XXXXXX")
  trap 'rm -rf --one-file-system "$root"' EXIT
  chmod 755 "$root" # for its other users
  case $mode in
    fresh) bootstrap ca-certificates,git,make,python3
           git -c safe.directory='*' clone -q . "$root/root/sam2-cog"
           export root
           unshare --mount --propagation private "$BASH" tools/test_debian.sh "$suite" inside ;;
    ffmpeg) bootstrap ffmpeg
            wrap ffmpeg; wrap ffprobe
            "$root/programs/ffmpeg" -version | head -n 1
            PATH="$root/programs:$PATH" .venv/bin/python -m pytest tests/media tests/outputs tests/test_pipeline.py ;;
  esac
}

bootstrap() {
  debootstrap --variant=minbase --include="$1" "$suite" "$root" ${MIRROR:-} >"$root.log" 2>&1 || { cat "$root.log"; exit 1; }
  rm "$root.log"
}

# A program of the other system that sees this one's files: started by that system's loader, with its libraries.
wrap() {
  local libraries loader
  libraries=$(find "$root/usr/lib" "$root/lib" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
  loader=$(find "$root/usr/lib" "$root/lib" \( -name 'ld-linux*.so.*' -o -name 'ld-[0-9]*.so' \) -print -quit)
  mkdir -p "$root/programs/loader"
  cp -L "$loader" "$root/programs/loader/$1" # by its name the process is known
  printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' \
    "$root/programs/loader/$1" "$libraries" "$root/usr/bin/$1" >"$root/programs/$1"
  chmod +x "$root/programs/$1"
}

# The rest runs in a mount namespace of its own, so that no mount outlives it.
inside() {
  mount -t proc proc "$root/proc"
  mkdir -p "$root/dev/shm"
  mount -t tmpfs tmpfs "$root/dev/shm"
  registries
  chroot "$root" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${settings[@]}" \
    bash -c 'cd ~/sam2-cog && python3 --version && time make demo && ffmpeg -version | head -n 1 && time make test'
}

registries() {
  local file cache
  cp -L /etc/hosts /etc/resolv.conf "$root/etc/"
  apt-config dump Acquire >"$root/etc/apt/apt.conf.d/00machine"
  for file in /etc/pip.conf /etc/xdg/pip ~/.config/pip ~/.pip; do [ ! -e "$file" ] || share "$file"; done
  mapfile -t settings < <(env | grep -iE '^(pip_[a-z_]+|https?_proxy|no_proxy|ssl_cert_(file|dir)|requests_ca_bundle)=')
  cache=$(python3 -m pip cache dir 2>/dev/null) && [ -d "$cache" ] && share "$cache" /root/.cache/pip
  for file in $( (cat /etc/pip.conf /etc/xdg/pip/* ~/.config/pip/* ~/.pip/* 2>/dev/null; printf '%s\n' "${settings[@]}") |
      grep -oE '(^|[ =:])(file://)?/[^ :]+' | grep -oE '/[^/].*' | sort -u); do
    file=${file%/simple} # an index leads to files beside it
    [ ! -e "$file" ] || share "$file" # certificates, and indices that lie on this machine
  done
}

share() { # a file or folder of this machine, at the same place or at $2
  local target=$root${2:-$1}
  if [ -d "$1" ]; then mkdir -p "$target"; else mkdir -p "$(dirname "$target")"; touch "$target"; fi
  mount --bind "$1" "$target"
}

if [ "$mode" = inside ]; then inside; else main; fi
