//! The folder of a plugin's crate: what its `Cargo.toml` says, and its name.

use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// A crate, as found on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct CrateDir {
    /// The folder.
    pub(in crate::cli) path: PathBuf,
    /// The package's name.
    pub(in crate::cli) name: String,
}

impl CrateDir {
    /// Reads the crate in a folder, or says why it is none.
    pub(in crate::cli) fn open(path: &Path) -> Result<Self, Failure> {
        let manifest = path.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::usage(format!(
                "there is no {}: name the folder of a plugin's crate, or make one with \
                 `hookway plugin new NAME`",
                manifest.display()
            )),
            _ => Failure::io(format!("cannot read {}", manifest.display()), error),
        })?;
        let name =
            package_name(&text).map_err(|why| Failure::usage(format!("{} {why}", manifest.display())))?;
        Ok(Self {
            path: path.to_owned(),
            name,
        })
    }

    /// Where cargo's folder is, where the caller named no other.
    pub(in crate::cli) fn target(&self) -> PathBuf {
        self.path.join("target")
    }
}

fn package_name(manifest: &str) -> Result<String, String> {
    let manifest: toml::Table =
        toml::from_str(manifest).map_err(|error| format!("is not TOML: {}", error.message()))?;
    let package = manifest
        .get("package")
        .ok_or("is a workspace's, not a crate's: name the folder of one crate in it")?;
    let name = package.get("name").and_then(toml::Value::as_str);
    Ok(name.ok_or("gives the package no name")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_has_a_package_with_a_name() {
        assert_eq!(
            package_name("[package]\nname = \"leads\""),
            Ok("leads".to_owned())
        );
        for (text, why) in [
            ("[workspace]\nmembers = []", "is a workspace's"),
            ("[package]\nversion = \"1\"", "gives the package no name"),
            ("[package", "is not TOML"),
        ] {
            let fault = package_name(text).unwrap_err();
            assert!(fault.starts_with(why), "{fault}");
        }
        let nowhere = CrateDir::open(Path::new("/nonexistent")).unwrap_err();
        assert!(nowhere.to_string().contains("hookway plugin new"), "{nowhere}");
    }
}
