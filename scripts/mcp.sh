#!/usr/bin/env bash
# The official MCP client (Python) against a running server: it lists tools and calls some, in the revisions with and without a handshake.
#   scripts/mcp.sh http://127.0.0.1:8000
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

base=${1:?usage: scripts/mcp.sh BASE_URL}
need_packages curl:curl
need_venv mcp mcp==2.3.0

# Its own person and company.
answer=$(curl -fsS -X POST "$base/api/v1/auth/register/" -H 'Content-Type: application/json' \
  -d '{"email":"mcp@example.com","username":"mcp","password":"strongpass123","company_name":"Mcp"}')
read -r token company <<<"$("$VENV/bin/python" scripts/pick.py access company.code <<<"$answer")"
exec "$VENV/bin/python" scripts/mcp_client.py "$base" "$token" "$company"
