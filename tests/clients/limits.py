"""Rate limits, on a server that has them: 200 calls a minute for a project, and an answer that the SDK reads."""

import unittest

from loomal import Loomal, LoomalError

from world import BASE, call, seller

MOST = 200


class Limits(unittest.TestCase):
    def test_a_project_makes_its_calls_and_is_then_told_to_wait(self):
        project, other = seller("hasty"), seller("patient")
        with Loomal(api_key=project.raw_key, base_url=BASE) as loomal:
            answered = 0
            with self.assertRaises(LoomalError) as refused:
                for answered in range(MOST + 5):
                    loomal.identity.whoami()
        self.assertEqual(answered, MOST)
        self.assertEqual((refused.exception.status, refused.exception.code), (429, "rate_limited"))
        self.assertIn("Too many requests", str(refused.exception))
        limited = call(project.raw_key, "GET", "/v0/whoami")
        self.assertEqual(limited.json(), {"error": "rate_limited", "message": "Too many requests", "status": 429})
        self.assertEqual(limited.headers["x-ratelimit-remaining"], "0")
        self.assertRegex(limited.headers["x-ratelimit-reset"], "^[0-9]+$")
        with Loomal(api_key=other.raw_key, base_url=BASE) as patient:
            self.assertEqual(patient.identity.whoami().name, "patient")


if __name__ == "__main__":
    unittest.main()
