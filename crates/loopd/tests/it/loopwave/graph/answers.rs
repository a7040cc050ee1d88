//! What the Graph API answers, request by request.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use loopd_testkit::json;
use loopd_types::sha256_hex;
use serde_json::Value;

use super::{Inner, LINE, Manner, State, VERSION, WABA};

impl State {
    pub async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let is_message = head.method == Method::POST && head.uri.path().ends_with("/messages");
        let manner = if is_message { self.lock().manners.pop_front() } else { None };
        self.lock().brought += usize::from(is_message);
        if let Some(Manner::Slow(pause)) = &manner {
            tokio::time::sleep(*pause).await;
        }
        if let Some(Manner::Refuse(status, code)) = manner {
            return Ok(error(status, code, "Refused by the test"));
        }
        let answer = self.lock().answer(&head, &body);
        match manner {
            Some(Manner::TakeAndCut) => Err(std::io::Error::other("cut")),
            Some(Manner::TakeAndFail) => Ok(error(500, 131_000, "Something went wrong")),
            Some(Manner::TakeAndBabble) => Ok(respond(200, "text/html", "<html>".into())),
            _ => Ok(answer),
        }
    }
}

pub fn respond(status: u16, content_type: &str, body: Bytes) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(status).header("content-type", content_type);
    answer.body(Full::new(body)).expect("an answer")
}

pub fn respond_json(status: u16, value: &Value) -> Response<Full<Bytes>> {
    respond(status, "application/json", value.to_string().into())
}

