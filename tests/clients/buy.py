"""Buys an address with the client `x402` of PyPI, unmodified, and prints what it got as one line of JSON.

    BUYER_KEY=0x… python buy.py http://127.0.0.1:4000/weather
"""

import asyncio
import json
import os
import sys

from eth_account import Account
from x402 import x402Client
from x402.http import decode_payment_response_header
from x402.http.clients import x402HttpxClient
from x402.mechanisms.evm.exact.register import register_exact_evm_client
from x402.mechanisms.evm.signers import EthAccountSigner


async def buy(url: str, secret: str) -> dict:
    client = register_exact_evm_client(x402Client(), EthAccountSigner(Account.from_key(secret)))
    async with x402HttpxClient(client) as http:
        response = await http.get(url)
        await response.aread()
    header = response.headers.get("payment-response") or response.headers.get("x-payment-response")
    settled = decode_payment_response_header(header).model_dump(by_alias=True) if header else None
    return {"status": response.status_code, "body": response.json(), "settled": settled}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(buy(sys.argv[1], os.environ["BUYER_KEY"]))))
