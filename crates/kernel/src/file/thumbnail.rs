//! Thumbnails of pictures: made when first asked for, kept beside the file, off the threads that answer.

use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};
use loopd_store::{View, dialect, params};
use loopd_types::{Problem, Result, Uuid};

use super::{File, Wanted, discard, ledger, receive};
use crate::Kernel;

/// The longer side, in pixels.
pub const SIZES: [u32; 3] = [128, 320, 1024];
/// A larger file is no picture that a thumbnail is made of.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// A small file may unpack to a picture of any size; these hold before a pixel is read.
const MAX_SIDE: u32 = 16_384;
const MAX_PIXELS: u64 = 64 * 1024 * 1024;
const MAX_MEMORY: u64 = 512 * 1024 * 1024;

/// A picture of a picture.
#[derive(Clone, Debug)]
pub struct Thumbnail {
    pub content_type: String,
    pub size_bytes: u64,
    blob_key: String,
}

impl Thumbnail {
    /// Its content.
    ///
    /// # Errors
    /// 503, 500.
    pub async fn read(&self, kernel: &Kernel) -> Result<super::blob::Chunks> {
        kernel.blobs.read(&self.blob_key, 0..self.size_bytes).await
    }
}

/// The thumbnail of `file` whose longer side has `size` pixels, one of [`SIZES`]; a smaller picture stays as it is.
///
/// # Errors
/// 404 `no_thumbnail` for what is no JPEG, PNG or WebP, too large, or broken.
pub async fn of(kernel: &Arc<Kernel>, file: &File, size: u32) -> Result<Thumbnail> {
    let format = match file.content_type.as_str() {
        "image/jpeg" => ImageFormat::Jpeg,
        "image/png" => ImageFormat::Png,
        "image/webp" => ImageFormat::WebP,
        _ => return Err(none()),
    };
    if file.size_bytes > MAX_BYTES || !SIZES.contains(&size) {
        return Err(none());
    }
    if let Some(known) = known(kernel, file, size).await? {
        return known.ok_or_else(none);
    }
    let place = kernel.blobs.painters.clone().acquire_owned().await.map_err(Problem::unavailable)?;
    // Whoever waited may find that it was made meanwhile.
    if let Some(known) = known(kernel, file, size).await? {
        return known.ok_or_else(none);
    }
    let source = kernel.blobs.read_all(&file.blob_key, file.size_bytes).await?;
    let painted = tokio::task::spawn_blocking(move || {
        let painted = paint(source, format, size);
        drop(place);
        painted
    });
    // A decoder that panics is a picture that cannot be read.
    let painted = painted.await.unwrap_or_else(|error| Err(error.to_string()));
    match painted {
        Ok((content_type, bytes)) => store(kernel, file, size, content_type, bytes).await,
        Err(words) => {
            tracing::debug!(file = %file.id, words, "no thumbnail can be made");
            note(kernel, file, size, None, "", 0).await?;
            Err(none())
        }
    }
}

fn none() -> Problem {
    Problem::new(loopd_types::Kind::NotFound, "no_thumbnail", "No thumbnail can be made of this file.")
}

/// The thumbnail that was made; `Some(None)` when it is known that none can be.
async fn known(kernel: &Kernel, file: &File, size: u32) -> Result<Option<Option<Thumbnail>>> {
    let (company, id) = (file.company, file.id);
    kernel
        .db
        .read(View::Company(company), move |reader| {
            let sql = "SELECT blob_key, content_type, size_bytes FROM file_thumbnails WHERE company_id = $1 AND file_id = $2 AND size = $3";
            Ok(reader.first(sql, &params![company, id, i64::from(size)], |row| {
                let Some(key) = row.opt_text(0)? else { return Ok(None) };
                Ok(Some(Thumbnail {
                    blob_key: key.to_owned(),
                    content_type: row.text(1)?.to_owned(),
                    size_bytes: u64::try_from(row.i64(2)?).unwrap_or(0),
                }))
            })?)
        })
        .await
}

