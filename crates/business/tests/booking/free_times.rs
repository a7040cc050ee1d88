//! Opening hours, time off, and the search for free times.

use loopd_testkit::{each_engine, json};

use crate::support::{World, starts};

each_engine! {
    async fn hours_bind_whoever_has_some(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let ben = world.make("staff-members", json!({"title": "Ben", "working_hours": {"tue": [["10:00", "11:00"]]}})).await;
        let night = json!({"staff": ann, "starts_at": "2026-06-23T01:00:00Z"});
        let booked = world.booked(night.clone()).await;
        world.act("appointments", booked["id"].as_str().unwrap(), "cancel", json!({})).await.expect_status(200);
        let hours = json!({"mon": [["08:00", "17:00"]], "tue": [["08:00", "12:00"], ["13:00", "17:00"]]});
        let schedule = world.make("schedules", json!({"staff": ann, "weekly_hours": hours, "exceptions": [{"date": "2026-06-30", "hours": []}]})).await;
        let refused = world.book(night).await.expect_refusal(409, "outside_hours");
        // 08:00 in Kigali
        assert_eq!(refused.at("/error/details/next_free/0/starts_at"), "2026-06-23T06:00:00.000000Z");
        world.book(json!({"staff": ann, "starts_at": "2026-06-23T09:45:00Z"})).await.expect_refusal(409, "outside_hours");
        world.booked(json!({"staff": ann, "starts_at": "2026-06-23T09:30:00Z"})).await;
        world.book(json!({"staff": ann, "starts_at": "2026-06-30T07:00:00Z"})).await.expect_refusal(409, "outside_hours");
        world.book(json!({"staff": ann, "starts_at": "2026-06-24T07:00:00Z"})).await.expect_refusal(409, "outside_hours");
        world.book(json!({"staff": ben, "starts_at": "2026-06-23T07:00:00Z"})).await.expect_refusal(409, "outside_hours");
        world.booked(json!({"staff": ben, "starts_at": "2026-06-23T08:00:00Z"})).await;
        // an archived schedule binds nobody
        world.owner.patch(&format!("/api/v1/booking/schedules/{schedule}/")).json(&json!({"status": "archived"})).await.expect_status(200);
        world.booked(json!({"staff": ann, "starts_at": "2026-06-24T01:00:00Z"})).await;
    }

    async fn the_company_s_hours_are_everybody_else_s(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let room = world.make("resources", json!({"title": "Room"})).await;
        world.make("schedules", json!({"weekly_hours": {"tue": [["08:00", "10:00"]]}, "exceptions": [{"date": "2026-07-01", "hours": []}]})).await;
        world.book(json!({"starts_at": "2026-06-23T09:00:00Z"})).await.expect_refusal(409, "outside_hours");
        world.book(json!({"staff": ann, "resource": room, "starts_at": "2026-06-23T09:00:00Z"})).await.expect_refusal(409, "outside_hours");
        world.make("schedules", json!({"staff": ann, "weekly_hours": {"tue": [["08:00", "18:00"]], "wed": [["08:00", "18:00"]]}})).await;
        world.booked(json!({"staff": ann, "resource": room, "starts_at": "2026-06-23T09:00:00Z"})).await;
        world.booked(json!({"staff": ann, "starts_at": "2026-06-24T09:00:00Z"})).await;
        // the company's holiday is Ann's holiday
        world.book(json!({"staff": ann, "starts_at": "2026-07-01T09:00:00Z"})).await.expect_refusal(409, "outside_hours");
    }

    async fn approved_time_off_is_respected(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let off = world.make("time-off", json!({"staff": ann, "starts_at": "2026-06-23T00:00:00Z", "ends_at": "2026-06-24T00:00:00Z"})).await;
        let booked = world.booked(json!({"staff": ann, "starts_at": "2026-06-23T09:00:00Z"})).await;
        let refused = world.act("time-off", &off, "approve", json!({})).await.expect_refusal(409, "has_appointments");
        assert_eq!(refused.at("/error/details/appointments"), 1);
        world.act("time-off", &off, "approve", json!({"force": true})).await.expect_status(200);
        let refused = world.book(json!({"staff": ann, "starts_at": "2026-06-23T12:00:00Z"})).await.expect_refusal(409, "slot_unavailable");
        assert_eq!(refused.at("/error/details/conflict/with"), "time_off");
        assert_eq!(refused.at("/error/details/next_free/0/starts_at"), "2026-06-24T00:00:00.000000Z");
        // what was booked before goes on
        world.act("appointments", booked["id"].as_str().unwrap(), "confirm", json!({})).await.expect_status(200);
        world.act("time-off", &off, "cancel", json!({})).await.expect_status(200);
        world.booked(json!({"staff": ann, "starts_at": "2026-06-23T12:00:00Z"})).await;
        let closed = world.make("time-off", json!({"starts_at": "2026-06-25T00:00:00Z", "ends_at": "2026-06-26T00:00:00Z"})).await;
        world.act("time-off", &closed, "approve", json!({})).await.expect_status(200);
        world.book(json!({"starts_at": "2026-06-25T12:00:00Z"})).await.expect_refusal(409, "slot_unavailable");
    }

    async fn free_times_respect_everything(world: &World) {
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        let ben = world.make("staff-members", json!({"title": "Ben"})).await;
        for staff in [&ann, &ben] {
            world.make("schedules", json!({"staff": staff, "weekly_hours": {"tue": [["08:00", "11:00"]]}})).await;
        }
        let cut = world.make("services", json!({"title": "Cut", "duration_min": 60, "buffer_after_min": 30, "staff": [ann]})).await;
        world.booked(json!({"staff": ann, "starts_at": "2026-06-23T06:00:00Z"})).await;
        let day = [("from", "2026-06-23"), ("to", "2026-06-23"), ("step_min", "30")];
        let free = world.free(&[&[("service", cut.as_str())], &day[..]].concat()).await;
        assert_eq!(free, ["2026-06-23T06:30", "2026-06-23T07:00", "2026-06-23T07:30", "2026-06-23T08:00"]);
        let of_ben = world.free(&[&[("staff", ben.as_str()), ("service", cut.as_str())], &day[..]].concat()).await;
        assert!(of_ben.is_empty(), "Ben does not do it: {of_ben:?}");
        // the day before is nearly over, tomorrow was asked for without a service: half an hour with anybody
        let anybody = world.free(&[("from", "2026-06-23"), ("to", "2026-06-23"), ("step_min", "60")]).await;
        assert_eq!(anybody, ["2026-06-23T06:00", "2026-06-23T07:00", "2026-06-23T07:00", "2026-06-23T08:00", "2026-06-23T08:00"]);
        // page by page
        let first = world.owner.get("/api/v1/booking/availability/").query("service", &cut).query("from", "2026-06-23").query("step_min", "30").query("limit", "3").await.expect_status(200).json();
        assert_eq!(starts(&first).len(), 3);
        assert_eq!(first["next_from"], "2026-06-23T08:00:00.000000Z");
        // nothing that has passed
        assert!(world.free(&[("from", "2026-06-16"), ("to", "2026-06-16")]).await.is_empty());
    }

    async fn questions_are_checked(world: &World) {
        let ask = |query: &[(&str, &str)]| {
            let mut request = world.owner.get("/api/v1/booking/availability/");
            for (name, value) in query {
                request = request.query(name, value);
            }
            std::future::IntoFuture::into_future(request)
        };
        ask(&[("from", "soon")]).await.expect_field("from", "invalid");
        ask(&[("from", "2026-06-23"), ("to", "2026-06-22T00:00:00Z")]).await.expect_field("to", "invalid");
        ask(&[("from", "2026-06-01"), ("to", "2026-08-31")]).await.expect_field("to", "max_value");
        ask(&[("service", "0198f3c2-0000-7000-8000-000000000000")]).await.expect_field("service", "does_not_exist");
        ask(&[("limit", "0")]).await.expect_field("limit", "min_value");
        ask(&[("from", "9999-12-31")]).await.expect_field("from", "invalid");
        ask(&[("when", "now")]).await.expect_status(400);
        world.owner.anonymous().get("/api/v1/booking/availability/").await.expect_status(401);
    }

    async fn a_day_with_a_change_of_the_clocks_is_offered_as_long_as_it_is(world: &World) {
        world.set_zone("Europe/Berlin").await;
        let ann = world.make("staff-members", json!({"title": "Ann"})).await;
        world.make("schedules", json!({"staff": ann, "weekly_hours": {"sun": [["00:00", "06:00"]], "mon": [["08:00", "10:00"]]}})).await;
        let of = |from: &'static str, to: &'static str| {
            let ann = ann.clone();
            async move { world.free(&[("staff", ann.as_str()), ("from", from), ("to", to), ("duration_min", "60"), ("step_min", "60")]).await }
        };
        // the clocks go back on 25 October: 00:00 is 22:00Z the day before, 06:00 is 05:00Z
        let autumn = of("2026-10-25", "2026-10-25").await;
        assert_eq!(autumn.len(), 7);
        assert_eq!((autumn[0].as_str(), autumn[6].as_str()), ("2026-10-24T22:00", "2026-10-25T04:00"));
        // they go forward on 28 March: 06:00 is 04:00Z
        let spring = of("2027-03-28", "2027-03-28").await;
        assert_eq!(spring.len(), 5);
        assert_eq!((spring[0].as_str(), spring[4].as_str()), ("2027-03-27T23:00", "2027-03-28T03:00"));
        // eight o'clock stays eight o'clock
        assert_eq!(of("2026-10-19", "2026-10-19").await[0], "2026-10-19T06:00");
        assert_eq!(of("2026-10-26", "2026-10-26").await[0], "2026-10-26T07:00");
        // and every offer can be had
        for start in autumn.iter().chain(&spring) {
            let end = format!("{}:59:00Z", &start[..13]);
            world.booked(json!({"staff": ann, "starts_at": format!("{start}:00Z"), "ends_at": end})).await;
        }
        assert!(of("2026-10-25", "2026-10-25").await.is_empty());
    }
}
