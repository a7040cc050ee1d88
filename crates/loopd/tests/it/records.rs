//! What holds for the records of every product, under people who work at the same time and people who may not see everything.

use std::collections::BTreeSet;

use loopd_testkit::{Answer, assert_json, each_engine, json};

use crate::support::World;

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
const CUSTOMERS: &str = "/api/v1/booking/customers/";

/// How many of these answers have this status.
fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

each_engine! {
    async fn of_two_changes_to_the_same_version_one_is_refused(world: &World) {
        let owner = world.owner().await;
        let made = owner.post(APPOINTMENTS).json(&json!({"title": "Visit"})).await.expect_status(201);
        let (item, tag) = (format!("{APPOINTMENTS}{}/", made.text_at("/id")), made.header("etag").expect("a tag").to_owned());
        let mut calls = tokio::task::JoinSet::new();
        for writer in 0..6 {
            let (client, item) = (owner.with_header("if-match", &tag), item.clone());
            calls.spawn(async move { client.patch(&item).json(&json!({"title": format!("By {writer}")})).await });
        }
        let answers = calls.join_all().await;
        assert_eq!((count(&answers, 200), count(&answers, 412)), (1, 5));
        for refused in answers.into_iter().filter(|answer| answer.status == 412) {
            refused.expect_refusal(412, "precondition_failed");
        }
        assert_json!(owner.get(&item).await.json(), {"version": 2});
    }

    async fn records_made_at_once_get_different_numbers_without_a_gap(world: &World) {
        let owner = world.owner().await;
        let mut calls = tokio::task::JoinSet::new();
        for writer in 0..24 {
            let owner = owner.clone();
            // Every third is refused: its number must not be lost.
            let body = if writer % 3 == 0 { json!({}) } else { json!({"title": "Visit"}) };
            calls.spawn(async move { owner.post(APPOINTMENTS).json(&body).await });
        }
        let answers = calls.join_all().await;
        let numbers: BTreeSet<String> = answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.text_at("/number")).collect();
        let expected: BTreeSet<String> = (1..=16).map(|number| format!("APT-{number:06}")).collect();
        assert_eq!(numbers, expected);
    }

    async fn what_must_be_unique_is_made_once_also_at_the_same_time(world: &World) {
        let owner = world.owner().await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let owner = owner.clone();
            let body = json!({"title": "Home", "slug": "home", "language": "en", "body": "Welcome"});
            calls.spawn(async move { owner.post("/api/v1/cms/pages/").json(&body).await });
        }
        let answers = calls.join_all().await;
        assert_eq!((count(&answers, 201), count(&answers, 400)), (1, 5));
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let owner = owner.clone();
            calls.spawn(async move { owner.put(&format!("{CUSTOMERS}by-external-id/EXT-1/")).json(&json!({"title": "Aline"})).await });
        }
        let answers = calls.join_all().await;
        assert_eq!((count(&answers, 201), count(&answers, 200)), (1, 5), "{:?}", answers.iter().map(Answer::text).collect::<Vec<_>>());
        assert_eq!(owner.get(CUSTOMERS).await.at("/count"), json!(1));
    }

    async fn an_atomic_bulk_that_fails_leaves_nothing_and_the_other_kind_tells_row_by_row(world: &World) {
        let owner = world.owner().await;
        let operations = json!([{"op": "create", "body": {"title": "Good"}}, {"op": "create", "body": {}}]);
        let path = format!("{APPOINTMENTS}bulk/");
        owner.post(&path).json(&json!({"operations": operations, "atomic": true})).await.expect_refusal(400, "validation_error");
        assert_eq!(owner.get(APPOINTMENTS).await.at("/count"), json!(0));
        owner.post(&path).json(&json!({"operations": operations, "atomic": false})).await.expect_status(200);
        assert_eq!(owner.get(APPOINTMENTS).await.at("/count"), json!(1));
        let many: Vec<_> = (0..501).map(|_| json!({"op": "create", "body": {"title": "x"}})).collect();
        owner.post(&path).json(&json!({"operations": many, "atomic": true})).await.expect_refusal(400, "validation_error");
    }

    async fn a_record_is_not_shown_by_way_of_another_to_who_may_not_see_it(world: &World) {
        let owner = world.owner().await;
        let customer = owner.make(CUSTOMERS, json!({"title": "Aline", "phone": "+250788777777"})).await;
        let visit = owner.make(APPOINTMENTS, json!({"title": "Visit", "customer": customer})).await;
        let role = world.role(&owner, &["booking.appointments.*"]).await;
        let member = world.member(&owner, "grace", &role).await;
        member.get(&format!("{CUSTOMERS}{customer}/")).await.expect_refusal(403, "permission_denied");
        for path in [format!("{APPOINTMENTS}?expand=customer"), format!("{APPOINTMENTS}{visit}/?expand=customer")] {
            let shown = member.get(&path).await;
            assert!(!shown.text().contains("+250788777777"), "{}", shown.text());
        }
        let (_, key) = world.key(&owner, &["booking.appointments.*"]).await;
        let shown = key.get(&format!("{APPOINTMENTS}?expand=customer")).await;
        assert!(!shown.text().contains("+250788777777"), "{}", shown.text());
    }

    async fn who_works_in_one_workspace_sees_nothing_of_the_others(world: &World) {
        let owner = world.owner().await;
        let (one, two) = (
            owner.make("/api/v1/workspaces/", json!({"name": "One"})).await,
            owner.make("/api/v1/workspaces/", json!({"name": "Two"})).await,
        );
        let member = world.member(&owner, "grace", "manager").await;
        let join = json!({"membership": member.membership().await});
        owner.post(&format!("/api/v1/workspaces/{one}/add-member/")).json(&join).await.expect_status(200);
        let inside = owner.with_header("x-workspace-id", &two);
        let hidden = inside.post(APPOINTMENTS).json(&json!({"title": "Hidden visit"})).await.expect_status(201).text_at("/id");
        let item = format!("{APPOINTMENTS}{hidden}/");
        member.get(&item).await.expect_refusal(404, "not_found");
        member.patch(&item).json(&json!({"title": "x"})).await.expect_refusal(404, "not_found");
        member.delete(&item).await.expect_refusal(404, "not_found");
        member.post(&format!("{item}cancel/")).json(&json!({})).await.expect_refusal(404, "not_found");
        member.get(&format!("{item}history/")).await.expect_refusal(404, "not_found");
        for path in [APPOINTMENTS.to_owned(), format!("{APPOINTMENTS}?search=hidden"), format!("{APPOINTMENTS}?workspace={two}"), format!("{APPOINTMENTS}export/")] {
            let shown = member.get(&path).await;
            assert!(!shown.text().contains("Hidden"), "{path}: {}", shown.text());
        }
        let bulk = json!({"operations": [{"op": "update", "id": hidden, "body": {"title": "x"}}], "atomic": false});
        member.post(&format!("{APPOINTMENTS}bulk/")).json(&bulk).await;
        assert_eq!(owner.get(&item).await.text_at("/title"), "Hidden visit");
        member.with_header("x-workspace-id", &two).get(APPOINTMENTS).await.expect_refusal(403, "workspace_access_denied");
    }

    async fn a_name_is_found_in_either_case_whatever_its_letters(world: &World) {
        let owner = world.owner().await;
        for title in ["Visite d'Émile Ntaganda", "Rendez-vous à l'île", "Emile"] {
            owner.post(APPOINTMENTS).json(&json!({"title": title})).await.expect_status(201);
        }
        for (needle, title) in [("%C3%89MILE", "Visite d'Émile Ntaganda"), ("%C3%A9mile+nTAG", "Visite d'Émile Ntaganda"), ("%C3%8ELE", "Rendez-vous à l'île"), ("EMILE", "Emile")] {
            let page = owner.get(&format!("{APPOINTMENTS}?search={needle}")).await.expect_status(200);
            assert_json!(page.json(), {"count": 1, "results": [{"title": title}]});
        }
    }

    async fn what_is_deleted_is_hidden_and_comes_back(world: &World) {
        let owner = world.owner().await;
        let id = owner.make(APPOINTMENTS, json!({"title": "Visit"})).await;
        let item = format!("{APPOINTMENTS}{id}/");
        owner.delete(&item).await.expect_status(204);
        owner.get(&item).await.expect_refusal(404, "not_found");
        owner.patch(&item).json(&json!({"title": "x"})).await.expect_refusal(404, "not_found");
        assert_eq!(owner.get(APPOINTMENTS).await.at("/count"), json!(0));
        assert_json!(owner.get(&format!("{APPOINTMENTS}?deleted=true")).await.json(), {"results": [{"id": id, "deleted_at": "[time]"}]});
        owner.post(&format!("{item}restore/")).json(&json!({})).await.expect_status(200);
        owner.get(&item).await.expect_status(200);
    }
}