pub fn error(status: u16, code: i64, message: &str) -> Response<Full<Bytes>> {
    let body = json!({"error": {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A"}});
    respond_json(status, &body)
}

impl Inner {
    fn answer(&mut self, head: &http::request::Parts, body: &Bytes) -> Response<Full<Bytes>> {
        if head.method == Method::POST && head.uri.path().starts_with(&format!("/{VERSION}/upload:")) {
            return self.pour(head, body);
        }
        let bearer = head.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if bearer != format!("Bearer {}", self.token) {
            return error(401, 190, "Invalid OAuth access token.");
        }
        let path = head.uri.path();
        if let Some(id) = path.strip_prefix("/content/") {
            return match self.media.get(id) {
                Some((content_type, bytes)) => respond(200, content_type, bytes.clone()),
                None => error(404, 100, "No such content"),
            };
        }
        let Some(path) = path.strip_prefix(&format!("/{VERSION}/")) else {
            self.complaints.push(format!("{path} is of another version"));
            return error(400, 2500, "Unknown path");
        };
        let is_messages = path == format!("{LINE}/messages");
        if self.is_away && !is_messages {
            return error(503, 2, "Service temporarily unavailable");
        }
        match (head.method.as_str(), path) {
            ("GET", LINE) => respond_json(
                200,
                &json!({
                    "id": LINE, "display_phone_number": "+250 788 000 001", "verified_name": "Kigali Shop",
                    "quality_rating": "GREEN", "messaging_limit_tier": self.tier.as_deref().unwrap_or("TIER_1K"), "health_status": self.health,
                }),
            ),
            (method, _) if path == format!("{WABA}/message_templates") => {
                let method = method.to_owned();
                self.template(&method, head.uri.query().unwrap_or_default(), body)
            }
            ("POST", "app/uploads") => self.open_session(head.uri.query().unwrap_or_default()),
            ("POST", _) if is_messages => self.message(head, body),
            ("POST", _) if path == format!("{LINE}/media") => self.upload(head, body),
            ("GET", id) if self.media.contains_key(id) => {
                let (content_type, bytes) = &self.media[id];
                respond_json(
                    200,
                    &json!({
                        "id": id, "messaging_product": "whatsapp", "mime_type": content_type, "file_size": bytes.len(),
                        "sha256": sha256_hex(bytes), "url": format!("{}/content/{id}", self.base),
                    }),
                )
            }
            (method, path) => {
                self.complaints.push(format!("{method} {path} is nothing"));
                error(400, 100, "Unsupported request")
            }
        }
    }

    fn message(&mut self, head: &http::request::Parts, body: &Bytes) -> Response<Full<Bytes>> {
        let Ok(message) = serde_json::from_slice::<Value>(body) else {
            self.complaints.push(format!("no JSON: {body:?}"));
            return error(400, 100, "Invalid parameter");
        };
        if head.headers.get("content-type").is_none_or(|it| it != "application/json") {
            self.complaints.push("a body of another type".to_owned());
        }
        if message["status"] == "read" {
            if message["message_id"].as_str().is_none_or(str::is_empty) {
                self.complaints.push(format!("what was read? {message}"));
            }
            return respond_json(200, &json!({"success": true}));
        }
        if let Some(flaw) = self.flaw(&message) {
            self.complaints.push(format!("{flaw}: {message}"));
            return error(400, 100, &flaw);
        }
        let id = format!("wamid.{}", self.taken.len() + 1);
        let to = message["to"].as_str().or_else(|| message["recipient"].as_str()).unwrap_or_default().to_owned();
        let mut message = message;
        message["wamid"] = id.clone().into();
        self.taken.push(message);
        respond_json(
            200,
            &json!({
                "messaging_product": "whatsapp", "contacts": [{"input": to, "wa_id": to}], "messages": [{"id": id, "message_status": "accepted"}],
            }),
        )
    }

    /// Lists two at a time, takes names that are free, and deletes by id.
    fn template(&mut self, method: &str, query: &str, body: &Bytes) -> Response<Full<Bytes>> {
        let named =
            |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")).map(str::to_owned));
        match method {
            "GET" => {
                let from: usize = named("after").and_then(|it| it.parse().ok()).unwrap_or(0);
                let page: Vec<&Value> = self.templates.iter().skip(from).take(2).collect();
                let mut answer = json!({"data": page, "paging": {"cursors": {"before": from.to_string(), "after": (from + 2).to_string()}}});
                if self.templates.len() > from + 2 {
                    answer["paging"]["next"] = format!("{}/more", self.base).into();
                }
                respond_json(200, &answer)
            }
            "POST" => {
                let new = serde_json::from_slice::<Value>(body).unwrap_or_default();
                let has_body =
                    new["components"].as_array().is_some_and(|all| all.iter().any(|it| it["type"] == "BODY"));
                if !has_body || !new["name"].is_string() || !new["language"].is_string() {
                    return error(400, 100, "Invalid parameter: a template has a body");
                }
                let header = new["components"].as_array().into_iter().flatten().find(|it| it["type"] == "HEADER");
                if let Some(header) = header.filter(|it| it["format"] != "TEXT") {
                    let handle = header["example"]["header_handle"][0].as_str().unwrap_or_default();
                    if !self.handles.contains_key(handle) || header.get("file").is_some() {
                        return error(400, 100, "Invalid parameter: a header shows an example");
                    }
                }
                if self.templates.iter().any(|it| it["name"] == new["name"] && it["language"] == new["language"]) {
                    return error(400, 2_388_024, "There is already content in this language for this template");
                }
                let id = format!("77{}", self.templates.len() + 1);
                let mut kept = new;
                kept["id"] = id.clone().into();
                kept["status"] = "PENDING".into();
                self.templates.push(kept);
                respond_json(200, &json!({"id": id, "status": "PENDING", "category": "UTILITY"}))
            }
            "DELETE" => {
                let (id, name) = (named("hsm_id").unwrap_or_default(), named("name").unwrap_or_default());
                let before = self.templates.len();
                self.templates.retain(|it| it["id"] != id.as_str() || it["name"] != name.as_str());
                if self.templates.len() == before {
                    return error(404, 100, "No such template");
                }
                respond_json(200, &json!({"success": true}))
            }
            _ => error(400, 100, "Unsupported request"),
        }
    }
}
