//! The pages that links in letters open: forms that work without script, and addresses that go nowhere else.

use loopd_testkit::{Answer, Client, each_engine, json};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{World, eventually};

async fn send(client: &Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let encode = |text: &str| {
        text.bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect::<String>()
    };
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    client.post(path).body("application/x-www-form-urlencoded", body.join("&")).await
}

/// What every page of a letter must be.
#[track_caller]
fn assert_discreet(answer: &Answer) {
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cache-control"), "no-store");
    assert!(header("content-type").starts_with("text/html"));
    let policy = header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("form-action 'self'")
            && !policy.contains("script-src")
    );
    let page = answer.text();
    assert!(!page.contains("<script") && !page.contains("://"), "{page}");
}

/// The mailbox, asked for under another name of this machine's.
async fn ask_by_name(base: &str, host: &str) -> String {
    let address = base.strip_prefix("http://").expect("tests speak plain http");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    let request = format!("GET /sandbox/mail/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer in words");
    answer
}

each_engine! {
    async fn an_invitation_is_accepted_in_a_browser_without_script(world: &World) {
        let owner = world.owner().await;
        owner.make("/api/v1/invitations/", json!({"email": "grace@example.com", "role": "staff"})).await;
        let letter = world.letter("grace@example.com", "invitation").await;
        let token = letter.token();
        let path = format!("/account/invitation/?token={token}");
        assert!(letter.text.contains(&format!("{}{path}", world.base)));
        let browser = world.client().with_header("accept", "text/html,application/xhtml+xml,*/*;q=0.8").with_header("sec-fetch-site", "same-origin");
        for _ in 0..2 {
            let shown = browser.get(&path).await.expect_status(200);
            assert_discreet(&shown);
            assert!(shown.text().contains("owner Ltd") && shown.text().contains("name=\"username\""));
        }
        let weak = [("token", token.as_str()), ("action", "accept"), ("username", "gr<ace>"), ("password", "12345678")];
        let again = send(&browser, "/account/invitation/", &weak).await.expect_status(400);
        assert_discreet(&again);
        assert!(again.text().contains("Too common.") && again.text().contains("value=\"gr&lt;ace&gt;\"") && !again.text().contains("12345678"));
        let good = [("token", token.as_str()), ("action", "accept"), ("username", "grace"), ("password", "strongpass123")];
        let done = send(&browser, "/account/invitation/", &good).await.expect_status(200);
        assert_discreet(&done);
        let grace = world.sign_in("grace@example.com", "001").await;
        grace.get("/api/v1/auth/me/").await.expect_status(200);
        let dead = browser.get(&path).await.expect_status(400);
        assert!(dead.text().contains("not valid any more"));
        assert_discreet(&dead);
    }

    async fn an_invitation_is_declined_in_a_browser(world: &World) {
        let owner = world.owner().await;
        let id = owner.make("/api/v1/invitations/", json!({"email": "grace@example.com", "role": "staff"})).await;
        let token = world.letter("grace@example.com", "invitation").await.token();
        send(&world.client(), "/account/invitation/", &[("token", &token), ("action", "decline")]).await.expect_status(200);
        let row = owner.get(&format!("/api/v1/invitations/{id}/")).await.expect_status(200);
        assert_eq!(row.text_at("/status"), "declined");
    }

    async fn the_page_of_signing_in_keeps_nothing_and_asks_this_server_alone(world: &World) {
        for (path, language, words) in [("/account/sign-in/", "fr", "Se connecter"), ("/account/security/", "rw", "Umutekano wa konti yawe")] {
            let shown = world.client().with_header("accept-language", language).get(path).await.expect_status(200);
            let policy = shown.header("content-security-policy").unwrap_or_default();
            for directive in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'self'"] {
                assert!(policy.contains(directive), "{policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!((shown.header("cache-control"), shown.header("referrer-policy")), (Some("no-store"), Some("no-referrer")));
            assert_eq!(shown.header("set-cookie"), None);
            assert!(shown.text().contains(words) && !shown.text().contains("://"), "{}", shown.text());
        }
    }

    async fn a_form_of_another_site_is_refused(world: &World) {
        let owner = world.owner().await;
        owner.make("/api/v1/invitations/", json!({"email": "grace@example.com", "role": "staff"})).await;
        let token = world.letter("grace@example.com", "invitation").await.token();
        let form = [("token", token.as_str()), ("action", "decline")];
        for (name, value) in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example")] {
            let answer = send(&world.client().with_header(name, value), "/account/invitation/", &form).await.expect_status(403);
            assert_discreet(&answer);
        }
        for (name, value) in [("origin", "null"), ("origin", world.base.as_str()), ("sec-fetch-site", "none")] {
            let client = world.client().with_header(name, value);
            send(&client, "/account/verify/", &[("token", "nonsense")]).await.expect_status(400);
        }
        send(&world.client(), "/account/invitation/", &form).await.expect_status(200);
    }

    async fn a_forgotten_password_is_set_in_a_browser(world: &World) {
        let owner = world.owner().await;
        let browser = world.client().with_header("accept-language", "sw, rw;q=0.8, en");
        let asked = browser.get("/account/forgot/").await.expect_status(200);
        assert!(asked.text().contains("Wibagiwe ijambobanga?") && asked.text().contains("lang=\"rw\""));
        send(&browser, "/account/forgot/", &[("email", "no address")]).await.expect_status(400);
        send(&browser, "/account/forgot/", &[("email", &owner.email)]).await.expect_status(200);
        eventually("the letter is written", async || !world.letters_of(&owner.email, "password-reset").await.is_empty()).await;
        let token = world.letter(&owner.email, "password-reset").await.token();
        let path = format!("/account/password/?token={token}");
        assert_discreet(&browser.get(&path).await.expect_status(200));
        send(&browser, "/account/password/", &[("token", &token), ("password", "short")]).await.expect_status(400);
        send(&browser, "/account/password/", &[("token", &token), ("password", "another pass 456")]).await.expect_status(200);
        owner.get("/api/v1/auth/me/").await.expect_refusal(401, "token_not_valid");
        browser.get(&path).await.expect_status(400);
    }

    async fn opening_a_link_changes_nothing_until_a_button_is_pressed(world: &World) {
        let owner = world.owner().await;
        let token = world.letter(&owner.email, "verify-email").await.token();
        let path = format!("/account/verify/?token={token}");
        for _ in 0..2 {
            assert_discreet(&world.client().get(&path).await.expect_status(200));
        }
        assert_eq!(owner.get("/api/v1/auth/me/").await.at("/user/email_verified"), json!(false));
        for password in ["", "not this one"] {
            let again = send(&world.client(), "/account/verify/", &[("token", &token), ("password", password)]).await.expect_status(400);
            assert_discreet(&again);
            assert!(again.text().contains("type=\"password\""), "{}", again.text());
        }
        let form = [("token", token.as_str()), ("password", "strongpass123")];
        let done = send(&world.client(), "/account/verify/", &form).await.expect_status(200);
        assert!(done.text().contains(&owner.email));
        assert_eq!(owner.get("/api/v1/auth/me/").await.at("/user/email_verified"), json!(true));
        let other = world.register("other").await;
        owner.post("/api/v1/auth/merge/").json(&json!({"email": other.email, "password": "strongpass123"})).await.expect_status(202);
        let token = world.letter(&other.email, "account-merge").await.token();
        let shown = world.client().get(&format!("/account/merge/?token={token}")).await.expect_status(200);
        assert_discreet(&shown);
        assert!(shown.text().contains(&other.email) && shown.text().contains(&owner.email));
        other.get("/api/v1/auth/me/").await.expect_status(200);
        send(&world.client(), "/account/merge/", &[("token", &token)]).await.expect_status(200);
        other.get("/api/v1/auth/me/").await.expect_refusal(401, "user_inactive");
    }

    async fn the_sandboxs_mailbox_is_for_whoever_sits_here(world: &World) {
        let owner = world.owner().await;
        let here = Client::new(&world.base);
        let list = here.get("/sandbox/mail/").await.expect_status(200).text();
        assert!(list.contains("Confirm your e-mail address") && list.contains(&owner.email) && list.contains("Sandbox"));
        let item = list.split("/sandbox/mail/").find(|rest| rest.len() > 36 && rest.as_bytes()[36] == b'/').expect("a letter")[..36].to_owned();
        let letter = here.get(&format!("/sandbox/mail/{item}/")).await.expect_status(200).text();
        assert!(letter.contains("/account/verify/?token="));
        let html = here.get(&format!("/sandbox/mail/{item}/html/")).await.expect_status(200);
        assert!(html.headers["content-security-policy"].to_str().is_ok_and(|policy| policy.contains("sandbox")));
        for stranger in [
            world.client(),
            here.with_header("forwarded", "for=203.0.113.7"),
            here.with_header("x-forwarded-host", "localhost"),
        ] {
            for path in ["/sandbox/mail/", &format!("/sandbox/mail/{item}/"), &format!("/sandbox/mail/{item}/html/")] {
                stranger.get(path).await.expect_status(404);
            }
        }
        // A name of somebody else's that leads here by their DNS.
        assert!(ask_by_name(&world.base, "evil.example:8000").await.starts_with("HTTP/1.1 404"));
        assert!(ask_by_name(&world.base, "localhost:8000").await.starts_with("HTTP/1.1 200"));
    }
}
