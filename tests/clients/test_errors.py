"""Every error under /v0 is read by the SDK: `{error, message, status}`, whatever refuses."""

import unittest

from loomal import Loomal, LoomalError, LoomalPlatform

from world import AMOUNT, BASE, PLATFORM_KEY, call, platform, seller

UNKNOWN = "0" * 64


class Errors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = seller()

    def assert_error(self, work, status, code, words):
        with self.assertRaises(LoomalError) as refused:
            work()
        self.assertEqual((refused.exception.status, refused.exception.code), (status, code))
        self.assertIn(words, str(refused.exception))

    def with_key(self, key):
        client = Loomal(api_key=key, base_url=BASE)
        self.addCleanup(client.close)
        return client

    def test_keys(self):
        whoami = lambda key: lambda: self.with_key(key).identity.whoami()
        self.assert_error(whoami("nonsense"), 401, "unauthorized", "Invalid API key format")
        self.assert_error(whoami("mgent-test"), 401, "unauthorized", "Invalid API key format")
        self.assert_error(whoami("loid-test"), 401, "unauthorized", "Invalid API key")
        self.assert_error(whoami(f"loid-{UNKNOWN}"), 401, "unauthorized", "Invalid API key")
        self.assert_error(whoami(f"lopk-{UNKNOWN}"), 401, "unauthorized", "Invalid API key")
        missing = call(None, "GET", "/v0/payments")
        self.assertEqual(
            missing.json(), {"error": "unauthorized", "message": "Missing or invalid Authorization header", "status": 401}
        )

    def test_the_other_kind_of_key(self):
        self.assert_error(lambda: self.with_key(PLATFORM_KEY).payments.list(), 403, "forbidden", "the other kind of key")
        manager = LoomalPlatform(api_key=self.project.raw_key, base_url=BASE)
        self.addCleanup(manager.close)
        self.assert_error(lambda: manager.identities.list(), 403, "forbidden", "the other kind of key")

    def test_scopes(self):
        buyer = platform().identities.create(purpose="BUYER")
        payments = self.with_key(buyer.raw_key).payments
        words = "Missing required scope: payments:accept"
        self.assert_error(lambda: payments.challenge(AMOUNT), 403, "forbidden", words)
        self.assert_error(lambda: payments.redeem("x", "x", AMOUNT), 403, "forbidden", words)
        self.assert_error(lambda: payments.list(), 403, "forbidden", words)
        self.assertEqual(payments.activity(), {"activity": [], "count": 0})

    def test_bodies(self):
        client = self.with_key(self.project.raw_key)
        for amount in ("0", "-1", "0.0000001", "many", "1e3", "99999999999"):
            self.assert_error(lambda: client.payments.challenge(amount), 400, "bad_request", "amount must be")
        self.assert_error(lambda: client.payments.challenge(""), 400, "bad_request", "amount and resource are required")
        self.assert_error(lambda: client.payments.challenge(AMOUNT, network="mars"), 400, "bad_request", "network must be")
        self.assert_error(lambda: client.payments.redeem("", "x", AMOUNT), 400, "bad_request", "paymentHeader is required")
        self.assert_error(lambda: client._http.get("/v0/payments", params={"limit": "no"}), 400, "bad_request", "limit")
        self.assert_error(lambda: client._http.get("/v0/payments", params={"pageToken": "no"}), 400, "bad_request", "pageToken")
        self.assert_error(lambda: platform().identities.create(purpose="THIEF"), 400, "bad_request", "purpose must be")

    def test_what_the_router_refuses(self):
        http = self.with_key(self.project.raw_key)._http
        self.assert_error(lambda: http.get("/v0/no-such-thing"), 404, "not_found", "")
        self.assert_error(lambda: http.get("/v0/payments/pi_none"), 404, "not_found", "Payment not found")
        self.assert_error(lambda: http.delete("/v0/payments"), 405, "method_not_allowed", "")
        self.assert_error(
            lambda: http.post("/v0/payments/challenge", json={"amount": AMOUNT, "resource": "x" * 2_200_000}),
            413, "payload_too_large", "",
        )

    def test_every_error_has_its_three_members(self):
        key = self.project.raw_key
        answers = [
            call(None, "GET", "/v0/whoami"),
            call(key, "GET", "/v0/platform/identities"),
            call(key, "GET", "/v0/nowhere"),
            call(key, "PUT", "/v0/whoami"),
            call(key, "POST", "/v0/payments/challenge", content=b"{"),
            call(key, "POST", "/v0/payments/challenge", content=b"[]"),
            call(key, "POST", "/v0/payments/challenge", content=b"x" * 2_200_000),
            call(key, "DELETE", "/v0/sellers/endpoints/se_none"),
        ]
        for answer in answers:
            with self.subTest(f"{answer.request.method} {answer.request.url.path} {answer.status_code}"):
                self.assertEqual(answer.headers["content-type"].split(";")[0], "application/json")
                body = answer.json()
                self.assertEqual(list(body), ["error", "message", "status"])
                self.assertEqual(body["status"], answer.status_code)
                self.assertRegex(body["error"], "^[a-z_]+$")
                self.assertTrue(body["message"])
        self.assertEqual([it.status_code for it in answers], [401, 403, 404, 405, 400, 400, 413, 404])

    def test_a_body_that_is_announced_and_not_there_is_none(self):
        made = seller()
        for method, path, key in (
            ("GET", "/v0/whoami", made.raw_key),
            ("POST", f"/v0/platform/identities/{made.identity_id}/rotate-key", PLATFORM_KEY),
            ("POST", "/v0/platform/identities", PLATFORM_KEY),
            ("DELETE", f"/v0/platform/identities/{made.identity_id}", PLATFORM_KEY),
        ):
            answer = call(key, method, path)
            self.assertTrue(answer.is_success, (method, path, answer.text))


if __name__ == "__main__":
    unittest.main()
