//! Templates at Meta: a business account's `message_templates`.
//!
//! Source: spec/loopwave.md 6.1.1.

use std::sync::Arc;

use loopd_kernel::Kernel;
use loopd_kernel::file::{self, File};
use loopd_types::{Problem, Result};
use serde_json::{Value as Json, json};

use super::graph::Trouble;
use super::{Cloud, errors};
use crate::engine::Signal;
use crate::number::Number;
use crate::template::Template;
use crate::template::store::Told;

const FIELDS: &str = "id,name,language,category,status,rejected_reason,quality_score,components";
/// Templates of a page, and pages at most: Meta allows 250 names, each in many languages.
const PAGE: &str = "100";
const PAGES_MOST: usize = 100;

impl Cloud {
    /// All templates of a number's account.
    ///
    /// # Errors
    /// 409 `template_refused` with Meta's words; 503 when it cannot be reached.
    pub async fn templates(&self, kernel: &Arc<Kernel>, number: &Number) -> Result<Vec<Told>> {
        let line = self.line(kernel, number)?;
        let (mut all, mut after) = (Vec::new(), None::<String>);
        for _ in 0..PAGES_MOST {
            let mut query = vec![("fields", FIELDS), ("limit", PAGE)];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page = line.get(&[&line.config.waba_id, "message_templates"], &query).await.map_err(refused)?;
            all.extend(page["data"].as_array().into_iter().flatten().filter_map(told));
            let next = page["paging"]["next"].is_string();
            after = page["paging"]["cursors"]["after"].as_str().filter(|_| next).map(str::to_owned);
            if after.is_none() {
                return Ok(all);
            }
        }
        // A part of them taken for the whole would delete the rest here.
        Err(Problem::unavailable("Meta has more pages of templates than there can be"))
    }

    /// Shows Meta a file that will stand above a template; the handle that its header names.
    ///
    /// # Errors
    /// As [`Cloud::templates`]; 503 when the file cannot be read.
    pub async fn show(&self, kernel: &Arc<Kernel>, number: &Number, file: &File) -> Result<String> {
        let line = self.line(kernel, number)?;
        let content = file::read(kernel, file, 0..file.size_bytes).await?;
        line.show(&file.name, &file.content_type, file.size_bytes, content).await.map_err(refused)
    }

    /// Hands a template in for approval.
    ///
    /// # Errors
    /// As [`Cloud::templates`].
    pub async fn create_template(&self, kernel: &Arc<Kernel>, number: &Number, new: Json) -> Result<Told> {
        let line = self.line(kernel, number)?;
        let made = line.post(&[&line.config.waba_id, "message_templates"], &new).await.map_err(refused)?;
        let mut whole = new;
        whole["id"] = made["id"].clone();
        whole["status"] = made["status"].as_str().unwrap_or("PENDING").into();
        // Meta may put it into another category than it was handed in under.
        if made["category"].is_string() {
            whole["category"] = made["category"].clone();
        }
        told(&whole).ok_or_else(|| Problem::unavailable("Meta gave a template no id"))
    }

    /// Deletes a template in its language; one that Meta has no more is deleted.
    ///
    /// # Errors
    /// As [`Cloud::templates`].
    pub async fn delete_template(&self, kernel: &Arc<Kernel>, number: &Number, template: &Template) -> Result<()> {
        let line = self.line(kernel, number)?;
        let query = [("hsm_id", template.meta_id.as_str()), ("name", template.name.as_str())];
        match line.delete(&[&line.config.waba_id, "message_templates"], &query).await {
            Err(Trouble::Refused(refusal)) if refusal.status == 404 => Ok(()),
            other => other.map(drop).map_err(refused),
        }
    }
}

fn refused(trouble: Trouble) -> Problem {
    match trouble {
        Trouble::Refused(refusal) if errors::signal(&refusal) == Signal::LoggedOut => {
            Problem::conflict("template_refused", errors::failure(&refusal).words)
        }
        Trouble::Refused(refusal) => Problem::conflict("template_refused", format!("WhatsApp says: {}", refusal.words)),
        trouble => Problem::unavailable(format!("the Graph API: {trouble}")),
    }
}

fn told(template: &Json) -> Option<Told> {
    let text = |value: &Json| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    // Meta writes NONE where there is no reason.
    let reason = text(&template["rejected_reason"]).filter(|reason| reason != "NONE");
    Some(Told {
        meta_id: text(&template["id"])?,
        name: text(&template["name"])?,
        language: text(&template["language"])?,
        category: text(&template["category"]).unwrap_or_default(),
        status: text(&template["status"])?,
        reason,
        quality: text(&template["quality_score"]["score"]).filter(|score| score != "UNKNOWN"),
        components: if template["components"].is_array() { template["components"].clone() } else { json!([]) },
    })
}
