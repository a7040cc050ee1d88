#!/usr/bin/env bash
# Runs a command with a throw-away PostgreSQL and Redis beside it, then removes both:
#   scripts/with-services.sh cargo nextest run -p loopd-store
# The command finds them in LOOPD_TEST_POSTGRES and LOOPD_TEST_REDIS. One that is set already is used as it is. LOOPD_TEST_PEBBLE says
# that the program `pebble` is there, a certificate authority for tests; LOOPD_TEST_X402 is the folder of the reference facilitator, which a
# test starts beside a chain of its own.
# PostgreSQL offers TLS under the name localhost; the folder LOOPD_TEST_POSTGRES_TLS holds its authority, ca.pem, and stranger.pem, which
# has signed nothing. The address itself says sslmode=disable, because hundreds of handshakes prove nothing more.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# -gt 0 ] || die "usage: scripts/with-services.sh COMMAND…"

# The socket's path must stay under 108 bytes, so not below a long TMPDIR.
WORK=$(mktemp -d /tmp/loopd-services.XXXXXX)
POSTGRES_PID='' REDIS_PID=''
cleanup() {
  local pid
  # QUIT is PostgreSQL's immediate shutdown: nothing here is worth a checkpoint. (INT is ignored by a shell's background children.)
  [ -z "$POSTGRES_PID" ] || kill -QUIT "$POSTGRES_PID" 2>/dev/null || true
  [ -z "$REDIS_PID" ] || kill -TERM "$REDIS_PID" 2>/dev/null || true
  for pid in $POSTGRES_PID $REDIS_PID; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# PostgreSQL refuses to run as root: there it runs as the user that Debian's package made.
AS=(env)
[ "$(id -u)" = 0 ] && AS=(setpriv --reuid=postgres --regid=postgres --init-groups)

ssl() { openssl "$@" >"$WORK/openssl.log" 2>&1 || { cat "$WORK/openssl.log" >&2; die "openssl $1 failed"; }; }

# make_certificates FOLDER: an authority, a certificate that it gives localhost, and another authority.
make_certificates() {
  local name key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
  mkdir "$1"
  for name in ca stranger; do
    ssl req -x509 "${key[@]}" -keyout "$1/$name.key" -out "$1/$name.pem" -subj "/CN=loopd test $name" -days 2
  done
  ssl req "${key[@]}" -keyout "$1/server.key" -out "$1/server.csr" -subj "/CN=loopd test server"
  echo 'subjectAltName = DNS:localhost' >"$1/server.ext"
  ssl x509 -req -in "$1/server.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -set_serial 1 -days 2 -extfile "$1/server.ext" -out "$1/server.pem"
  chmod 600 "$1/server.key"
}

start_postgres() {
  need_packages "/usr/lib/postgresql/*/bin/initdb:postgresql" openssl:openssl
  local bin port data=$WORK/postgres tls=$WORK/tls
  bin=$(dirname "$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1)")
  mkdir "$data"
  make_certificates "$tls"
  [ "$(id -u)" = 0 ] && chown postgres "$WORK" "$data" "$tls/server.key"
  say "starting PostgreSQL"
  (cd "$WORK" && "${AS[@]}" "$bin/initdb" --pgdata="$data" --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
    --no-sync --no-instructions >"$WORK/initdb.log" 2>&1) || { cat "$WORK/initdb.log" >&2; die "initdb failed"; }
  port=$(free_port)
  # fsync off: these rows live as long as the tests. Every test is a process with pools of its own, hence the connections.
  (cd "$WORK" && exec "${AS[@]}" "$bin/postgres" -D "$data" -p "$port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories="$WORK" -c max_connections=500 -c fsync=off -c full_page_writes=off \
    -c ssl=on -c ssl_cert_file="$tls/server.pem" -c ssl_key_file="$tls/server.key" \
    -c shared_buffers=128MB -c log_min_messages=warning -c autovacuum=off) >"$WORK/postgres.log" 2>&1 &
  POSTGRES_PID=$!
  local deadline=$((SECONDS + 60))
  # No superuser and no BYPASSRLS: for either of them row-level security would not exist, and its tests would prove nothing.
  until psql -q -h "$WORK" -p "$port" -U postgres -d postgres -c 'CREATE ROLE loopd_test LOGIN CREATEDB' >"$WORK/psql.log" 2>&1; do
    kill -0 "$POSTGRES_PID" 2>/dev/null && [ $SECONDS -lt $deadline ] ||
      { cat "$WORK/postgres.log" "$WORK/psql.log" >&2; die "PostgreSQL did not start"; }
    sleep 0.1
  done
  export LOOPD_TEST_POSTGRES="postgres://loopd_test@127.0.0.1:$port/postgres?sslmode=disable" LOOPD_TEST_POSTGRES_TLS=$tls
}

# A certificate authority: the test of ACME starts one of its own, because the authority must know the server's port.
bring_pebble() {
  need_packages pebble:pebble
  export LOOPD_TEST_PEBBLE=yes
}

# The reference facilitator of x402, Circle's token and a chain to put it on, from npm by the lock file.
bring_x402() {
  local folder=$ROOT/tests/x402 installed=$ROOT/tests/x402/node_modules/.package-lock.json
  need_packages node:nodejs npm:npm
  if [ ! -e "$installed" ] || [ "$folder/package-lock.json" -nt "$installed" ]; then
    say "fetching the reference facilitator from npm"
    npm --silent --prefix "$folder" ci --ignore-scripts --no-audit --no-fund
  fi
  export LOOPD_TEST_X402=$folder
}

start_redis() {
  need_packages redis-server:redis-server redis-cli:redis-tools
  local port
  port=$(free_port)
  say "starting Redis"
  redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$WORK" --loglevel warning >"$WORK/redis.log" 2>&1 &
  REDIS_PID=$!
  local deadline=$((SECONDS + 30))
  until [ "$(redis-cli -p "$port" ping 2>/dev/null)" = PONG ]; do
    kill -0 "$REDIS_PID" 2>/dev/null && [ $SECONDS -lt $deadline ] || { cat "$WORK/redis.log" >&2; die "Redis did not start"; }
    sleep 0.1
  done
  export LOOPD_TEST_REDIS=redis://127.0.0.1:$port/
}

[ -n "${LOOPD_TEST_POSTGRES:-}" ] || start_postgres
[ -n "${LOOPD_TEST_PEBBLE:-}" ] || bring_pebble
[ -n "${LOOPD_TEST_X402:-}" ] || bring_x402
[ -n "${LOOPD_TEST_REDIS:-}" ] || start_redis
status=0
"$@" || status=$?
exit $status
