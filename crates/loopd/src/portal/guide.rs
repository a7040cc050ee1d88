//! "Your first five minutes": from nothing to a record in one's own company, with what comes back at each step.

use maud::{Markup, html};

use super::{
    components::{code_block, code_tabs},
    info::PortalInfo,
};

const CREATED: &str = r#"201 Created

{
  "id": "0197a1c2-…",
  "company": "001",
  "number": "APT-000001",
  "title": "Haircut, Aline",
  "status": "draft",
  "created_at": "2026-06-22T10:00:00.000000Z",
  "version": 1
}"#;

const REGISTERED: &str = r#"201 Created

{
  "user": { "email": "you@example.com", "username": "you" },
  "company": { "code": "001", "name": "Your Shop" },
  "membership": { "role": "owner", "status": "active" },
  "access": "eyJhbGciOi…",
  "refresh": "eyJhbGciOi…",
  "token_type": "Bearer",
  "expires_in": 1800
}"#;

const REFUSED: &str = r#"400 Bad Request

{
  "error": {
    "code": "validation_error",
    "message": "Some fields are not valid.",
    "status": 400,
    "details": {
      "title": [{ "code": "required", "message": "This field is required." }]
    },
    "request_id": "0197a1c2-…"
  }
}"#;

pub(super) fn section(info: &PortalInfo) -> Markup {
    let base = &info.base_url;
    html! {
        section.guide #five-minutes aria-labelledby="guide-title" {
            h2 #guide-title { "Your first five minutes" }
            p.lead { "Four commands in a terminal take you from nothing to the first record in your own company." }
            ol.steps {
                (step("Register", html! {
                    "One call makes your account, your company and its first workspace, and signs you in. Choose your own email and password."
                }, "Register", &register(base), "What comes back", REGISTERED))
                (step("Keep the token", html! {
                    "Copy the value of " code { "access" } " from the answer, and your company's code. The token lives half an hour; "
                    code { "POST /api/v1/auth/refresh/" } " with the " code { "refresh" } " value gives a new pair."
                }, "Keep the token", "export TOKEN='paste the access value here'\nexport COMPANY='001'", "", ""))
                (step("Make the first call", html! {
                    "Two headers say who you are and which company you work in. A title is enough; times, prices and customers can come later."
                }, "First call", &create(base), "What comes back", CREATED))
                (step("Read it back", html! {
                    "Every collection lists in pages and takes " code { "search" } ", " code { "ordering" } ", " code { "status" }
                    " and filters on its fields. Only your own company's records are ever in it."
                }, "Read it back", &list(base), "", ""))
            }
            details.more {
                summary { "The same as one script, in JavaScript or Python" }
                (code_tabs("guide-script", "The first five minutes as a script", &[
                    ("JavaScript", SCRIPT_JS.replace("{base}", base)),
                    ("Python", SCRIPT_PYTHON.replace("{base}", base)),
                ]))
            }
            details.more {
                summary { "When a call is refused" }
                p {
                    "Every refusal has the same shape: a code for your program, a message for your log, and the fields concerned. Quote the "
                    code { "request_id" } " when you ask for help."
                }
                (code_block("The error envelope", REFUSED))
                ul.points {
                    li { code { "401" } ": the token is missing, expired or wrong. Sign in again or refresh." }
                    li { code { "403 company_access_denied" } ": you are not an active member of that company code." }
                    li { code { "409 idempotency_conflict" } ": the same " code { "Idempotency-Key" } " was used with another body." }
                    li { code { "429" } ": too many calls. " code { "Retry-After" } " says how many seconds to wait." }
                }
                p { "Send an " code { "Idempotency-Key" } " with every call that creates something: a repeat after a lost connection then gets the first answer again and never a second record." }
            }
        }
    }
}

fn step(title: &str, words: Markup, caption: &str, command: &str, answer_caption: &str, answer: &str) -> Markup {
    html! {
        li {
            div.step-words { h3 { (title) } p { (words) } }
            div.step-code {
                (code_block(caption, command))
                @if !answer.is_empty() { details.answer { summary { (answer_caption) } (code_block(&format!("{caption}: {answer_caption}"), answer)) } }
            }
        }
    }
}

fn register(base: &str) -> String {
    format!(
        "curl -X POST {base}/api/v1/auth/register/ \\\n  -H \"Content-Type: application/json\" \\\n  \
         -d '{{\"email\":\"you@example.com\",\"username\":\"you\",\"password\":\"a-long-password\",\"company_name\":\"Your Shop\"}}'"
    )
}

fn create(base: &str) -> String {
    format!(
        "curl -X POST {base}/api/v1/booking/appointments/ \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  -H \"X-Company-ID: $COMPANY\" \\\n  \
         -H \"Content-Type: application/json\" \\\n  -d '{{\"title\":\"Haircut, Aline\",\"description\":\"First visit\"}}'"
    )
}

fn list(base: &str) -> String {
    format!(
        "curl \"{base}/api/v1/booking/appointments/?search=aline\" \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  \
         -H \"X-Company-ID: $COMPANY\""
    )
}

const SCRIPT_JS: &str = r#"const api = "{base}/api/v1";

async function call(method, path, { token, company, body } = {}) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (company) headers["X-Company-ID"] = company;
  if (method === "POST") headers["Idempotency-Key"] = crypto.randomUUID();
  const response = await fetch(api + path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.error.code}: ${answer.error.message}`);
  return answer;
}

const account = await call("POST", "/auth/register/", {
  body: { email: "you@example.com", username: "you", password: "a-long-password", company_name: "Your Shop" },
});
const me = { token: account.access, company: account.company.code };

await call("POST", "/booking/appointments/", { ...me, body: { title: "Haircut, Aline" } });
const page = await call("GET", "/booking/appointments/?search=aline", me);
console.log(page.count, page.results.map((appointment) => appointment.number));"#;

const SCRIPT_PYTHON: &str = r#"import uuid

import requests

api = "{base}/api/v1"


def call(session, method, path, body=None):
    headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
    response = session.request(method, api + path, json=body, headers=headers, timeout=30)
    answer = response.json()
    if not response.ok:
        raise RuntimeError(f"{answer['error']['code']}: {answer['error']['message']}")
    return answer


session = requests.Session()
account = call(session, "POST", "/auth/register/", {
    "email": "you@example.com",
    "username": "you",
    "password": "a-long-password",
    "company_name": "Your Shop",
})
session.headers["Authorization"] = f"Bearer {account['access']}"
session.headers["X-Company-ID"] = account["company"]["code"]

call(session, "POST", "/booking/appointments/", {"title": "Haircut, Aline"})
page = call(session, "GET", "/booking/appointments/?search=aline")
print(page["count"], [appointment["number"] for appointment in page["results"]])"#;
