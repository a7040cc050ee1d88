//! The secret key, and files for their owner's eyes only.

use std::path::Path;

use anyhow::Context as _;
use loopd_types::{Rng, Secret, random_token};

use super::Settings;

impl Settings {
    /// The secret key: the operator's, or in development one that is made once and kept in the data folder, readable by its owner only.
    ///
    /// # Errors
    /// When the data folder cannot be written.
    pub fn secret_key_or_make(&self, rng: &dyn Rng) -> anyhow::Result<Secret<String>> {
        if let Some(key) = &self.secret_key {
            return Ok(key.clone());
        }
        let path = self.data_dir.join("secret.key");
        if let Ok(known) = std::fs::read_to_string(&path)
            && known.trim().len() >= 32
        {
            return Ok(Secret::new(known.trim().to_owned()));
        }
        std::fs::create_dir_all(&self.data_dir)
            .with_context(|| format!("cannot make the data folder {}", self.data_dir.display()))?;
        let key = random_token(rng, 48);
        write_private(&path, &key).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Secret::new(key))
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    write_for_owner(std::fs::OpenOptions::new().write(true).create(true).truncate(true), path, text)
}

/// Writes a secret into a file that must not be there yet, for its owner's eyes only.
pub fn write_private_new(path: &Path, text: &str) -> std::io::Result<()> {
    write_for_owner(std::fs::OpenOptions::new().write(true).create_new(true), path, text)
}

fn write_for_owner(options: &mut std::fs::OpenOptions, path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
