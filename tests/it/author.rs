//! The plugin author's loop: from `hookway plugin new` in a folder outside the workspace to a delivery,
//! with the real program and the machine's wasm toolchain; and a plugin that is swapped under load.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::router::ADMIN_KEY;
use crate::support::{Receiver, TestRouter};

#[path = "../guests/wrap.rs"]
mod wrap;

/// Compiling a plugin takes this long at the most, on a machine that runs other tests beside it and
/// compiles what the plugin depends on for the first time.
const PATIENCE: Duration = Duration::from_secs(500);
/// Wall time on a busy machine: what the limits do is not what these tests are about.
const SLOW: [(&str, &str); 2] = [
    ("HOOKWAY_PLUGINS__TRANSFORM_MS", "5s"),
    ("HOOKWAY_PLUGINS__CONFIGURE_MS", "5s"),
];

/// The workspace's own target directory: what `cargo xtask plugins` compiled is used again.
fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

/// A folder outside the workspace, and the program in it.
struct Author {
    folder: tempfile::TempDir,
    router: Option<String>,
}

impl Author {
    fn new(router: Option<&TestRouter>) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a directory"),
            router: router.map(|router| router.url("")),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookway"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .envs(SLOW)
            .kill_on_drop(true);
        if let Some(url) = &self.router {
            command.env("HOOKWAY_URL", url).env("HOOKWAY_KEY", ADMIN_KEY);
        }
        command
    }

    async fn call(&self, arguments: &[&str]) -> Output {
        let output = tokio::time::timeout(PATIENCE, self.command(arguments).output());
        output.await.expect("in time").expect("it starts")
    }

    /// What a command printed, which must have worked.
    async fn run(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments).await;
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}\n{out}\n{error}");
        out
    }

    /// What a command printed that must have failed with this exit code.
    async fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.call(arguments).await;
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{said}");
        said
    }

    /// Makes a plugin with the SDK of this workspace.
    async fn make(&self, name: &str, template: &str) -> String {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk");
        let sdk = sdk.to_str().expect("a path").to_owned();
        self.run(&["plugin", "new", name, "--template", template, "--sdk-path", &sdk])
            .await
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Changes a file of a crate.
fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("a file");
    assert!(text.contains(from), "{from} is not in {}", file.display());
    std::fs::write(file, text.replace(from, to)).expect("it can be written");
}

