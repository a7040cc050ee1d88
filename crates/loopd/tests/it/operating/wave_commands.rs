//! `loopd wave` and `loopd demo wave`: the sandbox from the command line, beside a running server and without one.

use loopd_testkit::json;
use serde_json::Value;

use crate::support::{Program, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_is_played_with_beside_a_running_server() {
    let program = Program::fresh();
    let server = program.serve();
    let owner = server.owner().await;
    let linked = program.json(&["wave", "link", "+250788000001", "--label", "Shop"]);
    let number = linked["number"].as_str().expect("a number").to_owned();
    let said = program.say(&["wave", "receive", &number, "250788123456", "Is it open?", "--name", "Aline"]);
    assert!(said.contains("in the inbox"), "{said}");
    let chats = owner.get("/api/v1/loopwave/chats/").await.expect_status(200).json();
    let chat = &chats["results"][0];
    assert_eq!(
        (&chat["name"], &chat["last_message"], &chat["unread_count"]),
        (&json!("Aline"), &json!("Is it open?"), &json!(1))
    );
    let thread = format!("/api/v1/loopwave/chats/{}/messages/", chat["id"].as_str().expect("an id"));
    let held = || program.json(&["wave", "phone", &number, "250788123456"]);
    owner.post(&thread).json(&json!({"text": "Until six."})).await.expect_status(202);
    eventually("her telephone has it", async || held()[0]["text"] == "*dev:*\nUntil six.").await;
    let behaves =
        program.json(&["wave", "behave", &number, "--fail-next", "1", "--fail-how", "refused", "--never-read"]);
    assert_eq!((&behaves["fail_next"], &behaves["read_after_ms"]), (&json!(1), &Value::Null));
    owner.post(&thread).json(&json!({"text": "Lost"})).await.expect_status(202);
    eventually("it failed", async || owner.get(&thread).await.at("/results/0/status") == "failed").await;
    let banned = program.say(&["wave", "ban", &number, "--minutes", "30", "--reason", "spam"]);
    assert!(banned.contains("Banned until") && banned.contains("spam"), "{banned}");
    let row = owner.get("/api/v1/loopwave/numbers/").await.expect_status(200);
    assert!(row.at("/results/0/paused_until").is_string());
    program.say(&["wave", "lift", &number]);
    assert_eq!(owner.get("/api/v1/loopwave/numbers/").await.at("/results/0/paused_until"), json!(null));
    for (arguments, words) in [
        (["wave", "receive", "n0", "250788123456", "Hi"].as_slice(), "there is no number n0"),
        (&["wave", "receive", &number, "moses", "Hi"], "no telephone number"),
        (&["wave", "behave", &number, "--fail-how", "loudly"], "none of refused"),
        (&["wave", "behave", &number, "--fail-percent", "200"], "fail_percent"),
        (&["wave", "link", "moses"], "digits and a country code"),
    ] {
        let told = program.refused(arguments);
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
    assert_eq!(held().as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_morning_is_played_and_played_again() {
    let program = Program::fresh();
    let first = program.json(&["demo", "wave"]);
    let logins = first["logins"].as_array().expect("logins").clone();
    assert_eq!(logins.len(), 3, "an owner and two agents: {first}");
    let inbox = &first["inbox"];
    assert!(inbox["chats"].as_i64() >= Some(9) && inbox["waiting"].as_i64() >= Some(2), "{first}");
    let server = program.serve();
    let sign_in = async |login: &Value| {
        let answer = server.client().post("/api/v1/auth/login/").json(login).await.expect_status(200);
        server.client().with_token(&answer.text_at("/access")).company("001")
    };
    let (owner, agent) = (sign_in(&logins[0]).await, sign_in(&logins[1]).await);
    let chats = agent.get("/api/v1/loopwave/chats/?label=urgent").await.expect_status(200).json();
    let late = &chats["results"][0];
    assert_eq!((&late["name"], &late["assignee_name"]), (&json!("Diane Ingabire"), &json!("Didier Mugabo")));
    assert!(!chats.to_string().contains("788300105"), "agents see no numbers: {chats}");
    let tickets = owner.get("/api/v1/loopwave/tickets/").await.expect_status(200);
    assert_eq!((tickets.at("/results/0/priority"), tickets.at("/results/0/ref")), (json!("high"), json!("TKT-2041")));
    let opted_out = owner.get("/api/v1/loopwave/contacts/?phone=%2B250788300108").await.expect_status(200);
    assert!(opted_out.at("/results/0/opted_out_at").is_string());
    let number = first["number"].as_str().expect("a number");
    let held = program.json(&["wave", "phone", number, "250788300101"]);
    let texts: Vec<&str> = held.as_array().expect("a list").iter().filter_map(|it| it["text"].as_str()).collect();
    assert!(texts.iter().any(|text| text.starts_with("*Chantal Uwera:*\n")), "{texts:?}");
    drop(server);
    let again = program.json(&["demo", "wave"]);
    assert_eq!((&again["logins"], &again["number"]), (&json!([]), &first["number"]));
    assert_eq!(again["inbox"]["chats"], first["inbox"]["chats"], "the same people write again");
}
