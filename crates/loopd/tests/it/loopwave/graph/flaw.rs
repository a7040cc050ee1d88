//! What Meta would refuse of a message, and more.

use serde_json::Value;

use super::Inner;

impl Inner {
    /// What is wrong with a message.
    pub fn flaw(&self, message: &Value) -> Option<String> {
        const KNOWN: [&str; 7] =
            ["messaging_product", "recipient_type", "to", "recipient", "type", "context", "biz_opaque_callback_data"];
        let wrong = |what: &str| Some(what.to_owned());
        let (Some(kind), Some(members)) = (message["type"].as_str(), message.as_object()) else { return wrong("type") };
        let kind = kind.to_owned();
        let odd = members.keys().find(|name| !KNOWN.contains(&name.as_str()) && **name != kind);
        if let Some(odd) = odd {
            return Some(format!("unexpected key {odd}"));
        }
        if message["messaging_product"] != "whatsapp" || message["recipient_type"] != "individual" {
            return wrong("messaging_product, recipient_type");
        }
        let digits = |text: &str| text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_digit());
        match (message["to"].as_str(), message["recipient"].as_str()) {
            (Some(to), None) if digits(to) => {}
            (None, Some(user)) if user.contains('.') => {}
            _ => return wrong("to or recipient"),
        }
        if message["biz_opaque_callback_data"].as_str().is_none_or(|data| data.len() > 512) {
            return wrong("biz_opaque_callback_data");
        }
        let inner = &message[&kind];
        let text =
            |value: &Value, most: usize| value.as_str().is_some_and(|it| !it.is_empty() && it.chars().count() <= most);
        let is_good = match kind.as_str() {
            "text" => text(&inner["body"], 4096) && inner["preview_url"].is_boolean(),
            "image" | "video" | "audio" | "document" | "sticker" => {
                inner["id"].as_str().is_some_and(|id| self.media.contains_key(id))
                    && (inner["caption"].is_null()
                        || text(&inner["caption"], 1024) && kind != "audio" && kind != "sticker")
            }
            "reaction" => {
                inner["message_id"].as_str().is_some_and(|id| id.starts_with("wamid.")) && inner["emoji"].is_string()
            }
            "template" => {
                self.templates.iter().any(|it| {
                    it["name"] == inner["name"]
                        && it["language"] == inner["language"]["code"]
                        && it["status"] == "APPROVED"
                }) && inner["components"].as_array().is_some_and(|all| all.iter().all(|it| self.has_its_file(it)))
            }
            "location" => inner["latitude"].is_number() && inner["longitude"].is_number(),
            "interactive" => {
                text(&inner["body"]["text"], 1024)
                    && match inner["type"].as_str() {
                        Some("button") => inner["action"]["buttons"].as_array().is_some_and(|all| {
                            (1..=3).contains(&all.len())
                                && all.iter().all(|it| {
                                    it["type"] == "reply"
                                        && text(&it["reply"]["id"], 256)
                                        && text(&it["reply"]["title"], 20)
                                })
                        }),
                        Some("list") => {
                            let sections = inner["action"]["sections"].as_array().cloned().unwrap_or_default();
                            let rows: Vec<&Value> =
                                sections.iter().filter_map(|it| it["rows"].as_array()).flatten().collect();
                            text(&inner["action"]["button"], 20)
                                && (1..=10).contains(&rows.len())
                                && rows.iter().all(|it| text(&it["id"], 200) && text(&it["title"], 24))
                        }
                        _ => false,
                    }
            }
            _ => false,
        };
        if is_good { None } else { Some(format!("a bad {kind}")) }
    }
    /// Whether what stands above a template is content that was uploaded, or a link.
    fn has_its_file(&self, component: &Value) -> bool {
        let parameters = component["parameters"].as_array().into_iter().flatten();
        parameters.filter(|it| ["image", "video", "document"].iter().any(|kind| it["type"] == *kind)).all(|it| {
            let file = &it[it["type"].as_str().unwrap_or_default()];
            let known = ["id", "link", "filename"];
            file.as_object().is_some_and(|members| members.keys().all(|name| known.contains(&name.as_str())))
                && (file["link"].is_string() || file["id"].as_str().is_some_and(|id| self.media.contains_key(id)))
        })
    }
}
