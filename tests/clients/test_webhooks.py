"""A registered endpoint's webhook: verified by the SDKs' own functions, with the receipt, under a key that stays the same."""

import json
import queue
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from loomal import Loomal
from loomal.webhook import verify_webhook
from mailgent.webhook import verify_webhook as verify_mailgent

from world import AMOUNT, BASE, RESOURCE, call, pay, seller

SECRET = "whsec_0123456789abcdef"
PATIENCE = 20


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is told; refuses each event the first time, as a receiver does that is being deployed."""

    told, seen = None, None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["X-Loomal-Idempotency-Key"]
        is_first = key not in self.seen
        self.seen.add(key)
        self.told.put((self.headers, body))
        self.send_response(503 if is_first and self.path == "/flaky" else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Webhooks(unittest.TestCase):
    def setUp(self):
        Receiver.told, Receiver.seen = queue.Queue(), set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.project = seller()
        self.loomal = Loomal(api_key=self.project.raw_key, base_url=BASE)
        self.addCleanup(self.loomal.close)

    def register(self, **more):
        url = f"http://127.0.0.1:{self.server.server_port}/hook"
        body = {"urlPattern": RESOURCE, "priceUsdc": AMOUNT, "webhookUrl": url, **more}
        answer = call(self.project.raw_key, "PUT", "/v0/sellers/endpoints", json=body)
        self.assertEqual(answer.status_code, 201, answer.text)
        return answer.json()

    def sell(self, resource=RESOURCE + "?city=Kigali"):
        redeemed = self.loomal.payments.redeem(pay(self.loomal.payments.challenge(AMOUNT, resource=RESOURCE)), resource, AMOUNT)
        self.assertTrue(redeemed["ok"], redeemed)
        return redeemed

    def test_a_payment_is_told_and_verified(self):
        registered = self.register(webhookSecret=SECRET)
        self.assertNotIn(SECRET, json.dumps(registered))
        redeemed = self.sell()
        headers, body = Receiver.told.get(timeout=PATIENCE)
        signature = headers["X-Loomal-Signature"]
        for verify in (verify_webhook, verify_mailgent):
            self.assertTrue(verify(body, signature, SECRET))
            self.assertFalse(verify(body + b" ", signature, SECRET))
            self.assertFalse(verify(body, signature, SECRET + "x"))
        self.assertEqual(headers["X-Loomal-Event"], "payment.received")
        self.assertTrue(headers["X-Loomal-Idempotency-Key"])
        event = json.loads(body)
        self.assertEqual((event["event"], event["id"]), ("payment.received", redeemed["paymentInId"]))
        self.assertEqual(event["endpointId"], registered["endpointId"])
        self.assertEqual(event["signedReceipt"], redeemed["signedReceipt"])
        [row] = call(self.project.raw_key, "GET", "/v0/sellers/endpoints").json()["endpoints"]
        self.assertEqual((row["callCount"], row["revenueUsdcRaw"]), (1, "50000"))

    def test_a_secret_that_is_made_here_is_shown_once_and_signs(self):
        secret = self.register()["webhookSecret"]
        self.assertTrue(secret.startswith("whsec_"))
        self.assertNotIn(secret, call(self.project.raw_key, "GET", "/v0/sellers/endpoints").text)
        self.sell()
        headers, body = Receiver.told.get(timeout=PATIENCE)
        self.assertTrue(verify_webhook(body, headers["X-Loomal-Signature"], secret))

    def test_what_is_told_again_has_the_same_key_and_the_same_body(self):
        url = f"http://127.0.0.1:{self.server.server_port}/flaky"
        self.register(webhookUrl=url, webhookSecret=SECRET)
        self.sell()
        first, again = Receiver.told.get(timeout=PATIENCE), Receiver.told.get(timeout=PATIENCE)
        self.assertEqual(first[0]["X-Loomal-Idempotency-Key"], again[0]["X-Loomal-Idempotency-Key"])
        self.assertEqual(first[1], again[1])
        self.assertTrue(verify_webhook(again[1], again[0]["X-Loomal-Signature"], SECRET))

    def test_of_what_was_taken_away_nothing_is_told(self):
        registered = self.register(webhookSecret=SECRET)
        answer = call(self.project.raw_key, "DELETE", f"/v0/sellers/endpoints/{registered['endpointId']}")
        self.assertEqual((answer.status_code, answer.content), (204, b""))
        redeemed = self.sell()
        self.assertIsNone(self.loomal.payments.get(redeemed["paymentInId"]).endpoint)
        again = self.register(webhookSecret=SECRET)
        self.assertNotEqual(again["endpointId"], registered["endpointId"])
        later = self.sell()
        told = json.loads(Receiver.told.get(timeout=PATIENCE)[1])
        self.assertEqual(told["id"], later["paymentInId"])


if __name__ == "__main__":
    unittest.main()
