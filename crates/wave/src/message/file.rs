//! The file of a message that came in, once it was fetched.

use std::sync::Arc;

use loopd_kernel::file::{self, NewFile, Purpose, Received};
use loopd_kernel::{Kernel, Tenant};
use loopd_types::{Result, Uuid};

use super::{store, wire};
use crate::chat;

/// Puts what was fetched on the company's shelf and in its message; nothing for a message that has its file, or is gone.
///
/// # Errors
/// The database's, and those of the shelf; then nothing is kept.
pub async fn keep(kernel: &Arc<Kernel>, tenant: &Arc<Tenant>, id: Uuid, received: Received) -> Result<()> {
    let (shared, by, kept) = (kernel.clone(), tenant.clone(), received.clone());
    let company = tenant.company;
    let outcome = kernel
        .db
        .write(tenant.view(), move |tx| {
            let Some(mut message) = store::lock(tx, company, id)? else { return Ok(false) };
            let kind = message.content.kind.clone();
            let Some(media) = message.content.media.as_mut().filter(|media| media.file.is_none()) else {
                return Ok(false);
            };
            let name = media.name.clone().unwrap_or_else(|| name_of(&kind, &kept.content_type));
            let new = NewFile { id: shared.new_id(), name: name.clone(), purpose: Purpose::Library, expires_at: None };
            file::keep(tx, &shared, &by, &new, &kept)?;
            media.file = Some(new.id);
            media.name = Some(name);
            media.content_type.clone_from(&kept.content_type);
            media.size_bytes = i64::try_from(kept.size_bytes).ok();
            media.sha256 = Some(kept.sha256.clone());
            store::set_content(tx, company, &message)?;
            if let Some(chat) = chat::find(tx, company, message.chat_id)? {
                wire::told(tx, &shared, &by, &message, &chat, "updated")?;
            }
            Ok(true)
        })
        .await;
    if !matches!(outcome, Ok(true)) {
        file::discard(kernel, &received).await;
    }
    outcome.map(drop)
}

/// `image.jpeg`: what a file without a name is called.
fn name_of(kind: &str, content_type: &str) -> String {
    let ending = content_type.split(';').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let plain: String = ending.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    if plain.is_empty() { kind.to_owned() } else { format!("{kind}.{plain}") }
}
