"""Every method of loomal-sdk 0.6.2 and mailgent-sdk that the server has a route for, read by the SDKs' own dataclasses."""

import asyncio
import unittest

from eth_account import Account
from loomal import AsyncLoomal, AsyncLoomalPlatform, Loomal, LoomalError, LoomalPlatform
from mailgent import Mailgent, MailgentPlatform
from mailgent._errors import MailgentApiError

from world import AMOUNT, BASE, PLATFORM_KEY, RESOURCE, call, pay, seller

ACCEPT = ["payments:accept"]


class Payments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = seller("Reports")
        cls.loomal = Loomal(api_key=cls.project.raw_key, base_url=BASE)
        call(cls.project.raw_key, "PUT", "/v0/sellers/endpoints", json={"urlPattern": RESOURCE, "priceUsdc": AMOUNT})
        cls.buyer = Account.create()
        cls.redeemed = []
        for resource in (RESOURCE + "?city=Kigali", "tool", RESOURCE):
            header = pay({**cls.loomal.payments.challenge(AMOUNT, resource=RESOURCE)}, cls.buyer)
            cls.redeemed.append(cls.loomal.payments.redeem(header, resource, AMOUNT))

    @classmethod
    def tearDownClass(cls):
        cls.loomal.close()

    def test_redeem_answers_what_the_documents_say(self):
        for answer in self.redeemed:
            self.assertTrue(answer["ok"], answer)
            self.assertEqual(answer["payer"], self.buyer.address)
            self.assertRegex(answer["txHash"], "^0x[0-9a-f]{64}$")
            self.assertNotIn("recordingFailed", answer)

    def test_list_is_newest_first_and_in_pages(self):
        listed = self.loomal.payments.list()
        self.assertEqual(listed["count"], 3)
        self.assertEqual([it.id for it in listed["payments"]], [it["paymentInId"] for it in reversed(self.redeemed)])
        latest, tool, first = listed["payments"]
        self.assertEqual((first.endpoint.url_pattern, first.endpoint.price_usdc), (RESOURCE, AMOUNT))
        self.assertEqual((first.resource_url, first.endpoint_id), (RESOURCE, first.endpoint.id))
        self.assertEqual((tool.resource_url, tool.endpoint, tool.endpoint_id), ("tool", None, None))
        self.assertEqual((latest.status, latest.amount_usdc_raw, latest.failure_reason), ("settled", "50000", None))
        self.assertEqual([it.id for it in self.loomal.payments.list(limit=1)["payments"]], [latest.id])

        seen, token = [], ""
        while token is not None:
            page = call(self.project.raw_key, "GET", f"/v0/payments?limit=2&pageToken={token}").json()
            seen += [it["id"] for it in page["payments"]]
            token = page.get("nextPageToken")
        self.assertEqual(seen, [it.id for it in listed["payments"]])

    def test_get_has_the_receipt(self):
        payment = self.loomal.payments.get(self.redeemed[0]["paymentInId"])
        self.assertEqual(payment.signed_receipt.body.payment_in_id, payment.id)
        self.assertEqual(payment.signed_receipt.body.identity_id, self.project.identity_id)
        self.assertEqual(payment.signed_receipt.body.tx_hash, payment.tx_hash)
        self.assertRegex(payment.authorization_nonce, "^0x[0-9a-f]{64}$")
        self.assertEqual(payment.payer_address, self.buyer.address)

    def test_activity(self):
        feed = self.loomal.payments.activity(limit=2)
        self.assertEqual((feed["count"], len(feed["activity"])), (2, 2))
        row = feed["activity"][0]
        self.assertEqual((row["direction"], row["counterparty"], row["status"]), ("in", self.buyer.address, "settled"))

    def test_the_public_feed_shows_who_asked_and_nobody_else(self):
        shown, hidden = "https://api.example.com/shown", "https://api.example.com/hidden"
        for url, listed in ((shown, True), (hidden, False)):
            body = {"urlPattern": url, "priceUsdc": AMOUNT, "listed": listed, "title": "Weather", "category": "weather"}
            self.assertEqual(call(self.project.raw_key, "PUT", "/v0/sellers/endpoints", json=body).status_code, 201)
        feed = call(None, "GET", "/v0/discover?category=weather").json()
        [entry] = feed["endpoints"]
        self.assertEqual((feed["version"], feed["nextCursor"], entry["url"]), ("1", None, shown))
        self.assertEqual(entry["price"], {"amountUsdc": AMOUNT, "network": "base"})
        self.assertEqual((entry["title"], entry["method"]), ("Weather", "GET"))

    def test_another_projects_payment_is_not_found(self):
        with Loomal(api_key=seller().raw_key, base_url=BASE) as stranger:
            with self.assertRaises(LoomalError) as refused:
                stranger.payments.get(self.redeemed[0]["paymentInId"])
        self.assertEqual((refused.exception.status, str(refused.exception.code)), (404, "not_found"))
        self.assertIn("Payment not found", str(refused.exception))

    def test_asynchronously(self):
        async def all_of_it():
            async with AsyncLoomal(api_key=self.project.raw_key, base_url=BASE) as loomal:
                challenge = await loomal.payments.challenge("0.01", resource=RESOURCE, description="x" * 600)
                listed = await loomal.payments.list()
                payment = await loomal.payments.get(listed["payments"][0].id)
                return challenge, listed, payment, await loomal.payments.activity(), await loomal.identity.whoami()

        challenge, listed, payment, feed, who = asyncio.run(all_of_it())
        self.assertEqual(challenge["accepts"][0]["maxAmountRequired"], "10000")
        self.assertEqual(listed["count"], feed["count"])
        self.assertEqual(payment.id, listed["payments"][0].id)
        self.assertEqual(who.identity_id, self.project.identity_id)

    def test_mailgents_sdk_reads_the_same(self):
        with Mailgent(api_key=self.project.raw_key, base_url=BASE) as mailgent:
            listed = mailgent.payments.list()
            self.assertEqual(listed["count"], 3)
            self.assertEqual(mailgent.payments.get(listed["payments"][0].id).status, "settled")
            self.assertEqual(mailgent.payments.activity()["count"], 3)
            self.assertEqual(mailgent.identity.whoami().identity_id, self.project.identity_id)
            self.assertEqual(mailgent.did.resolve(self.project.identity_id).id, self.loomal.did.resolve(self.project.identity_id).id)
            with self.assertRaises(MailgentApiError) as refused:
                mailgent.payments.get("pi_none")
            self.assertEqual(refused.exception.status, 404)


