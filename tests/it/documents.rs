//! Tables in the documentation that follow from the code.

use std::path::Path;
use std::time::Duration;

use hookway::profile::{self, Profile};
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

/// Where the table of profiles begins.
const PROFILES_MARK: &str = "<!-- profiles -->\n";

fn wait(wait: Duration) -> String {
    match wait.as_secs() {
        seconds if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

fn profile_row(profile: &Profile) -> String {
    let waits: Vec<String> = (1..)
        .map_while(|tries| profile.schedule.wait_after(tries))
        .map(wait)
        .collect();
    let waits = match waits.is_empty() {
        true => "none: one attempt".to_owned(),
        false => waits.join(", "),
    };
    let secret = match (&profile.signature, profile.needs_secret()) {
        (None, _) => "none",
        (Some(_), true) => "needed",
        (Some(_), false) => "optional",
    };
    format!(
        "| `{}` | {} | {waits} | {} s | {secret} |\n",
        profile.name,
        profile.description.as_deref().unwrap_or_default(),
        profile.timeout.as_secs(),
    )
}

#[test]
fn every_profile_is_in_the_guide_to_profiles() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/profiles.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let (_, behind) = guide.split_once(PROFILES_MARK).expect("the mark");
    let head =
        "\n| profile | what is sent | waits between attempts | time-out | secret |\n|---|---|---|---|---|\n";
    let rows: String = profile::built_ins().iter().map(profile_row).collect();
    let expected = format!("{head}{rows}\n");
    assert!(
        behind.starts_with(&expected),
        "docs/profiles.md must have this table behind {PROFILES_MARK}{expected}"
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

/// The reference of the settings is what the program prints.
#[test]
fn the_reference_of_the_configuration_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == hookway::config::reference::page(),
        "docs/configuration.md is not what the code says; write it anew with\n  \
         cargo run --bin hookway -- config --reference > docs/configuration.md"
    );
}
