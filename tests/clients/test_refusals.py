"""What a seller hears of payments that are not good: a 200 with `ok: false`, where and why, and what to ask the buyer for."""

import base64
import unittest

from loomal import Loomal
from loomal.paywall._core import PaywallConfig, PaywallRouteOptions, verify_and_settle
from x402.schemas.v1 import PaymentRequiredV1

from world import AMOUNT, BASE, RESOURCE, altered, pay, rewritten, seller

STRANGER = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"


class Refusals(unittest.TestCase):
    def setUp(self):
        self.key = seller().raw_key
        self.loomal = Loomal(api_key=self.key, base_url=BASE)
        self.challenge = self.loomal.payments.challenge(AMOUNT, resource=RESOURCE)

    def tearDown(self):
        self.loomal.close()

    def assert_refused(self, header, reason, stage="verify"):
        """Both of the SDK's ways to redeem say so, with a challenge that can be paid, and nothing is sold."""
        config = PaywallConfig(api_key=self.key, base_url=BASE)
        for answer in (
            self.loomal.payments.redeem(header, RESOURCE, AMOUNT),
            verify_and_settle(config, RESOURCE, header, PaywallRouteOptions(amount=AMOUNT)),
        ):
            self.assertEqual((answer["ok"], answer["stage"], answer["reason"]), (False, stage, reason), answer)
            PaymentRequiredV1.model_validate(answer["requirement"])
            self.assertEqual(answer["requirement"]["accepts"][0]["maxAmountRequired"], "50000")
        self.assertEqual([it for it in self.loomal.payments.list()["payments"] if it.status == "settled"], [])
        paid = self.loomal.payments.redeem(pay(answer["requirement"]), RESOURCE, AMOUNT)
        self.assertTrue(paid["ok"], paid)

    def test_another_amount(self):
        for amount in ("49999", "50001"):
            with self.subTest(amount):
                self.setUp()
                self.assert_refused(pay(altered(self.challenge, maxAmountRequired=amount)), "amount_mismatch")

    def test_another_payee(self):
        self.assert_refused(pay(altered(self.challenge, payTo=STRANGER)), "payTo_mismatch")

    def test_ended(self):
        header = pay(altered(self.challenge, maxTimeoutSeconds=1))
        self.assert_refused(header, "invalid_exact_evm_payload_authorization_valid_before")

    def test_another_network(self):
        header = pay(altered(self.challenge, network="base-sepolia"))
        self.assert_refused(header, "invalid_exact_evm_network_mismatch")

    def test_a_token_of_another_name(self):
        extra = {"name": "USDC", "version": "2"}
        self.assert_refused(pay(altered(self.challenge, extra=extra)), "invalid_signature")

    def test_a_signature_that_was_tampered_with(self):
        def tamper(payment):
            signature = payment["payload"]["signature"]
            payment["payload"]["signature"] = signature[:10] + ("0" if signature[10] != "0" else "1") + signature[11:]

        self.assert_refused(rewritten(pay(self.challenge), tamper), "invalid_signature")

    def test_a_sum_that_was_raised_after_signing(self):
        header = pay(altered(self.challenge, maxAmountRequired="1"))
        raised = rewritten(header, lambda it: it["payload"]["authorization"].update(value="50000"))
        self.assert_refused(raised, "invalid_signature")

    def test_what_is_no_payment(self):
        for header in ("garbage", "%%%", base64.b64encode(b"{}").decode(), base64.b64encode(b"[1]").decode(), "x" * 100_000):
            with self.subTest(header[:20]):
                self.setUp()
                self.assert_refused(header, "invalid_payload")

    def test_money_that_is_not_there(self):
        self.challenge = self.loomal.payments.challenge("1000.000001", resource=RESOURCE)
        answer = self.loomal.payments.redeem(pay(self.challenge), RESOURCE, "1000.000001")
        self.assertEqual((answer["ok"], answer["stage"]), (False, "verify"))
        self.assertEqual(answer["reason"], "invalid_exact_evm_insufficient_balance")

    def test_what_was_sold_already(self):
        header = pay(self.challenge)
        self.assertTrue(self.loomal.payments.redeem(header, RESOURCE, AMOUNT)["ok"])
        dearer = self.loomal.payments.redeem(header, RESOURCE, "0.06")
        self.assertEqual((dearer["ok"], dearer["stage"]), (False, "settle"))
        self.assertEqual(dearer["reason"], "invalid_exact_evm_nonce_already_used")
        self.assertEqual(self.loomal.payments.list()["count"], 1)


if __name__ == "__main__":
    unittest.main()
