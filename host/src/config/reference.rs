//! The reference page of the configuration, made from the one table of settings: what `hookway config
//! --reference` prints and `docs/configuration.md` is. A test holds the page to this.

use std::fmt::Write as _;

use super::setting::paragraph;
use super::{GROUPS, Layers, SETTINGS, Setting};

/// What stands before the settings.
const HEAD: &str = "\
# Configuration

<!-- Made by `hookway config --reference`. Do not edit: change host/src/config.rs, and run
     `cargo run --bin hookway -- config --reference > docs/configuration.md`. -->

Every setting, with its default and its limits. Nothing has to be set: the defaults are for production.

A setting can be given in four ways. The first of them that gives it counts:

1. a flag of `hookway serve`: `--listen`, `--data-dir`, `--allow-http`, `--allow-private-networks`,
   `--log-format`, and `--set name=value` for every other;
2. an environment variable, `HOOKWAY_` and the name in capitals, with `__` for the dot:
   `HOOKWAY_STORE__RETENTION=7d`; some have a short name too;
3. a file, `hookway.toml` in the working directory, or the one that `--config` or `HOOKWAY_CONFIG` names;
4. the default.

```toml
data_dir = \"/var/lib/hookway\"

[server]
listen = \"127.0.0.1:8080\"

[egress]
allow = [{ cidr = \"10.1.0.0/16\" }, { host = \"n8n.internal\", http = true }]
```

`hookway config` shows every setting with its value and where it comes from; `hookway config --doc store` says
what is on this page about the settings of one group. A name that is not known, or a value beyond its limits,
is an error that says what would be right, and the router does not start. Settings are read at the start;
changing one needs a restart. Subscriptions, sources, plugins, keys and tenants are no configuration: they live
in the database.

Sizes are written as `512`, `64 KiB`, `32 MiB`, `2 GiB`; times as `500ms`, `30s`, `5min`, `24h`, `7d`.
The command line itself reads `HOOKWAY_URL`, `HOOKWAY_KEY` and `HOOKWAY_TENANT` (where the router is, an API key
for it, the tenant to act for), `HOOKWAY_CONFIG`, `HOOKWAY_SIGNING_SECRET` (for `sign` and `verify`), and `NO_COLOR`.
";

/// The page, Markdown.
pub fn page() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n## General\n");
    for setting in SETTINGS.iter().filter(|setting| !setting.path.contains('.')) {
        describe(&mut page, setting);
    }
    for (group, doc) in GROUPS {
        let doc = paragraph(doc);
        // Writing to a String cannot fail.
        let _written = write!(page, "\n## {group}\n\n{doc}\n");
        let own = |setting: &&Setting| {
            let rest = setting.path.strip_prefix(group);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        for setting in SETTINGS.iter().filter(own) {
            describe(&mut page, setting);
        }
    }
    page
}

fn describe(page: &mut String, setting: &Setting) {
    let default = match setting.default {
        "" => "none".to_owned(),
        default => format!("`{default}`"),
    };
    let limits = setting
        .limits()
        .map(|(least, most)| format!("from `{least}` to `{most}`"));
    let variables: Vec<String> = (setting.variables().iter())
        .map(|name| format!("`{name}`"))
        .collect();
    let place = match setting.layers {
        Layers::All => "",
        Layers::Environment => " only, neither in the file nor as a flag: it is a secret",
    };
    // Writing to a String cannot fail.
    let _written = write!(
        page,
        "\n### `{}`\n\n{}\n\n- Form: {}{}\n- Default: {default}\n- Environment: {}{place}\n",
        setting.path,
        setting.doc(),
        setting.form,
        limits.map(|limits| format!(", {limits}")).unwrap_or_default(),
        variables.join(" or "),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_on_the_page_once_and_under_its_group() {
        let page = page();
        for setting in SETTINGS {
            let heading = format!("### `{}`\n", setting.path);
            assert_eq!(page.matches(&heading).count(), 1, "{heading}");
            if let Some((group, _)) = setting.path.split_once('.') {
                let (before, _) = page.split_once(&heading).unwrap();
                let last = before.rsplit("\n## ").next().unwrap();
                assert!(last.starts_with(group), "{heading} stands below {last}");
            }
        }
    }
}