class Identities(unittest.TestCase):
    def test_whoami_of_a_project(self):
        made = seller("A bakery")
        with Loomal(api_key=made.raw_key, base_url=BASE) as loomal:
            who = loomal.identity.whoami()
        self.assertEqual((who.identity_id, who.name, who.purpose, who.type), (made.identity_id, "A bakery", "SELLER", "INBOX"))
        self.assertEqual(who.scopes, ACCEPT)

    def test_whoami_of_the_platform(self):
        made = seller("Seen by its platform")
        answer = call(PLATFORM_KEY, "GET", "/v0/whoami").json()
        self.assertEqual(answer["org"]["name"], "Ada")
        self.assertTrue(PLATFORM_KEY.startswith(answer["apiKeyPrefix"]))
        self.assertIn(made.identity_id, [it["identityId"] for it in answer["identities"]])

    def test_the_life_of_an_identity(self):
        for name, Platform, Client, error in (
            ("loomal", LoomalPlatform, Loomal, LoomalError),
            ("mailgent", MailgentPlatform, Mailgent, MailgentApiError),
        ):
            with self.subTest(name), Platform(api_key=PLATFORM_KEY, base_url=BASE) as platform:
                identities = platform.identities
                made = identities.create(purpose="SELLER", name="Shop", scopes=[*ACCEPT, "identity:sign", "no:such"])
                self.assertRegex(made.raw_key, "^loid-[0-9a-f]{64}$")
                self.assertEqual(made.raw_key[:13], made.api_key_prefix)
                self.assertEqual((made.purpose, made.email_address, made.scopes), ("SELLER", None, [*ACCEPT, "identity:sign"]))

                one = identities.get(made.identity_id)
                self.assertEqual((one.name, one.api_key_prefix, one.last_used_at), ("Shop", made.api_key_prefix, None))
                changed = identities.update(made.identity_id, name="Store", remove_scopes=["identity:sign"])
                self.assertEqual((changed["name"], changed["scopes"]), ("Store", ACCEPT))
                self.assertEqual(identities.update_scopes(made.identity_id, add_scopes=["payments:spend"])["scopes"], [*ACCEPT, "payments:spend"])

                rotated = identities.rotate_key(made.identity_id)
                self.assertNotEqual(rotated.raw_key, made.raw_key)
                with Client(api_key=made.raw_key, base_url=BASE) as old, self.assertRaises(error) as refused:
                    old.identity.whoami()
                self.assertEqual(refused.exception.status, 401)
                with Client(api_key=rotated.raw_key, base_url=BASE) as new:
                    self.assertEqual(new.identity.whoami().name, "Store")
                    self.assertIsNone(identities.delete(made.identity_id))
                    with self.assertRaises(error) as refused:
                        new.identity.whoami()
                    self.assertEqual(refused.exception.status, 401)
                    # Receipts are checked for ever.
                    new.did.resolve(made.identity_id)
                with self.assertRaises(error) as refused:
                    identities.get(made.identity_id)
                self.assertEqual(refused.exception.status, 404)

    def test_a_buyer_is_made_of_nothing(self):
        with LoomalPlatform(api_key=PLATFORM_KEY, base_url=BASE) as platform:
            made = platform.identities.create()
            self.assertEqual(made.purpose, "BUYER")
            self.assertRegex(made.name, "^[a-z]+-[a-z]+-[a-z]+$")
            self.assertIn("payments:spend", made.scopes)
            self.assertNotIn("payments:accept", made.scopes)

    def test_list_in_pages(self):
        with LoomalPlatform(api_key=PLATFORM_KEY, base_url=BASE) as platform:
            made = [platform.identities.create(name=f"Page {number}").identity_id for number in range(3)]
            first = platform.identities.list(limit=2)
            self.assertEqual([it.identity_id for it in first["identities"]], [made[2], made[1]])
            second = platform.identities.list(limit=2, page_token=first["next_page_token"])
            self.assertEqual(second["identities"][0].identity_id, made[0])

    def test_asynchronously(self):
        async def life():
            platform = AsyncLoomalPlatform(api_key=PLATFORM_KEY, base_url=BASE)
            identities = platform.identities
            made = await identities.create(purpose="SELLER", name="Async")
            await identities.update(made.identity_id, name="Later")
            await identities.rotate_key(made.identity_id)
            one = await identities.get(made.identity_id)
            listed = await identities.list(limit=1)
            await identities.delete(made.identity_id)
            return one, listed

        one, listed = asyncio.run(life())
        self.assertEqual((one.name, listed["identities"][0].identity_id), ("Later", one.identity_id))

    def test_did_documents(self):
        made = seller()
        with Loomal(api_key=made.raw_key, base_url=BASE) as loomal:
            own = loomal.did.resolve(made.identity_id)
            self.assertTrue(own.id.endswith(f":identities:{made.identity_id}"))
            self.assertEqual(own.assertion_method, [own.verification_method[0]["id"]])
            self.assertEqual(loomal.did.resolve_domain().service[0]["type"], "MCPServer")


if __name__ == "__main__":
    unittest.main()
