# Sourced by the other scripts: words for the reader, missing packages, free ports, a server to test against.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=$ROOT/.cache

say() { printf '==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 1; fi
}

# need_packages PROGRAM:PACKAGE… installs with apt-get the packages whose program is not there. A program may be a path pattern.
need_packages() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || compgen -G "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  [ ${#missing[@]} = 0 ] && return
  say "installing ${missing[*]}"
  command -v apt-get >/dev/null || die "please install: ${missing[*]} (this machine has no apt-get)"
  { as_root apt-get -qq update &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}"; } >/dev/null ||
    die "could not install ${missing[*]}; as root: apt-get install ${missing[*]}"
}

# A port of 127.0.0.1 that nobody listens on, below the range that the kernel hands out for outgoing connections.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# need_venv NAME PACKAGE… makes .cache/NAME with these PyPI packages, once for each list of packages; sets VENV.
need_venv() {
  VENV=$CACHE/$1
  shift
  [ "$(cat "$VENV/made-of" 2>/dev/null)" = "$*" ] && return
  say "installing $* from PyPI"
  need_packages python3:python3
  python3 -c 'import ensurepip' 2>/dev/null || need_packages /no/such/file:python3-venv
  rm -rf "$VENV"
  python3 -m venv "$VENV"
  "$VENV/bin/pip" -q --disable-pip-version-check install "$@"
  printf '%s' "$*" >"$VENV/made-of"
}

# start_server PROGRAM [NAME=VALUE…] starts loopd on a fresh data folder and a free port and waits until it answers.
# Sets SERVER_URL, SERVER_DIR and SERVER_PID. Stop it with stop_server. With ROOT_PASSWORD, root@example.com is there, a superuser.
start_server() {
  local program=$1 port
  shift
  port=$(free_port)
  SERVER_DIR=$(mktemp -d "${TMPDIR:-/tmp}/loopd-server.XXXXXX")
  SERVER_URL=http://127.0.0.1:$port
  [ -z "${ROOT_PASSWORD:-}" ] || LOOP_DATA_DIR="$SERVER_DIR/data" \
    "$program" user create root@example.com --superuser --password-stdin <<<"$ROOT_PASSWORD" >/dev/null
  env LOOP_LISTEN="127.0.0.1:$port" LOOP_DATA_DIR="$SERVER_DIR/data" LOOP_RATE_LIMITS=off "$@" \
    "$program" serve >"$SERVER_DIR/log" 2>&1 &
  SERVER_PID=$!
  local deadline=$((SECONDS + 60))
  until curl -fs -o /dev/null "$SERVER_URL/health/"; do
    kill -0 "$SERVER_PID" 2>/dev/null || { tail -n 40 "$SERVER_DIR/log" >&2; die "the server ended while starting"; }
    [ $SECONDS -lt $deadline ] || { tail -n 40 "$SERVER_DIR/log" >&2; die "the server did not answer within a minute"; }
    sleep 0.1
  done
}

stop_server() {
  [ -n "${SERVER_PID:-}" ] || return 0
  kill "$SERVER_PID" 2>/dev/null || true
  wait "$SERVER_PID" 2>/dev/null || true
  rm -rf "$SERVER_DIR"
  SERVER_PID=
}
