"""A seller on Python's http.server with loomal-sdk 0.6.2: `python shop.py sync|async|client` prints its address and serves until its
standard input ends. LOOMAL_API_KEY and LOOMAL_BASE_URL say for whom and where, as the SDK reads them.
"""

import asyncio
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from loomal import Loomal
from loomal.paywall._core import (
    PaywallConfig,
    PaywallRouteOptions,
    build_challenge,
    build_challenge_async,
    verify_and_settle,
    verify_and_settle_async,
)

AMOUNT = "0.05"


class Helpers:
    """The paywall's core, called as a framework's adapter calls it."""

    config, options = PaywallConfig(), PaywallRouteOptions(amount=AMOUNT)

    def challenge(self, resource):
        return build_challenge(self.config, resource, self.options)

    def redeem(self, resource, header):
        return verify_and_settle(self.config, resource, header, self.options)


class AsyncHelpers(Helpers):
    """The same, asynchronous."""

    def challenge(self, resource):
        return asyncio.run(build_challenge_async(self.config, resource, self.options))

    def redeem(self, resource, header):
        return asyncio.run(verify_and_settle_async(self.config, resource, header, self.options))


class Client:
    """The SDK's client."""

    def __init__(self, loomal=None):
        self.payments = (loomal or Loomal(base_url=os.environ["LOOMAL_BASE_URL"])).payments

    def challenge(self, resource):
        return self.payments.challenge(AMOUNT, resource=resource, description="The weather")

    def redeem(self, resource, header):
        return self.payments.redeem(header, resource, AMOUNT)


WAYS = {"sync": Helpers, "async": AsyncHelpers, "client": Client}


class Shop(BaseHTTPRequestHandler):
    way = None

    def do_GET(self):
        resource, header = f"http://{self.headers['Host']}{self.path}", self.headers.get("X-Payment")
        if header is None:
            return self.send(402, self.way.challenge(resource))
        redeemed = self.way.redeem(resource, header)
        if not redeemed["ok"]:
            return self.send(402, redeemed["requirement"])
        return self.send(200, {"weather": "rain"}, {"X-Payment-Response": redeemed["paymentResponse"]})

    def send(self, status, body, headers=()):
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(content), **dict(headers)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def open_shop(way):
    """Serves in the background; gives the server and the address of what it sells."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("ShopOf", (Shop,), {"way": way}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/weather?city=Kigali"


if __name__ == "__main__":
    print(open_shop(WAYS[sys.argv[1]]())[1], flush=True)
    sys.stdin.read()
