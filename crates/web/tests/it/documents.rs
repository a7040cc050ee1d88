//! The OpenAPI document follows from the operations.

use loopd_testkit::each_engine;
use loopd_web::openapi::{self, Document};
use loopd_web::{Surface, yaml};

use crate::world::Edge;

each_engine! {
    async fn a_document_is_whole_and_says_what_happens(edge: &Edge) {
        let info = Document { title: "Edge".into(), version: "1".into(), ..Document::default() };
        let document = openapi::assemble(Surface::Loop, &info, edge.app.operations().map(AsRef::as_ref));
        assert_eq!(openapi::lint(&document), Vec::<String>::new());
        let post = &document["paths"]["/api/v1/booking/things/"]["post"];
        assert_eq!(post["operationId"], "tenant_post");
        assert_eq!(post["x-permission"], "booking.things.create");
        for status in ["201", "400", "401", "403", "409", "413", "415", "429", "503"] {
            assert!(post["responses"].get(status).is_some(), "{status}");
        }
        assert_eq!(document["paths"]["/api/v1/open/"]["get"]["security"], loopd_testkit::json!([]));
        assert_eq!(document["paths"]["/api/v1/open/{id}/"]["get"]["parameters"][0]["schema"]["format"], "uuid");
        assert!(document["paths"].get("/api/v1/stream/").is_none(), "undocumented operations stay out");
        assert!(yaml::render(&document).starts_with("openapi: \"3.1.0\"\ninfo:\n"));
    }
}

#[test]
fn the_lint_finds_what_is_wrong() {
    let broken = loopd_testkit::json!({"tags": [], "paths": {
        "/a/{id}/": {
            "get": {"operationId": "x", "summary": "", "tags": ["t"], "parameters": [], "responses": {}},
            "put": {"operationId": "x", "summary": "s", "parameters": [{"name": "id", "in": "path", "schema": {}}],
                "responses": {"200": {"$ref": "#/components/responses/Nothing"}, "400": {}}},
        },
    }});
    let faults = openapi::lint(&broken);
    for words in
        ["leads nowhere", "used twice", "no summary", "tag `t`", "path parameter `id`", "no success", "no refusal"]
    {
        assert!(faults.iter().any(|fault| fault.contains(words)), "{words} not in {faults:#?}");
    }
}
