"""What every test of Python needs: the server, sellers made by the platform key, wallets, and payments as x402 of PyPI signs them."""

import base64
import json
import os

import httpx
from eth_account import Account
from loomal import LoomalPlatform
from x402 import x402ClientSync
from x402.http.utils import encode_payment_signature_header
from x402.mechanisms.evm.exact.register import register_exact_evm_client
from x402.mechanisms.evm.signers import EthAccountSigner
from x402.schemas.v1 import PaymentRequiredV1

BASE = os.environ.get("LOOP_BASE_URL", "http://127.0.0.1:8000")
PLATFORM_KEY = os.environ.get("CLIENTS_PLATFORM_KEY", "")
RESOURCE = "https://api.example.com/weather"
AMOUNT = "0.05"


def platform():
    return LoomalPlatform(api_key=PLATFORM_KEY, base_url=BASE)


def seller(name="a shop"):
    """A new project that sells, with its key."""
    return platform().identities.create(purpose="SELLER", name=name)


def call(key, method, path, **more):
    """Any request, for what no SDK has a method for; like the SDKs' it says JSON even when it brings nothing."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return httpx.request(method, BASE + path, headers=headers, timeout=30, **more)


def pay(challenge, account=None):
    """The header that a buyer sends for a challenge, signed by x402 of PyPI with a wallet of its own."""
    client = register_exact_evm_client(x402ClientSync(), EthAccountSigner(account or Account.create()))
    # It would pay no more than a dollar, and only in the dollars that it knows.
    client.set_spend_controls(False)
    return encode_payment_signature_header(client.create_payment_payload(PaymentRequiredV1.model_validate(challenge)))


def altered(challenge, **changes):
    """The same challenge, asking something else."""
    [offer] = challenge["accepts"]
    return {**challenge, "accepts": [{**offer, **changes}]}


def rewritten(header, change):
    """The header after `change` was done to the payment in it."""
    payment = json.loads(base64.b64decode(header))
    change(payment)
    return base64.b64encode(json.dumps(payment).encode()).decode()
