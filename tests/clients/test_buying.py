"""The buying half through the SDKs: mandates, paid calls, their refusals, and what buyer and seller read of them afterwards."""

import asyncio
import unittest

from loomal import PAYMENT_ERROR_CODES, AsyncLoomal, Loomal, LoomalError
from loomal.types import Mandate
from mailgent import Mailgent

from shop import Client, open_shop
from world import BASE, call, platform, seller


class Buying(unittest.TestCase):
    def setUp(self):
        self.seller = self.client(Loomal, seller("weather").raw_key)
        self.project = platform().identities.create(purpose="BUYER", name="agent")
        self.buyer = self.client(Loomal, self.project.raw_key)
        server, self.url = open_shop(Client(self.seller))
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

    def client(self, kind, key):
        client = kind(api_key=key, base_url=BASE)
        self.addCleanup(client.close)
        return client

    def assert_refused(self, answer, code):
        self.assertEqual((answer["ok"], answer["code"]), (False, code), answer)
        self.assertIn(code, PAYMENT_ERROR_CODES.values())
        self.assertTrue(answer["message"])
        self.assertEqual(self.seller.payments.list()["count"], 0)

    def test_a_mandate_lives_and_is_revoked(self):
        mandates = self.buyer.payments.mandates
        made = mandates.create("0.10", "1.00", network="base")
        self.assertEqual(set(made), set(Mandate.__annotations__))
        self.assertEqual((made["maxPerCallUsdc"], made["dailyCapUsdc"], made["spentTodayUsdc"]), ("0.10", "1.00", "0.00"))
        self.assertEqual((made["identityId"], made["onchainInstalled"], made["installError"]), (self.project.identity_id, True, None))
        self.assertEqual(mandates.get(made["mandateId"]), made)
        later = mandates.create("0.20", "2.00", valid_until="2030-01-01T00:00:00.000Z")
        self.assertEqual(later["validUntil"], "2030-01-01T00:00:00.000Z")
        self.assertEqual([it["mandateId"] for it in mandates.list()["mandates"]], [later["mandateId"], made["mandateId"]])
        mandates.revoke(made["mandateId"])
        self.assertIsNotNone(mandates.get(made["mandateId"])["revokedAt"])
        with self.assertRaises(LoomalError) as refused:
            mandates.create("2.00", "1.00")
        self.assertEqual((refused.exception.status, refused.exception.code), (400, "bad_request"))
        with self.assertRaises(LoomalError) as refused:
            mandates.get("m_none")
        self.assertEqual((refused.exception.status, refused.exception.code), (404, "not_found"))

    def test_a_call_is_paid_within_the_mandate(self):
        mandate = self.buyer.payments.mandates.create("0.05", "0.09")
        dry = self.buyer.payments.pay(self.url, dry_run=True)
        self.assertEqual((dry["ok"], dry["txHash"], dry["cost"]["amountUsdc"]), (True, None, "0.05"))
        self.assertEqual(self.seller.payments.list()["count"], 0)

        paid = self.buyer.payments.pay(self.url)
        self.assertEqual((paid["ok"], paid["status"], paid["content"]), (True, 200, {"weather": "rain"}), paid)
        self.assertEqual(paid["cost"], {"amountUsdc": "0.05", "amountUsdcRaw": "50000", "network": "base"})
        self.assertEqual(paid["balanceAfter"], {"usdc": "999.95", "usdcRaw": "999950000"})
        self.assertEqual((paid["mandate"]["mandateId"], paid["mandate"]["remainingTodayUsdcRaw"]), (mandate["mandateId"], "40000"))

        [sold] = self.seller.payments.list()["payments"]
        self.assertEqual((sold.tx_hash, sold.payer_address, sold.recipient_address), (paid["txHash"], paid["payer"], paid["recipient"]))
        [spent] = self.buyer.payments.activity()["activity"]
        self.assertEqual((spent["direction"], spent["status"], spent["mandateId"]), ("out", "settled", mandate["mandateId"]))
        self.assertEqual((spent["txHash"], spent["counterparty"]), (paid["txHash"], sold.recipient_address))

        again = self.buyer.payments.pay(self.url)
        self.assertEqual((again["ok"], again["code"]), (False, "mandate_daily_cap_exceeded"))
        self.assertEqual(self.seller.payments.list()["count"], 1)

    def test_refusals(self):
        pay, mandates = self.buyer.payments.pay, self.buyer.payments.mandates
        self.assert_refused(pay(self.url), "mandate_not_found")
        small = mandates.create("0.01", "1.00")
        refused = pay(self.url)
        self.assert_refused(refused, "mandate_per_call_exceeded")
        self.assertEqual(refused["cost"], {"amountUsdc": "0.05", "network": "base"})
        mandates.revoke(small["mandateId"])
        self.assert_refused(pay(self.url), "mandate_not_found")
        mandates.create("1.00", "1.00")
        self.assert_refused(pay(f"{BASE}/health/"), "url_not_x402")
        self.assert_refused(pay("http://169.254.169.254/latest"), "url_not_x402")
        self.assert_refused(self.seller.payments.pay(self.url), "unauthorized")
        self.assert_refused(self.client(Loomal, "loid-" + "0" * 64).payments.pay(self.url), "unauthorized")

    def test_asynchronously_and_by_mailgents_sdk(self):
        async def buy():
            async with AsyncLoomal(api_key=self.project.raw_key, base_url=BASE) as loomal:
                mandates = loomal.payments.mandates
                made = await mandates.create("0.05", "1.00")
                paid = await loomal.payments.pay(self.url)
                return made, paid, await mandates.list(), await mandates.get(made["mandateId"])

        made, paid, listed, read = asyncio.run(buy())
        self.assertTrue(paid["ok"], paid)
        self.assertEqual((listed["mandates"], read["spentTodayUsdc"], read["callCount"]), ([read], "0.05", 1))
        mailgent = self.client(Mailgent, self.project.raw_key)
        self.assertTrue(mailgent.payments.pay(self.url)["ok"])
        self.assertEqual(mailgent.payments.activity()["count"], 2)
        mailgent.payments.mandates.revoke(made["mandateId"])
        self.assertEqual(mailgent.payments.pay(self.url)["code"], "mandate_not_found")
        self.assertEqual(self.seller.payments.list()["count"], 2)


class Signing(unittest.TestCase):
    def test_what_a_project_signs_verifies_and_nothing_else(self):
        key = platform().identities.create(purpose="BUYER").raw_key
        signed = call(key, "POST", "/v0/whoami/sign", json={"data": "aGVsbG8="})
        self.assertEqual(signed.status_code, 200, signed.text)
        proof = {name: signed.json()[name] for name in ("signature", "did")}
        for data, verdict in (("aGVsbG8=", True), ("aGVsbG9v", False)):
            answer = call(key, "POST", "/v0/whoami/verify", json={"data": data, **proof})
            self.assertEqual((answer.status_code, answer.json().get("valid")), (200, verdict), answer.text)


if __name__ == "__main__":
    unittest.main()
