//! Lists the files of `ui/dist` so that the binary can carry them. It never calls npm: building a page's files is
//! `make`'s business, and a `cargo build` must work without a network.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let dist = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../ui/dist");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", dist.display());
    if !dist.join("manifest.json").is_file() {
        println!("cargo::error=the pages' files are not built (ui/dist/manifest.json is missing)");
        println!("cargo::error=run: npm --prefix ui ci --ignore-scripts && npm --prefix ui run build");
        return Ok(());
    }
    let root = dist.canonicalize()?;
    let mut paths = Vec::new();
    collect(&root, &root, &mut paths)?;
    paths.sort();

    let mut list = String::from("pub(super) static FILES: &[(&str, &[u8])] = &[\n");
    for path in &paths {
        let file = root.join(path);
        writeln!(
            list,
            "    ({path:?}, include_bytes!({:?})),",
            file.to_str().ok_or("a path in ui/dist is not UTF-8")?
        )?;
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("ui_files.rs"), list)?;
    Ok(())
}

/// Adds every file below `folder` to `paths`, named from `root` with forward slashes.
fn collect(root: &Path, folder: &Path, paths: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, paths)?;
        } else {
            let name = path.strip_prefix(root)?.to_str().ok_or("a path in ui/dist is not UTF-8")?;
            paths.push(name.replace('\\', "/"));
        }
    }
    Ok(())
}
