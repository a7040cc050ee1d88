//! Files: the shelf, downloads in part, links, uploads in pieces, attachments, and what becomes of content that nobody wants.

mod attachments;
pub mod bucket;
mod content;
mod library;
mod links;
mod resumable;

use std::path::PathBuf;

use loopd_kernel::file;
use loopd_store::View;
use loopd_testkit::{Client, Request};
use serde_json::Value;

use crate::support::World;

/// A form with one file, as a browser sends it.
fn form(name: &str, content_type: &str, content: &[u8], texts: &[(&str, &str)]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (key, value) in texts {
        body.extend_from_slice(
            format!("--b7\r\ncontent-disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n").as_bytes(),
        );
    }
    let head = format!(
        "--b7\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: {content_type}\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--b7--\r\n");
    ("multipart/form-data; boundary=b7".to_owned(), body)
}

fn upload(client: &Client, path: &str, name: &str, content: &[u8]) -> Request {
    let (content_type, body) = form(name, "application/octet-stream", content, &[]);
    client.post(path).body(&content_type, body)
}

/// Uploads to the shelf, and gives the row.
pub async fn shelve(client: &Client, name: &str, content: &[u8]) -> Value {
    upload(client, "/api/v1/files/", name, content).await.expect_status(201).json()
}

/// A picture of this size, as PNG.
fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let picture = image::DynamicImage::ImageRgb8(image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(x % 256) as u8, (y % 256) as u8, 128])
    }));
    picture.write_to(&mut out, image::ImageFormat::Png).expect("a picture can be written");
    out.into_inner()
}

/// Every content in the store, by its path; what is being written included.
pub fn contents(world: &World) -> Vec<PathBuf> {
    let folder = world.kernel.blobs.folder().expect("tests store in a folder").to_owned();
    let mut found = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => found.push(entry.path()),
            }
        }
    }
    found.sort();
    found
}

/// Removes what is due.
pub async fn sweep(world: &World) -> usize {
    file::sweep(&world.kernel).await.expect("the sweep works")
}

/// Entries of content without a row.
pub async fn ledger(world: &World) -> i64 {
    let count = world
        .kernel
        .db
        .read(View::System, |reader| Ok(reader.one("SELECT COUNT(*) FROM file_blobs", &[], |row| row.i64(0))?));
    count.await.expect("the ledger can be read")
}
