//! Tables in the documentation that follow from the code.

use std::path::Path;

use hookway::source::preset::{self, SecretMaker};

/// Where the table of presets begins.
const MARK: &str = "<!-- presets -->\n";

fn table() -> String {
    let mut text = String::from("\n| preset | service | the secret |\n|---|---|---|\n");
    for preset in preset::all() {
        let title = match &preset.documentation {
            Some(link) => format!("[{}]({link})", preset.title),
            None => preset.title.clone(),
        };
        let maker = match preset.secret_made_by {
            Some(SecretMaker::Hookway) => " Made here if you give none.",
            Some(SecretMaker::Service) | None => "",
        };
        let secret = preset.secret.as_deref().unwrap_or("There is none.");
        text.push_str(&format!("| `{}` | {title} | {secret}{maker} |\n", preset.name));
    }
    text
}

#[test]
fn every_preset_is_in_the_guide_to_sources() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sources.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let (_, behind) = guide.split_once(MARK).expect("the mark");
    let expected = table();
    assert!(
        behind.starts_with(&expected),
        "docs/sources.md must have this table behind {MARK}{expected}"
    );
}

#[test]
fn every_finding_is_in_the_guide_to_testing_endpoints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/testing-endpoints.md");
    let guide = std::fs::read_to_string(path).unwrap();
    for code in hookway::diagnosis::Code::ALL {
        let written = format!("`{}`", code.as_str());
        assert!(
            guide.contains(&written),
            "docs/testing-endpoints.md does not name {written}"
        );
    }
}
