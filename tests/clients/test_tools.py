"""What is sold as a tool that costs, by x402's own client for MCP (PyPI, unmodified) over the official MCP client: it finds a seller in
the feed, is told the price, pays from a wallet of its own and reads the receipt.
"""

import asyncio
import json
import types
import unittest

import httpx2
from eth_account import Account
from loomal import Loomal
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from x402 import x402Client
from x402.mcp import PaymentRequiredError, x402MCPClient
from x402.mechanisms.evm.exact.register import register_exact_evm_client
from x402.mechanisms.evm.signers import EthAccountSigner

from shop import Client, open_shop
from world import BASE, call, platform, seller


class Agent:
    """The official client as x402's expects one: parameters in one object, members named as the protocol names them."""

    def __init__(self, client):
        self.client = client

    async def call_tool(self, params, **_):
        result = await self.client.call_tool(params["name"], params["arguments"], meta=params.get("_meta"))
        # Blocks are objects there: only then is the text of a refusal read.
        content = [block.model_dump(by_alias=True, exclude_none=True) for block in result.content]
        return types.SimpleNamespace(
            content=content, isError=result.is_error, structuredContent=result.structured_content, _meta=result.meta
        )


class Tools(unittest.TestCase):
    def setUp(self):
        self.project = seller("weather")
        self.seller = Loomal(api_key=self.project.raw_key, base_url=BASE)
        self.addCleanup(self.seller.close)
        server, self.url = open_shop(Client(self.seller))
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        body = {"urlPattern": self.url, "priceUsdc": "0.05", "listed": True, "category": self.project.identity_id}
        self.endpoint = call(self.project.raw_key, "PUT", "/v0/sellers/endpoints", json=body).json()["endpointId"]
        self.buyer = platform().identities.create(purpose="BUYER", name="agent").raw_key
        self.account = Account.create()

    def by_agent(self, work, **options):
        async def run():
            http = httpx2.AsyncClient(headers={"authorization": f"Bearer {self.buyer}"}, timeout=30)
            wallet = register_exact_evm_client(x402Client(), EthAccountSigner(self.account))
            async with http, McpClient(streamable_http_client(f"{BASE}/mcp", http_client=http)) as client:
                return await work(client, x402MCPClient(Agent(client), wallet, **options))

        return asyncio.run(run())

    def test_a_tool_is_found_and_paid_for(self):
        async def work(client, agent):
            found = await client.call_tool("endpoints.discover", {"category": self.project.identity_id})
            [endpoint] = found.structured_content["endpoints"]
            return endpoint, await agent.call_tool("endpoints.call", {"endpointId": endpoint["id"], "days": "2"})

        endpoint, bought = self.by_agent(work)
        self.assertEqual((endpoint["id"], endpoint["price"]["amountUsdc"]), (self.endpoint, "0.05"))
        self.assertEqual((bought.is_error, bought.payment_made), (False, True), bought)
        self.assertEqual(json.loads(bought.content[0]["text"])["content"], {"weather": "rain"})
        settled = bought.payment_response
        self.assertEqual((settled.success, settled.payer.lower()), (True, self.account.address.lower()))
        [sold] = self.seller.payments.list()["payments"]
        self.assertEqual((sold.tx_hash, sold.payer_address, sold.amount_usdc_raw), (settled.transaction, self.account.address, "50000"))
        self.assertEqual(sold.endpoint_id, self.endpoint)

    def test_whoever_does_not_want_to_pay_pays_nothing(self):
        async def work(_, agent):
            asked = await agent.get_tool_payment_requirements("endpoints.call", {"endpointId": self.endpoint})
            with self.assertRaises(PaymentRequiredError):
                await agent.call_tool("endpoints.call", {"endpointId": self.endpoint})
            return asked

        asked = self.by_agent(work, on_payment_requested=lambda _: False)
        self.assertEqual((asked.x402_version, asked.accepts[0].amount, asked.accepts[0].network), (2, "50000", "eip155:8453"))
        self.assertEqual(self.seller.payments.list()["count"], 0)


if __name__ == "__main__":
    unittest.main()
