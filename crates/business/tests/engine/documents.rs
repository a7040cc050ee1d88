//! The API reference of the modules: complete, without faults, and named as clients of DRF expect.

use crate::house::documented;
use crate::support::modules;

#[test]
fn the_reference_is_sound_and_named_as_expected() {
    let (operations, assembled) = documented(modules());
    let ids: Vec<&str> = operations.iter().map(|operation| operation.id.as_str()).collect();
    for verb in [
        "list",
        "create",
        "retrieve",
        "update",
        "partial_update",
        "destroy",
        "confirm",
        "check_in",
        "restore",
        "bulk",
        "export",
    ] {
        let id = format!("booking_appointments_{verb}");
        assert!(ids.contains(&id.as_str()), "{id}");
    }
    let schemas = &assembled["components"]["schemas"];
    for name in ["Appointment", "AppointmentRequest", "PatchedAppointment", "PaginatedAppointmentList", "WaitlistEntry"]
    {
        assert!(schemas[name].is_object(), "{name}");
    }
    let request = &schemas["AppointmentRequest"];
    assert_eq!(request["required"], serde_json::json!(["title"]));
    assert!(request["properties"].get("number").is_none() && request["properties"].get("status").is_none());
    assert_eq!(schemas["Appointment"]["properties"]["status"]["readOnly"], true);
    let size = assembled.to_string().len() / operations.len();
    assert!(size < 6_000, "{size} bytes an operation");
}