/// Draws it: upright as the camera was held, without the camera's other notes.
fn paint(source: Vec<u8>, format: ImageFormat, size: u32) -> Result<(&'static str, Vec<u8>), String> {
    let mut reader = ImageReader::with_format(Cursor::new(source), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!("{width} × {height} pixels are too many"));
    }
    let orientation = decoder.orientation().map_err(|error| error.to_string())?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    if width.max(height) > size {
        picture = picture.thumbnail(size, size);
    }
    picture.apply_orientation(orientation);
    let mut out = Vec::new();
    if picture.color().has_alpha() {
        let picture = DynamicImage::ImageRgba8(picture.into_rgba8());
        picture.write_to(&mut Cursor::new(&mut out), ImageFormat::Png).map_err(|error| error.to_string())?;
        return Ok(("image/png", out));
    }
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, 82);
    picture.into_rgb8().write_with_encoder(encoder).map_err(|error| error.to_string())?;
    Ok(("image/jpeg", out))
}

async fn store(
    kernel: &Arc<Kernel>,
    file: &File,
    size: u32,
    content_type: &'static str,
    bytes: Vec<u8>,
) -> Result<Thumbnail> {
    let length = bytes.len() as u64;
    let once = futures_util::stream::iter([Ok(Bytes::from(bytes))]);
    let received = receive(kernel, file.company, once, &Wanted::up_to(length)).await?;
    let key = received.blob_key.clone();
    match note(kernel, file, size, Some(key.clone()), content_type, length).await {
        Ok(true) => Ok(Thumbnail { content_type: content_type.to_owned(), size_bytes: length, blob_key: key }),
        outcome => {
            discard(kernel, &received).await;
            outcome?;
            // Another node was faster, or the file went meanwhile.
            known(kernel, file, size).await?.flatten().ok_or_else(Problem::not_found)
        }
    }
}

/// Writes down what was made, or that nothing can be. False when that was known, or the file is gone.
async fn note(
    kernel: &Kernel,
    file: &File,
    size: u32,
    key: Option<String>,
    content_type: &'static str,
    length: u64,
) -> Result<bool> {
    let (company, id): (_, Uuid) = (file.company, file.id);
    let length = i64::try_from(length).map_err(Problem::internal)?;
    kernel
        .db
        .write(View::Company(company), move |tx| {
            // The file's lock: it cannot be deleted past this thumbnail.
            let sql = format!("SELECT 1 FROM files WHERE company_id = $1 AND id = $2{}", dialect::for_update(tx.engine()));
            if tx.first(&sql, &params![company, id], |_| Ok(()))?.is_none() {
                return Ok(false);
            }
            let made = tx.execute(
                "INSERT INTO file_thumbnails (company_id, file_id, size, blob_key, content_type, size_bytes) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (company_id, file_id, size) DO NOTHING",
                &params![company, id, i64::from(size), key.as_deref(), content_type, length],
            )?;
            if made == 1
                && let Some(key) = &key
            {
                ledger::settle(tx, company, key)?;
            }
            Ok(made == 1)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32, alpha: bool) -> Vec<u8> {
        let picture =
            if alpha { DynamicImage::new_rgba8(width, height) } else { DynamicImage::new_rgb8(width, height) };
        let mut out = Vec::new();
        picture.write_to(&mut Cursor::new(&mut out), ImageFormat::Png).unwrap();
        out
    }

    #[test]
    fn a_thumbnail_fits_and_keeps_its_shape() {
        let (content_type, bytes) = paint(png(1000, 500, false), ImageFormat::Png, 128).unwrap();
        let made = image::load_from_memory(&bytes).unwrap();
        assert_eq!((content_type, made.width(), made.height()), ("image/jpeg", 128, 64));
        let (content_type, bytes) = paint(png(20, 10, true), ImageFormat::Png, 128).unwrap();
        let made = image::load_from_memory(&bytes).unwrap();
        assert_eq!(
            (content_type, made.width(), made.height()),
            ("image/png", 20, 10),
            "transparent stays so, small stays small"
        );
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        // One pixel high and wider than any screen: a few hundred bytes.
        assert!(paint(png(MAX_SIDE + 1, 1, false), ImageFormat::Png, 128).is_err());
        // A header that promises 12,000 × 12,000 pixels, and nothing behind it.
        let mut lies = png(1, 1, false);
        lies[16..20].copy_from_slice(&12_000u32.to_be_bytes());
        lies[20..24].copy_from_slice(&12_000u32.to_be_bytes());
        let crc = crc32(&lies[12..29]);
        lies[29..33].copy_from_slice(&crc.to_be_bytes());
        let words = paint(lies, ImageFormat::Png, 128).unwrap_err();
        assert!(words.contains("too many"), "{words}");
        assert!(paint(b"\x89PNG\r\n\x1a\nnonsense".to_vec(), ImageFormat::Png, 128).is_err());
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
        })
    }
}
