//! The definition of the command line is sound, and every verb says how it is used.

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_says_how_it_is_used() {
    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(
            command.is_hide_set() || command.get_about().is_some(),
            "{path} has no help"
        );
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{path} {} has no help",
                argument.get_id()
            );
        }
        let leaf = command.get_subcommands().next().is_none();
        let example = command.get_after_help().is_some();
        assert!(!leaf || command.is_hide_set() || example, "{path} has no example");
        command.get_subcommands().for_each(|inner| check(inner, &path));
    }
    check(&Cli::command(), "");
}

#[test]
fn lines_that_people_type_are_understood() {
    for line in [
        "hookway serve --listen 127.0.0.1:0 --data-dir x --allow-http --allow-private-networks --set log.format=json",
        "hookway demo --keep",
        "hookway send alert.created --data {} --id 1 --source s --subject t",
        "hookway send order.paid --wait --timeout 5s",
        "hookway trigger order.paid --override items.0.price=5 --remove tax --count 3 --wait --timeout 1min",
        "hookway trigger --list",
        "hookway trigger github.push --source github --secret-file github.secret --wait",
        "hookway listen --status 503,200 --header retry-after:5 --delay 2s --count 2",
        "hookway events show evt_1 --curl",
        "hookway deliveries show dlv_1 --body --request req_1",
        "hookway tail --json",
        "hookway tail --type order.* --source shop --subscription leads --event evt_1 --failed --count 3",
        "hookway tail --status failed",
        "hookway keys create --name ci --scope ingest --scope read",
        "hookway subscriptions create --name n --url https://example.com --event alert.* --plugin slack",
        "hookway webhooks list --server https://example.com",
        "hookway webhooks test leads --type lead.created --data {}",
        "hookway subscriptions test --url https://example.com --profile plain --secret-env S",
        "hookway event-types put order.paid --description en=x --sample {}",
        "hookway event-types load workflows",
        "hookway event-types load --list",
        "hookway deliveries list --status failed --subscription sub_1 --limit 5",
        "hookway deliveries resend dlv_1 dlv_2",
        "hookway recover leads --since 2026-05-19T16:30:00Z --type a.* --cause timeout --code 503 --rate 5 --wait",
        "hookway recover --preview --json",
        "hookway replay leads --status none --until 2026-05-19T16:30:00Z",
        "hookway replay leads --event evt_1",
        "hookway operations list --running --limit 3",
        "hookway operations show op_1 --wait",
        "hookway operations cancel op_1",
        "hookway plugin run slack --event e.json",
        "hookway plugin new leads --template filter --sdk-path ../guest-sdk",
        "hookway plugin build . --offline --target-dir t",
        "hookway plugin test --update",
        "hookway plugin run . --event-id evt_1 --against leads@0123456789ab",
        "hookway plugin push leads .",
        "hookway plugin inspect ./leads.wasm --schema",
        "hookway dev --plugin . --plugin other=../x --listen 127.0.0.1:0",
        "hookway sources create --name github --preset github --secret-env GH --keep-refused --enabled false",
        "hookway sources receptions github --outcome refused --limit 5",
        "hookway sources rotate-secret github --overlap 24h",
        "hookway sign --profile workflows --secret-env S body.json",
        "hookway verify --profile workflows --signature sha256=x --secret-env S body.json",
        "hookway subscriptions create --name a --url https://a --event a --secret-env S",
        "hookway subscriptions create --file a.json --unsigned",
        "hookway subscriptions test --url https://a --unsigned",
        "hookway tenants show acme",
        "hookway verify --id req_1 --timestamp 1 --signature v1,x --secret-file f body.json",
        "hookway --json health",
        "hookway explain invalid",
        "hookway completions bash",
        "hookway backup /backups",
        "hookway backup nightly.tar --without-key",
        "hookway restore nightly.tar --data-dir new --key secrets.key",
        "hookway compile-worker",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn wrong_lines_are_usage_errors() {
    for line in [
        "hookway",
        "hookway serv",
        "hookway send",
        "hookway deliveries list --status broken",
        "hookway keys create --name x --scope root",
        "hookway send a.b --timeout 5s",
        "hookway trigger",
        "hookway sources receptions github --outcome duplicate",
        "hookway sources create --secret s3cret",
        "hookway trigger a.b --count 0",
        "hookway trigger a.b --secret-file s",
        "hookway listen --status 99",
        "hookway deliveries resend",
        "hookway recover --preview --wait",
        "hookway replay --event evt_1 --status none",
        "hookway deliveries show dlv_1 --curl --body",
        "hookway subscriptions create --file a --url https://example.com",
        "hookway subscriptions test",
        "hookway subscriptions test leads --url https://example.com",
        "hookway event-types load",
        "hookway backup",
        "hookway backup x --with-key --without-key",
        "hookway restore",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}
