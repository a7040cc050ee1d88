//! Files above a template's words: of the company's own shelf, in place of an id of Meta's or a link.

use loopd_kernel::file::File;
use loopd_store::Reader;
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde_json::Value as Json;

use crate::engine::Media;
use crate::shelf;

/// What Meta takes above a template, by format: types to send, types to show when it is handed in (empty: every type), and bytes.
const FORMATS: [(&str, &[&str], &[&str], u64); 3] = [
    ("image", &["image/jpeg", "image/png"], &["image/jpeg", "image/png"], 5 * 1024 * 1024),
    ("video", &["video/mp4", "video/3gpp"], &["video/mp4"], 16 * 1024 * 1024),
    ("document", &[], &["application/pdf"], 100 * 1024 * 1024),
];

/// The file that a message's header names by `{"type": "image", "image": {"file": ID}}`; `None` where it names none.
///
/// # Errors
/// 400 under `template`: there is no such file on the shelf, or it is none that Meta shows so.
pub fn sent(reader: &mut Reader<'_>, company: CompanyId, components: &[Json]) -> Result<Option<Media>> {
    let is_header = |it: &&Json| it["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("header"));
    let parameters = components.iter().filter(is_header).filter_map(|it| it["parameters"].as_array()).flatten();
    let named = parameters.filter_map(|it| Some((it["type"].as_str()?, it[it["type"].as_str()?].get("file")?))).next();
    let Some((format, id)) = named else { return Ok(None) };
    let file = named_by(reader, company, id, "template")?;
    fits(&file, format, false).map_err(|words| Problem::field("template", "invalid", words))?;
    Ok(Some(file.into()))
}

/// The file that shows Meta what will stand above a template, `{"type": "HEADER", "format": "IMAGE", "file": ID}`, and the place of its
/// component; `None` where there is none.
///
/// # Errors
/// 400 under `components`, as [`sent`].
pub fn shown(reader: &mut Reader<'_>, company: CompanyId, components: &[Json]) -> Result<Option<(usize, File)>> {
    let Some((place, component)) = components.iter().enumerate().find(|(_, it)| it.get("file").is_some()) else {
        return Ok(None);
    };
    let format = component["format"].as_str().unwrap_or_default().to_ascii_lowercase();
    if component["type"] != "HEADER" {
        return Err(Problem::field("components", "invalid", "Only a header has a file."));
    }
    let file = named_by(reader, company, &component["file"], "components")?;
    fits(&file, &format, true).map_err(|words| Problem::field("components", "invalid", words))?;
    Ok(Some((place, file)))
}

fn named_by(reader: &mut Reader<'_>, company: CompanyId, id: &Json, member: &'static str) -> Result<File> {
    // What is no id is no file's.
    let id = id.as_str().and_then(|id| Uuid::parse_str(id).ok()).unwrap_or_default();
    shelf::file(reader, company, id, member)
}

/// # Errors
/// In words.
fn fits(file: &File, format: &str, is_shown: bool) -> Result<(), String> {
    let Some((_, sent, shown, most)) = FORMATS.into_iter().find(|(known, ..)| *known == format) else {
        return Err("A header with a file is an image, a video or a document.".to_owned());
    };
    let types = if is_shown { shown } else { sent };
    let content_type = file.content_type.split(';').next().unwrap_or_default();
    if !types.is_empty() && !types.contains(&content_type) {
        return Err(format!(
            "The file is {content_type}; as {format} of a header WhatsApp takes {}.",
            types.join(", ")
        ));
    }
    if file.size_bytes > most {
        return Err(format!("The file is larger than the {} MB that WhatsApp takes of its kind.", most / 1_048_576));
    }
    Ok(())
}
