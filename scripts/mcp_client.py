"""What the official MCP client of Python makes of /mcp, in the revisions with and without a handshake.

    python3 mcp_client.py http://127.0.0.1:8000 TOKEN COMPANY
"""

import asyncio
import sys
import warnings

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

NAME = "booking_appointments_"


async def look(base, token, company, mode):
    http = httpx2.AsyncClient(headers={"authorization": f"Bearer {token}", "x-company-id": company}, timeout=30)
    async with http, Client(streamable_http_client(f"{base}/mcp", http_client=http), mode=mode) as client:
        assert client.server_info.name == "loopd", client.server_info
        version = client.protocol_version
        assert (version == "2026-07-28") == (mode != "legacy"), version
        if mode == "legacy":
            await client.send_ping()
        tools, cursor = {}, None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools |= {tool.name: tool for tool in page.tools}
            cursor = page.next_cursor
            if cursor is None:
                break
        assert len(tools) > 50, len(tools)
        assert tools[f"{NAME}list"].annotations.read_only_hint is True
        assert tools[f"{NAME}retrieve"].input_schema["required"] == ["id"]
        made = await client.call_tool(f"{NAME}create", {"title": f"By a client, {mode}"})
        assert not made.is_error, made
        one = await client.call_tool(f"{NAME}retrieve", {"id": made.structured_content["id"]})
        assert one.structured_content["title"] == f"By a client, {mode}", one
        wrong = await client.call_tool(f"{NAME}create", {"customer": "nobody"})
        assert wrong.is_error and "customer" in wrong.content[0].text, wrong
        try:
            await client.call_tool("no_such_tool", {})
        except Exception as error:
            assert "Unknown tool: no_such_tool" in str(error), error
        else:
            raise AssertionError("an unknown tool was called")
    return version


async def main(base, token, company):
    for mode in ("auto", "legacy"):
        print(f"mcp: {await look(base, token, company, mode)} as the official client speaks it")


# The client says of its own ping that it is old.
warnings.simplefilter("ignore")
asyncio.run(main(*sys.argv[1:]))
