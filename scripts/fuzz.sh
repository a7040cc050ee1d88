#!/usr/bin/env bash
# Schemathesis against a running server: requests made from the OpenAPI document, each answer held against it.
#   scripts/fuzz.sh http://127.0.0.1:8000
# FUZZ_EXAMPLES: generated requests per operation (15). FUZZ_SEED: the same seed sends the same requests (1).
# FUZZ_PHASES: some of examples,coverage,fuzzing. FUZZ_ARGS: more options for schemathesis, as --include-path-regex /booking/.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

base=${1:?usage: scripts/fuzz.sh BASE_URL}
need_packages curl:curl
need_venv schemathesis schemathesis==4.32.5

# Its own person and company: with credentials most requests get past the door, where the interesting code is.
answer=$(curl -fsS -X POST "$base/api/v1/auth/register/" -H 'Content-Type: application/json' \
  -d '{"email":"fuzz@example.com","username":"fuzz","password":"strongpass123","company_name":"Fuzz"}')
read -r token company <<<"$("$VENV/bin/python" scripts/pick.py access company.code <<<"$answer")"

# One worker: two threads that parse Python at once break each other before CPython 3.11.4 ("AST constructor recursion depth mismatch").
# Signing out and closing the account would send the rest of the run to the door again.
cd "$CACHE"
# shellcheck disable=SC2086 # FUZZ_ARGS is a list of words
exec "$VENV/bin/schemathesis" run "$base/api/schema/?format=json" --url "$base" \
  --header "Authorization: Bearer $token" --header "X-Company-ID: $company" --header "X-LOOP-APP-ID: loop-booking-web" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance \
  --phases ${FUZZ_PHASES:-examples,coverage,fuzzing} --max-examples "${FUZZ_EXAMPLES:-15}" --seed "${FUZZ_SEED:-1}" --workers 1 \
  --exclude-path-regex '/auth/logout/|/auth/account/' --request-timeout 20 --continue-on-failure --no-shrink \
  --suppress-health-check all --warnings off ${FUZZ_ARGS:-}
