//! The shape of each result: what the API reference promises, and what of a model's answer is taken. A label that was not offered, or an amount
//! that does not stand in the text, is not passed on.

use loopd_kernel::advisor::Work;
use serde_json::{Map, Value as Json, json};

/// Characters of a text that a model may write.
const LONGEST: usize = 20_000;

/// JSON Schema of the result of `summarize`, `draft`, `classify` or `extract`.
pub fn schema(kind: &str) -> Json {
    let text = || json!({"type": "string"});
    let object = |fields: &[(&str, Json)]| {
        let properties: Map<String, Json> =
            fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
        let required: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        json!({"type": "object", "properties": properties, "required": required})
    };
    let list = |items: Json| json!({"type": "array", "items": items});
    let score = || json!({"type": "number", "minimum": 0, "maximum": 1});
    match kind {
        "summarize" => object(&[("summary", text())]),
        "draft" => object(&[("subject", text()), ("body", text())]),
        "classify" => object(&[
            ("label", json!({"type": ["string", "null"]})),
            ("score", score()),
            ("scores", list(object(&[("label", text()), ("score", score())]))),
        ]),
        _ => object(&[
            ("dates", list(object(&[("text", text()), ("date", json!({"type": "string", "format": "date"}))]))),
            ("amounts", list(object(&[("text", text()), ("amount", text()), ("currency", text())]))),
            ("phones", list(object(&[("text", text()), ("phone", text())]))),
            ("emails", list(text())),
            ("fields", json!({"type": "object", "additionalProperties": {"type": ["string", "null"]}})),
        ]),
    }
}

/// What is taken of a model's answer; `None` when it is not an answer to the task.
pub fn accept(work: &Work, answer: &str) -> Option<Json> {
    let answer = object_in(answer)?;
    match work {
        Work::Summarize { .. } => Some(json!({"summary": words(&answer["summary"])?})),
        Work::Draft(_) => Some(json!({"subject": words(&answer["subject"])?, "body": words(&answer["body"])?})),
        Work::Classify { labels, .. } => {
            let known =
                |given: &Json| labels.iter().find(|label| given == label.name.as_str()).map(|label| label.name.clone());
            let score = |score: &Json| score.as_f64().filter(|score| (0.0..=1.0).contains(score));
            let label = match answer.get("label")? {
                Json::Null => None,
                label => Some(known(label)?),
            };
            let given = answer["scores"].as_array().cloned().unwrap_or_default();
            let mut scores: Vec<(String, f64)> = Vec::new();
            for row in &given {
                if let (Some(name), Some(score)) = (known(&row["label"]), score(&row["score"]))
                    && scores.iter().all(|(other, _)| *other != name)
                {
                    scores.push((name, score));
                }
            }
            let missing = labels.iter().filter(|label| given.iter().all(|row| row["label"] != label.name.as_str()));
            scores.extend(missing.map(|label| (label.name.clone(), 0.0)));
            scores.sort_by(|(_, a), (_, b)| b.total_cmp(a));
            let scores: Vec<Json> =
                scores.into_iter().map(|(label, score)| json!({"label": label, "score": score})).collect();
            Some(json!({"label": label, "score": score(&answer["score"]).unwrap_or(0.0), "scores": scores}))
        }
        Work::Extract { text, fields } => Some(extracted(&answer, text, fields)),
    }
}

fn extracted(answer: &Json, text: &str, fields: &[String]) -> Json {
    let stands = |value: &Json| value.as_str().is_some_and(|value| !value.is_empty() && text.contains(value));
    let rows = |list: &str, names: &[&str]| -> Vec<Json> {
        let rows = answer[list].as_array().cloned().unwrap_or_default();
        let whole = |row: &Json| stands(&row["text"]) && names.iter().all(|name| row[*name].is_string());
        rows.iter()
            .filter(|row| whole(row))
            .map(|row| {
                let kept = std::iter::once(&"text").chain(names).map(|name| ((*name).to_owned(), row[*name].clone()));
                Json::Object(kept.collect())
            })
            .collect()
    };
    let dates: Vec<Json> = rows("dates", &["date"])
        .into_iter()
        .filter(|row| {
            row["date"].as_str().is_some_and(|date| date.len() == 10 && date.parse::<jiff::civil::Date>().is_ok())
        })
        .collect();
    let emails: Vec<Json> =
        answer["emails"].as_array().into_iter().flatten().filter(|email| stands(email)).cloned().collect();
    let named: Map<String, Json> = fields
        .iter()
        .map(|name| {
            (name.clone(), Some(&answer["fields"][name]).filter(|value| stands(value)).cloned().unwrap_or(Json::Null))
        })
        .collect();
    json!({
        "dates": dates,
        "amounts": rows("amounts", &["amount", "currency"]),
        "phones": rows("phones", &["phone"]),
        "emails": emails,
        "fields": named,
    })
}

/// The object in an answer; models like to put it between fences.
fn object_in(answer: &str) -> Option<Json> {
    let (start, end) = (answer.find('{')?, answer.rfind('}')?);
    serde_json::from_str(answer.get(start..=end)?).ok()
}

fn words(value: &Json) -> Option<String> {
    let text: String = value.as_str()?.trim().chars().filter(|letter| *letter != '\0').take(LONGEST).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use loopd_kernel::advisor::Label;

    use super::*;

    #[test]
    fn only_answers_to_the_task_are_taken() {
        let summary = Work::Summarize { text: "x".into(), sentences: 1 };
        assert_eq!(accept(&summary, "```json\n{\"summary\": \" Short. \"}\n```"), Some(json!({"summary": "Short."})));
        for bad in ["Short.", "{}", "{\"summary\": 1}", "{\"summary\": \" \"}", "} {"] {
            assert_eq!(accept(&summary, bad), None, "{bad}");
        }
        let labels = ["a", "b"].map(|name| Label { name: name.into(), keywords: Vec::new() }).to_vec();
        let classify = Work::Classify { text: "x".into(), labels };
        assert_eq!(accept(&classify, r#"{"label": "admin", "score": 1}"#), None);
        let taken = accept(
            &classify,
            r#"{"label": "b", "score": 0.9, "scores": [{"label": "b", "score": 0.9}, {"label": "c", "score": 7}]}"#,
        );
        assert_eq!(
            taken,
            Some(
                json!({"label": "b", "score": 0.9, "scores": [{"label": "b", "score": 0.9}, {"label": "a", "score": 0.0}]})
            )
        );
    }

    #[test]
    fn what_does_not_stand_in_the_text_is_left_out() {
        let work = Work::Extract { text: "Pay 5 USD to a@b.rw".into(), fields: vec!["iban".into()] };
        let answer = r#"{"emails": ["a@b.rw", "evil@x.com"], "amounts": [{"text": "5 USD", "amount": "5", "currency": "USD"},
            {"text": "9 USD", "amount": "9", "currency": "USD"}], "dates": "none", "fields": {"iban": "RW99"}}"#;
        let taken = accept(&work, answer).unwrap();
        assert_eq!((&taken["emails"], taken["amounts"].as_array().unwrap().len()), (&json!(["a@b.rw"]), 1));
        assert_eq!((&taken["fields"], &taken["dates"]), (&json!({"iban": null}), &json!([])));
    }
}