#[tokio::test]
async fn from_an_empty_folder_to_a_delivery() {
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    let author = Author::new(Some(&router));
    let target = target();
    let target = target.to_str().expect("a path");
    let made = author.make("leads", "transform").await;
    assert!(
        made.contains("src/lib.rs") && made.contains("cargo test"),
        "{made}"
    );
    author.fail(2, &["plugin", "new", "leads"]).await;

    // The crate's own test, with cargo alone.
    let mut cargo = Command::new("cargo");
    for name in ["CARGO_MANIFEST_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    cargo
        .args(["test", "--quiet", "--lib"])
        .current_dir(author.path("leads"))
        .env("CARGO_TARGET_DIR", Path::new(target).join("outside"));
    let tested = tokio::time::timeout(PATIENCE, cargo.output());
    let tested = tested.await.expect("in time").expect("cargo starts");
    assert!(tested.status.success(), "{}", text(&tested.stderr));

    let built = author
        .run(&["plugin", "build", "leads", "--target-dir", target])
        .await;
    assert!(
        built.contains("leads.wasm") && built.contains("hookway:plugin/log"),
        "{built}"
    );
    let wasm = format!("{target}/leads.wasm");
    let fixtures = author.path("leads/fixtures");
    let fixtures = fixtures.to_str().expect("a path");
    let test = ["plugin", "test", &wasm, "--fixtures", fixtures];
    let tested = author.run(&test).await;
    assert!(tested.contains("2 of 2 as expected"), "{tested}");

    // What comes otherwise is shown, fails, and can be taken as what is meant.
    edit(&author.path("leads/fixtures/lead.json"), "Ada", "Eda");
    let differs = author.fail(1, &test).await;
    assert!(
        differs.contains("-         \"text\": \"New lead: Ada")
            && differs.contains("+         \"text\": \"New lead: Eda"),
        "{differs}"
    );
    author.run(&[&test[..], &["--update"]].concat()).await;
    author.run(&test).await;

    let pushed = author
        .run(&[
            "plugin",
            "push",
            "leads",
            "leads",
            "--target-dir",
            target,
            "--json",
        ])
        .await;
    let pushed: Value = serde_json::from_str(&pushed).expect("JSON");
    assert_eq!(pushed["version"], "0.1.0");
    router
        .subscribe(
            &json!({"name": "Leads", "url": receiver.url(), "events": ["lead.*"],
            "plugins": [{"name": "leads", "config": {"greeting": "Hello"}}]}),
        )
        .await;
    let event = router
        .send(&json!({"type": "lead.created", "data": {"name": "Grace"}}))
        .await;
    let received = receiver.wait_for(1).await.remove(0);
    assert_eq!(received.json(), json!({"text": "Hello: Grace"}));
    assert!(received.header("webhook-signature").starts_with("v1,"));
    router.settle().await;
    assert_eq!(router.delivery_of(&event).await["status"], "delivered");

    // The same event again: here, from history, and against what serves.
    let config = r#"{"greeting":"Hello"}"#;
    let again = [
        "plugin",
        "run",
        &wasm,
        "--event-id",
        &event,
        "--plugin-config",
        config,
        "--against",
        "leads",
    ];
    assert!(author.run(&again).await.contains("both do the same"));
    let digest: String = pushed["digest"]
        .as_str()
        .expect("a digest")
        .chars()
        .take(8)
        .collect();
    let pinned = format!("leads@{digest}");
    let asked = author
        .run(&[
            "plugin",
            "run",
            &pinned,
            "--event-id",
            &event,
            "--plugin-config",
            config,
        ])
        .await;
    assert!(asked.contains("\"text\": \"Hello: Grace\""), "{asked}");
    let seen = author.run(&["plugin", "inspect", "leads"]).await;
    assert!(
        seen.contains("sub_")
            && seen.contains("What stands before the name.")
            && seen.contains("\"New lead\""),
        "{seen}"
    );
}

#[tokio::test]
async fn the_other_templates_build_and_pass_their_own_tests() {
    let author = Author::new(None);
    let target = target();
    let target = target.to_str().expect("a path");
    for (name, template) in [("gate-out", "filter"), ("escalate-out", "emit")] {
        author.make(name, template).await;
        let tested = author
            .run(&["plugin", "test", name, "--target-dir", target, "--json"])
            .await;
        let tested: Value = serde_json::from_str(&tested).expect("JSON");
        assert_eq!(tested["passed"], true, "{tested:#}");
        assert_eq!(tested["fixtures"].as_array().map(Vec::len), Some(2));
    }
    let wasm = format!("{target}/gate-out.wasm");
    let seen = author.run(&["plugin", "inspect", &wasm]).await;
    assert!(seen.contains("at_least") && seen.contains("required"), "{seen}");
    let schema = author.run(&["plugin", "inspect", &wasm, "--schema"]).await;
    let schema: Value = serde_json::from_str(&schema).expect("a schema");
    assert_eq!(schema["properties"]["at_least"]["type"], "number");
}

#[tokio::test]
async fn first_party_plugins_run_without_a_router_or_a_key() {
    let author = Author::new(None);
    let event = ["--type", "lead.created", "--data", r#"{"score":80}"#];
    let jq = |program: &str| {
        let mut line = vec!["plugin".to_owned(), "run".to_owned(), "jq".to_owned()];
        line.extend(event.map(str::to_owned));
        line.extend([
            "--plugin-config".to_owned(),
            json!({ "program": program }).to_string(),
        ]);
        line
    };
    let line = jq("{s: .score}");
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let shown = author.run(&line).await;
    assert!(
        shown.contains("\"s\": 80") && shown.contains("plugin jq  deliver"),
        "{shown}"
    );
    let wrong = jq("{");
    let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    let said = author.fail(2, &wrong).await;
    assert!(said.contains("/program line 1"), "{said}");

    std::fs::write(
        author.path("e.json"),
        r#"{"type":"push","data":{},"headers":{"X-GitHub-Event":"push"}}"#,
    )
    .expect("it can be written");
    let both = author
        .run(&[
            "plugin",
            "run",
            "slack",
            "--event",
            "e.json",
            "--against",
            "slack",
            "--json",
        ])
        .await;
    let both: Value = serde_json::from_str(&both).expect("JSON");
    assert_eq!(
        (&both["same"], &both["run"]["outcome"]),
        (&json!(true), &json!("deliver"))
    );

    let unknown = author
        .fail(2, &["plugin", "run", "./nowhere", "--type", "a"])
        .await;
    assert!(unknown.contains("there is no ./nowhere"), "{unknown}");
    let seen = author.run(&["plugin", "inspect", "slack"]).await;
    assert!(
        seen.contains("min_severity") && seen.contains("x-github-event"),
        "{seen}"
    );
}

/// A component that writes its version into the second member of the data.
fn version(digit: char) -> Vec<u8> {
    let guest = format!(
        "(func $transform (param $event i32) (result i32)
            (i32.store8 (i32.add (i32.load offset=68 (local.get $event)) (i32.const 5)) (i32.const {}))
            (call $deliver (i32.load offset=68 (local.get $event)) (i32.load offset=72 (local.get $event))))",
        u32::from(digit)
    );
    wat::parse_str(wrap::component(&guest)).expect("the guest is text")
}

async fn put(router: &TestRouter, component: Vec<u8>) {
    let wasm = [("content-type", "application/wasm")];
    let answer = router
        .call_raw("PUT", "/api/v1/plugins/swapped", &wasm, component)
        .await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
}

/// The numbers of the events that came, with the versions that made them.
fn numbers(received: &[crate::support::receiver::Received]) -> Vec<(u64, u64)> {
    let mut numbers: Vec<(u64, u64)> = received
        .iter()
        .map(|request| {
            let body = request.json();
            (
                body["n"].as_u64().expect("a number"),
                body["v"].as_u64().expect("a version"),
            )
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn swapping_a_plugin_under_load_loses_and_doubles_nothing() {
    const EVENTS: u64 = 400;
    const SWAPS: u64 = 40;
    let (router, receiver) = (TestRouter::start().await, Receiver::start().await);
    put(&router, version('0')).await;
    router
        .subscribe(&json!({"name": "s", "url": receiver.url(), "events": ["*"],
            "plugins": [{"name": "swapped", "config": {}}]}))
        .await;
    let send = async {
        for n in 0..EVENTS {
            // As text, because the plugin counts bytes.
            let event = format!(r#"{{"type":"a","data":{{"v":0,"n":{n}}}}}"#);
            let headers = [("content-type", "application/json")];
            let answer = router.call_raw("POST", "/api/v1/events", &headers, event).await;
            answer.expect(202);
        }
    };
    let swap = async {
        for n in 1..=SWAPS {
            put(&router, version(if n % 2 == 0 { '0' } else { '1' })).await;
            // Some events by each version, however fast either side is.
            let due = usize::try_from((EVENTS - SWAPS) * n / (2 * SWAPS)).expect("small");
            receiver.wait_for(due).await;
        }
    };
    tokio::join!(send, swap);
    let received = receiver.wait_for(usize::try_from(EVENTS).expect("small")).await;
    router.settle().await;
    assert_eq!(receiver.received().len(), received.len(), "nothing comes twice");
    let numbers = numbers(&received);
    let events: Vec<u64> = numbers.iter().map(|(n, _)| *n).collect();
    assert_eq!(events, (0..EVENTS).collect::<Vec<_>>(), "each event came once");
    for version in [0, 1] {
        assert!(
            numbers.iter().any(|(_, v)| *v == version),
            "version {version} served"
        );
    }
    let mut ids: Vec<&str> = received
        .iter()
        .map(|request| request.header("webhook-id"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), received.len(), "each request has its own id");
}

/// A running `hookway dev`.
struct Dev {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Dev {
    async fn start(author: &Author, arguments: &[&str]) -> Self {
        let mut command = author.command(arguments);
        command
            .env("HOOKWAY_ADMIN_KEY", ADMIN_KEY)
            .stdout(std::process::Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self {
            _child: child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a line with this text.
    async fn until(&mut self, text: &str) -> String {
        let found = async {
            while let Some(line) = self.lines.next_line().await.expect("text") {
                self.seen.push(line.clone());
                if line.contains(text) {
                    return Some(line);
                }
            }
            None
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        let seen = &self.seen;
        found
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("no line says `{text}`: {seen:#?}"))
    }
}

/// A call of the router that `hookway dev` runs.
async fn call(base: &str, path: &str, body: &Value) -> Value {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client
        .post(format!("{base}/api/v1/{path}"))
        .bearer_auth(ADMIN_KEY)
        .header("content-type", "application/json")
        .body(body.to_string());
    let response = request.send().await.expect("an answer");
    let text = response.text().await.expect("a body");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn dev_swaps_what_it_builds_and_keeps_what_serves() {
    let receiver = Receiver::start().await;
    let author = Author::new(None);
    author.make("devleads", "transform").await;
    let target = target();
    let target = target.to_str().expect("a path");
    let mut dev = Dev::start(
        &author,
        &[
            "dev",
            "--plugin",
            "devleads",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            "data",
            "--target-dir",
            target,
        ],
    )
    .await;
    let ready = dev.until("router ").await;
    let base = ready
        .split([' ', ';'])
        .find(|word| word.starts_with("http"))
        .expect("an address");
    dev.until("serves").await;
    let subscription = json!({"name": "s", "url": receiver.url(), "events": ["*"],
        "plugins": [{"name": "devleads", "config": {"greeting": "Hi"}}]});
    let made = call(base, "subscriptions", &subscription).await;
    assert!(made["id"].is_string(), "{made}");
    let send = async |n: u64| {
        let event = json!({"type": "lead.created", "data": {"name": format!("n{n}")}});
        let sent = call(base, "events", &event).await;
        assert_eq!(sent["matched"], 1, "{sent}");
    };
    send(0).await;
    assert_eq!(receiver.wait_for(1).await[0].json(), json!({"text": "Hi: n0"}));

    // A new version while events come in.
    let code = author.path("devleads/src/lib.rs");
    let mut sent = 1;
    edit(&code, "\"{}: {}\"", "\"{} + {}\"");
    {
        let swapped = dev.until("serves");
        tokio::pin!(swapped);
        loop {
            tokio::select! {
                _ = &mut swapped => break,
                () = send(sent) => sent += 1,
            }
            // One at a time: the build needs the machine, too.
            receiver.wait_for(usize::try_from(sent).expect("small")).await;
        }
    }
    send(sent).await;
    sent += 1;

    // Code that does not compile, and a version that does not take the configuration in use.
    edit(&code, "deliver(Request", "delver(Request");
    dev.until("does not build").await;
    send(sent).await;
    sent += 1;
    edit(&code, "delver(Request", "deliver(Request");
    edit(&code, "    greeting: String,", "    greeting: u32,");
    edit(&code, "greeting.trim().is_empty()", "greeting == 0");
    edit(&code, "\"New lead\".to_owned()", "1");
    edit(&code, "fn greeting() -> String", "fn greeting() -> u32");
    edit(&code, "\"Say hello to\"", "2");
    dev.until("does not take it").await;
    send(sent).await;
    sent += 1;

    let received = receiver.wait_for(usize::try_from(sent).expect("small")).await;
    let mut names: Vec<(u64, String)> = received
        .iter()
        .map(|request| {
            let text = request.json()["text"].as_str().expect("text").to_owned();
            let (start, number) = text.rsplit_once('n').expect("a name");
            (number.parse().expect("a number"), start.to_owned())
        })
        .collect();
    names.sort();
    let numbers: Vec<u64> = names.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (0..sent).collect::<Vec<_>>(), "each event came once");
    // Whatever is broken later, the last version that was whole serves.
    assert!(
        names.iter().rev().take(3).all(|(_, text)| text == "Hi + "),
        "{names:?}"
    );
}
