#!/usr/bin/env python3
"""Checks what Hookway sends with tools that Hookway's authors did not write.

    python3 -m pip install standardwebhooks
    python3 tests/outside/verify.py target/debug/hookway

The script starts a router on an empty database and a receiver, both on this machine, and posts
events: the examples of four products' webhook documentation, twenty payloads of GitHub and a few that
try to break things. Four kinds of subscriptions take all of them, and every request that arrives is
checked:

- its signature, with the package `standardwebhooks` of PyPI; a changed body must not verify;
- `slack`: Slack's limits, and that nothing but the plugin's own links is in angle brackets;
- `jq`: the same output, in the same order of members, as the `jq` program of the system;
- without a plugin: the data byte for byte, alone and inside the envelope;
- one `webhook-id` is one body, also over a resend after the secret was rotated.

`hookway sign` and `hookway verify` are checked against the package in both directions.

It needs Python 3.9, `standardwebhooks`, `jq`, and for GitHub's payloads `npm` and the registry: they
are in the package `@octokit/webhooks-examples`, fetched into a temporary directory. Where that cannot
be had, `--own` uses two payloads in their shape that the script makes itself, and says so.

Exit codes: 0 everything is right, 1 something is not, 2 it could not be tried.
"""

import argparse
import base64
import datetime
import decimal
import http.server
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request

EXAMPLES = "@octokit/webhooks-examples@7.6.1"
GITHUB_EVENTS = 20
PATIENCE = 60.0

# The examples of the products' own documentation: source, then the body as they send it.
DOCUMENTED = [
    ("workflows", '{"event":"alert.created","orgId":"org_abc123","timestamp":"2026-05-19T16:30:00.000Z","data":{"id":"alert_xyz789","title":"Inventario crítico: Materia Prima A","severity":"critical","status":"active","projectId":"proj_def456","area":"Inventario","createdAt":"2026-05-19T16:30:00.000Z"}}'),
    ("aetherflow", '{ "event": "workflow.completed", "id": "evt_1234567890", "timestamp": "2024-01-15T10:30:00Z", "data": { "workflow": { "id": "wf_abc123", "name": "Email Processor", "status": "completed", "execution_time": 2500, "executed_at": "2024-01-15T10:29:57Z" }, "steps": [ { "id": "step_1", "name": "Process Email", "status": "completed", "duration": 1200 }, { "id": "step_2", "name": "Send Slack Notification", "status": "completed", "duration": 1300 } ], "custom_data": { "email_subject": "Important Update", "priority": "high" } } }'),
    ("aetherflow", '{ "event": "workflow.failed", "id": "evt_1234567891", "timestamp": "2024-01-15T10:35:00Z", "data": { "workflow": { "id": "wf_def456", "name": "Data Sync", "status": "failed", "error_message": "Integration timeout", "failed_at": "2024-01-15T10:34:45Z" }, "error_details": { "step": "step_3", "integration": "salesforce", "error_code": "TIMEOUT", "retry_count": 3 } } }'),
    ("inboundflow", '{"event": "call.completed", "timestamp": "2026-02-24T21:00:00.000Z", "organization_id": "uuid", "delivery_id": "unique-uuid", "data": {"call_id": "uuid", "caller_phone": "+1234567890", "caller_name": "Dave", "caller_email": "dave@example.com", "duration_seconds": 55, "summary": "Called about auto repair appointment. Customer wants to bring in a 2019 Honda Civic for brake inspection.", "intent": "book appointment", "urgency": "medium", "recording_url": "https://...", "started_at": "2026-02-24T20:59:00Z", "ended_at": "2026-02-24T21:00:00Z"}}'),
    ("inboundflow", '{"event": "call.transferred", "timestamp": "2026-02-24T21:00:00.000Z", "organization_id": "uuid", "delivery_id": "unique-uuid", "data": {"call_id": "uuid", "caller_phone": "+1234567890", "caller_name": "Dave", "duration_seconds": 47, "summary": "Caller requested to speak with manager about pricing.", "transferred_to_label": "Manager", "transferred_to_number": "+18154264329", "urgency": "medium", "reason": "Wants to discuss pricing for full body repair"}}'),
    ("inboundflow", '{"event": "appointment.booked", "timestamp": "2026-02-24T21:00:00.000Z", "organization_id": "uuid", "delivery_id": "unique-uuid", "data": {"call_id": "uuid", "caller_phone": "+1234567890", "caller_name": "Sarah", "appointment_date": "2026-02-25", "appointment_time_start": "2026-02-25T11:00:00Z", "appointment_time_end": "2026-02-25T12:00:00Z", "service_type": "Auto Repair Appointment", "calendar_event_id": "google_event_id", "calendar_event_link": "https://calendar.google.com/..."}}'),
    ("inboundflow", '{"event": "lead.created", "timestamp": "2026-02-24T21:00:00.000Z", "organization_id": "uuid", "delivery_id": "unique-uuid", "data": {"call_id": "uuid", "caller_phone": "+1234567890", "caller_name": "Dave", "caller_email": "dave@example.com", "intent": "pricing inquiry", "urgency": "high", "interest": "auto body work", "call_summary": "Called about getting a quote for front bumper repair on a 2019 Honda Civic."}}'),
    ("workflux", '{"event": "conversation.started", "timestamp": "2024-01-01T12:00:00Z", "data": {"conversation_id": "conv-123", "agent_id": "agent-123", "agent_name": "Customer Support Agent", "channel": "chat", "user_id": "user-456", "user_email": "user@example.com", "initial_message": "Hello, I need help"}}'),
    ("workflux", '{"event": "conversation.completed", "timestamp": "2024-01-01T12:05:00Z", "data": {"conversation_id": "conv-123", "agent_id": "agent-123", "duration_seconds": 300, "messages_count": 8, "resolution_rate": 1.0, "satisfaction_score": 5, "was_escalated": false}}'),
    ("workflux", '{"event": "agent.response", "timestamp": "2024-01-01T12:01:00Z", "data": {"conversation_id": "conv-123", "agent_id": "agent-123", "message_id": "msg-789", "content": "I can help you with that...", "response_time_ms": 1200, "confidence_score": 0.95}}'),
    ("workflux", '{"event": "integration.sync", "timestamp": "2024-01-01T12:00:00Z", "data": {"integration_id": "int-456", "integration_type": "salesforce", "sync_type": "full", "records_synced": 150, "duration_seconds": 45, "status": "success"}}'),
]

# Data that is legal and awkward: sizes beyond Slack's limits, its control characters, all of Unicode's
# corners, numbers that a float cannot hold, no object at all.
AWKWARD = [
    '{"title":%s,"message":%s,"severity":"critical"}' % (json.dumps("T" * 400), json.dumps("long & <wide> " * 900)),
    "{%s}" % ",".join('"field_%d":"%s"' % (i, "v" * 2_500) for i in range(60)),
    '{"title":"<!channel> & <@U1|x> <https://evil.example|click>","message":"a\\u2028b \\ud83d\\ude00 *_~` <b>"}',
    '{ "n" : 1.50,   "big":12345678901234567890, "e":1E3, "neg":-0, "u":"\\u00e9é", "nested":{"a":[[],{}]} }',
    '[1, "two", null, {"three": 3}]',
    '"only a text & a <mark>"',
    "null",
]

# The jq subscriptions. No output is `filtered`, several outputs are several requests, and an error on the
# data (`shape` gives one where the data is no object) is a dead letter.
PROGRAMS = {
    "whole": ".",
    "shape": '{kind: (.action? // .status? // "none"), who: (.sender.login? // .caller_name? // "nobody"), keys: ((keys? // []) | length)}',
    "only-objects": 'select(type == "object") | {first: (to_entries[0].key), sum: ([.. | numbers] | length), texts: [.. | strings] | map(length) | add}',
    "several": "if type == \"array\" then .[] else {part: 1}, {part: 2, type: type} end",
    "texts": '[paths(type == "string") | map(tostring) | join(".")] | sort | .[:20]',
}


class Cannot(Exception):
    """It could not be tried."""


class Receiver:
    """An endpoint that remembers what it got."""

    def __init__(self):
        self.received = []
        received = self.received

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                received.append((self.path, headers, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]

    def at(self, path):
        return [(headers, body) for where, headers, body in list(self.received) if where == path]


class Router:
    """A router of its own, on an empty database."""

    def __init__(self, binary, directory):
        self.binary = binary
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % port
        self.key = "outside-" + secrets.token_hex(24)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HOOKWAY_")}
        environment["HOOKWAY_ADMIN_KEY"] = self.key
        self.log = open(os.path.join(directory, "router.log"), "wb+")
        arguments = [binary, "serve", "--listen", "127.0.0.1:%d" % port,
                     "--data-dir", os.path.join(directory, "data"), "--allow-http", "--allow-private-networks"]
        self.process = subprocess.Popen(arguments, cwd=directory, env=environment, stderr=self.log)
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(self.url + "/readyz", timeout=2)
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise Cannot("the router did not become ready:\n" + self.logged())
                time.sleep(0.05)

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")

    def ask(self, method, path, body=None, tenant=None):
        """The status of the answer and its JSON."""
        request = urllib.request.Request(self.url + "/api/v1" + path, method=method, data=body)
        request.add_header("authorization", "Bearer " + self.key)
        if tenant is not None:
            request.add_header("hookway-tenant", tenant)
        if body is not None:
            request.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def call(self, method, path, body=None, tenant=None):
        """The JSON of an answer that is no refusal."""
        status, answer = self.ask(method, path, body, tenant)
        if status >= 300:
            raise Cannot("%s %s: %d %s" % (method, path, status, answer))
        return answer

    def deliveries(self, event, tenant=None):
        found, cursor = [], ""
        while cursor is not None:
            page = self.call("GET", "/deliveries?event=%s&limit=100%s" % (event, cursor and "&cursor=" + cursor), tenant=tenant)
            found += page["data"]
            cursor = page["next"]
        return found

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "no end within 40 s"


class Checks:
    """Counts what was right and prints what was not."""

    def __init__(self):
        self.right = {}
        self.wrong = 0

    def check(self, what, condition, detail=""):
        if condition:
            self.right[what] = self.right.get(what, 0) + 1
        else:
            self.wrong += 1
            print("WRONG  %s: %s" % (what, detail), file=sys.stderr)
        return condition


def github_payloads(directory, own):
    """Real payloads of GitHub, one of each kind of event, as (name, text)."""
    if not own:
        npm = shutil.which("npm")
        if not npm:
            raise Cannot("npm is not here (Debian: apt-get install npm); `--own` does without GitHub's payloads")
        packed = subprocess.run([npm, "pack", "--silent", EXAMPLES], cwd=directory, capture_output=True, text=True)
        if packed.returncode != 0:
            raise Cannot("npm pack %s failed; `--own` does without it\n%s" % (EXAMPLES, packed.stderr))
        with tarfile.open(os.path.join(directory, packed.stdout.split()[-1])) as archive:
            groups = json.load(archive.extractfile("package/api.github.com/index.json"))
        # The largest of each kind, and of the kinds those that people subscribe to first.
        first = ["push", "pull_request", "issues", "issue_comment", "release", "workflow_run", "check_run", "star"]
        groups.sort(key=lambda group: (first + [group["name"]]).index(group["name"]))
        largest = [(group["name"], max((json.dumps(example, indent=2) for example in group["examples"]), key=len))
                   for group in groups]
        return largest[:GITHUB_EVENTS]
    commits = [{"id": "%040x" % i, "message": "Fix <T> & co: %d" % i, "url": "https://example.com/%d" % i,
                "author": {"name": "Ada", "username": "ada"}, "added": [], "modified": ["a.rs"]} for i in range(14)]
    repository = {"id": 1, "full_name": "ada/engine", "html_url": "https://example.com/ada/engine"}
    push = {"ref": "refs/heads/main", "forced": False, "commits": commits, "head_commit": commits[-1],
            "repository": repository, "pusher": {"name": "ada"}, "sender": {"login": "ada"},
            "compare": "https://example.com/ada/engine/compare"}
    issue = {"action": "opened", "issue": {"number": 7, "title": "It <breaks>", "body": "& how\n" * 400,
             "html_url": "https://example.com/7"}, "repository": repository, "sender": {"login": "ada"}}
    return [("push", json.dumps(push)), ("issues", json.dumps(issue, indent=1))]


def slack_faults(body):
    """What Slack would refuse, or show as something that the event's sender chose."""
    message = json.loads(body)
    faults = []

    def limit(name, text, most):
        if not isinstance(text, str) or not 0 < len(text) <= most:
            faults.append("%s has %s characters, %d are allowed" % (name, len(text) if text else text, most))

    def markup(name, text):
        for found in re.findall(r"<[^>]*>?|>", text):
            if not re.fullmatch(r"<https?://[^\s|<>]+(\|[^<>]*)?>", found):
                faults.append("%s has %r" % (name, found))
        for found in re.findall(r"&(?!(?:amp|lt|gt);)", text):
            faults.append("%s has a bare &" % name)

    def texts(blocks, where):
        if len(blocks) > 50:
            faults.append("%s has %d blocks" % (where, len(blocks)))
        for block in blocks:
            kind = block["type"]
            if kind == "header":
                limit("header", block["text"]["text"], 150)
                if block["text"]["type"] != "plain_text":
                    faults.append("a header is not plain text")
            elif kind == "section":
                if not block.get("text") and not block.get("fields"):
                    faults.append("a section has neither text nor fields")
                if "text" in block:
                    limit("section", block["text"]["text"], 3000)
                    markup("section", block["text"]["text"])
                if len(block.get("fields", [])) > 10:
                    faults.append("a section has %d fields" % len(block["fields"]))
                for field in block.get("fields", []):
                    limit("field", field["text"], 2000)
                    markup("field", field["text"])
            elif kind == "context":
                if not 0 < len(block["elements"]) <= 10:
                    faults.append("a context has %d elements" % len(block["elements"]))
                for element in block["elements"]:
                    limit("context", element.get("text", "-"), 2000)
                    markup("context", element.get("text", ""))
            elif kind == "actions":
                for element in block["elements"]:
                    limit("button", element["text"]["text"], 75)
                    limit("button's URL", element.get("url", "-"), 3000)
            elif kind != "divider":
                faults.append("the block %s is not one that this script knows" % kind)

    limit("text", message.get("text"), 40_000)
    markup("text", message.get("text", ""))
    texts(message.get("blocks", []), "the message")
    attachments = message.get("attachments", [])
    if len(attachments) > 20:
        faults.append("%d attachments" % len(attachments))
    for attachment in attachments:
        texts(attachment.get("blocks", []), "an attachment")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}|good|warning|danger", attachment.get("color", "good")):
            faults.append("the colour %r" % attachment["color"])
    every = message.get("blocks", []) + [block for one in attachments for block in one.get("blocks", [])]
    if not every:
        faults.append("no blocks")
    unknown = set(message) - {"text", "blocks", "attachments"}
    if unknown:
        faults.append("members that a webhook of Slack does not take: %s" % unknown)
    return faults


def exact(text):
    """JSON with the order of members, and numbers as numbers whatever their spelling."""
    return json.loads(text, object_pairs_hook=lambda pairs: ("object", pairs),
                      parse_float=decimal.Decimal, parse_int=decimal.Decimal)


def as_floats(value):
    """The same where only what a double holds counts: the system's jq may know no other numbers."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (list, tuple)):
        return type(value)(as_floats(one) for one in value)
    return value


def jq_outputs(program, data):
    """What the system's jq puts out; nothing where the program fails on this data."""
    run = subprocess.run(["jq", "-c", program], input=data.encode(), capture_output=True)
    if run.returncode == 5:
        return None
    if run.returncode != 0:
        raise Cannot("jq refuses %r on %.60r: %s" % (program, data, run.stderr.decode()))
    return [as_floats(exact(line)) for line in run.stdout.decode().split("\n") if line]


def verify(checks, webhooks, secret, headers, body, what):
    """The foreign library says yes to this request and no to a changed one."""
    hook = webhooks.Webhook(secret)
    try:
        hook.verify(body, headers)
        good = True
    except Exception as error:  # its own error, or JSON's for a body that is not JSON
        good = "%s: %s" % (type(error).__name__, error)
    checks.check("signature of " + what, good is True, good)
    try:
        hook.verify(body + b" ", headers)
        checks.check("changed body refused", False, what)
    except webhooks.WebhookVerificationError:
        checks.check("changed body refused", True)


def command_line(checks, webhooks, binary, directory):
    """`hookway sign` and `verify` agree with the foreign library."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    body = '{"a":"é","n":1.50}\n'.encode()
    paths = {"secret": secret.encode(), "body": body}
    for name, content in paths.items():
        with open(os.path.join(directory, name), "wb") as file:
            file.write(content)
    common = ["--secret-file", "secret", "--id", "msg_1"]
    signed = subprocess.run([binary, "sign", *common, "--json", "body"], cwd=directory, capture_output=True, check=True)
    verify(checks, webhooks, secret, json.loads(signed.stdout), body, "hookway sign")
    now = datetime.datetime.now(datetime.timezone.utc)
    theirs = webhooks.Webhook(secret).sign("msg_1", now, body.decode())
    for text, expected in [("body", 0), ("secret", 1)]:
        arguments = [binary, "verify", *common, "--timestamp", str(int(now.timestamp())), "--signature", theirs, text]
        code = subprocess.run(arguments, cwd=directory, capture_output=True).returncode
        checks.check("hookway verify on their signature", code == expected, "%s gave %d" % (text, code))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("binary", help="the hookway to check, such as target/debug/hookway")
    parser.add_argument("--own", action="store_true", help="do not fetch GitHub's payloads; make two")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    if not os.access(binary, os.X_OK):
        raise Cannot("%s is not there; build it with `cargo xtask demo`" % arguments.binary)
    try:
        import standardwebhooks as webhooks
    except ImportError:
        raise Cannot("the package standardwebhooks is missing: python3 -m pip install standardwebhooks\n"
                     "(where Python is the system's: python3 -m venv v && v/bin/pip install standardwebhooks, "
                     "then run this with v/bin/python3)")
    if not shutil.which("jq"):
        raise Cannot("jq is missing (Debian: apt-get install jq)")

    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="hookway-outside-") as directory:
        events = [(name.replace("_", "-"), "github", None, text)
                  for name, text in github_payloads(directory, arguments.own)]
        github = len(events)
        for source, text in DOCUMENTED:
            sample = json.loads(text)
            # The data as it stands in the text: whoever sends it does not rewrite it either.
            start = text.index('"data"') + len('"data"')
            data = text[text.index(":", start) + 1:text.rindex("}")].strip()
            events.append((sample["event"], source, sample["timestamp"], data))
        events += [("awkward.n%d" % index, "tests", None, text) for index, text in enumerate(AWKWARD)]
        receiver = Receiver()
        router = Router(binary, directory)
        try:
            play(checks, webhooks, router, receiver, events)
            command_line(checks, webhooks, binary, directory)
        except Exception:
            print(router.logged(), file=sys.stderr)
            raise
        finally:
            code = router.stop()
        checks.check("clean end of the router", code == 0, code)
        if "panicked" in router.logged():
            checks.check("no panic", False, router.logged())

    for what, count in sorted(checks.right.items()):
        print("%6d  %s" % (count, what))
    whose = "made here, not GitHub's" if arguments.own else "of " + EXAMPLES
    print("%d events (%d payloads %s; %d of documentation; %d awkward), %d requests, %d checks right, %d wrong"
          % (len(events), github, whose, len(DOCUMENTED), len(AWKWARD), len(receiver.received),
             sum(checks.right.values()), checks.wrong))
    return 1 if checks.wrong else 0


def play(checks, webhooks, router, receiver, events):
    """Subscribes, posts everything, and checks everything that came."""
    subscriptions = {}

    def subscribe(name, **more):
        body = dict(name=name, key=name, url="%s/%s" % (receiver.url, name), events=["*"], max_in_flight=32, **more)
        subscriptions[name] = router.call("POST", "/subscriptions", json.dumps(body).encode())

    subscribe("slack", plugins=[{"name": "slack"}])
    for name, program in PROGRAMS.items():
        subscribe("jq-" + name, plugins=[{"name": "jq", "config": {"program": program}}])
    subscribe("standard")
    subscribe("plain", profile="plain")

    accepted = []
    for kind, source, when, data in events:
        draft = '{"type":%s,"source":%s,%s"data":%s}' % (
            json.dumps(kind), json.dumps(source), '"time":%s,' % json.dumps(when) if when else "", data)
        answer = router.call("POST", "/events", draft.encode())
        checks.check("matched by every subscription", answer["matched"] == len(subscriptions), answer)
        accepted.append((answer["id"], kind, data))

    # Every delivery ends, and as it should.
    by_id = {made["id"]: name for name, made in subscriptions.items()}
    deadline = time.monotonic() + PATIENCE
    ended = {}
    for event, kind, _ in accepted:
        while True:
            deliveries = router.deliveries(event)
            if len(deliveries) == len(subscriptions) and all(one["status"] != "pending" for one in deliveries):
                break
            if time.monotonic() > deadline:
                raise Cannot("not all deliveries ended within %d s: %s" % (PATIENCE, deliveries))
            time.sleep(0.05)
        for one in deliveries:
            ended[event, by_id[one["subscription_id"]]] = one

    # A request says which delivery it is for by its id; which event that is, the router says.
    bodies = {}
    for name, made in subscriptions.items():
        for headers, body in receiver.at("/" + name):
            verify(checks, webhooks, made["secret"], headers, body, name.split("-")[0])
            known = bodies.setdefault(headers["webhook-id"], body)
            checks.check("one id, one body", known == body, headers["webhook-id"])
            checks.check("content type", headers["content-type"] == "application/json", headers["content-type"])

    for event, kind, data in accepted:
        for name in subscriptions:
            delivery = ended[event, name]
            requests = router.call("GET", "/deliveries/" + delivery["id"])["requests"]
            # Ids are given in the order in which the plugin gave its requests.
            sent = [bodies.get(request["id"]) for request in sorted(requests, key=lambda one: one["id"])]
            if name.startswith("jq-"):
                expected = jq_outputs(PROGRAMS[name[3:]], data)
                status = "failed" if expected is None else "delivered" if expected else "filtered"
                checks.check("jq: status", delivery["status"] == status, "%s %s: %s" % (kind, name, delivery))
                got = [as_floats(exact(body)) for body in sent if body is not None]
                checks.check("jq: same output as the system's", got == (expected or []),
                             "%s %s\n  ours   %.300s\n  theirs %.300s" % (kind, name, got, expected))
                continue
            if not checks.check("delivered once", delivery["status"] == "delivered" and len(sent) == 1 and sent[0] is not None,
                                "%s to %s: %s" % (kind, name, delivery)):
                continue
            body = sent[0]
            if name == "slack":
                faults = slack_faults(body)
                checks.check("Slack's limits", not faults, "%s: %s" % (kind, "; ".join(faults[:5])))
            elif name == "plain":
                checks.check("plain: the data byte for byte", body == data.encode(), kind)
            else:
                envelope = json.loads(body)
                same = body.endswith(b'"data":' + data.encode() + b"}")
                checks.check("envelope: type, time and the data byte for byte",
                             same and envelope["type"] == kind and "timestamp" in envelope, "%s: %.200r" % (kind, body))

    # After a rotation both secrets verify the resend, which is the same request.
    old = subscriptions["slack"]["secret"]
    new = router.call("POST", "/subscriptions/slack/rotate-secret")["secret"]
    delivery = ended[accepted[0][0], "slack"]["id"]
    before = len(receiver.at("/slack"))
    router.call("POST", "/deliveries/%s/resend" % delivery)
    while len(receiver.at("/slack")) == before:
        if time.monotonic() > deadline:
            raise Cannot("the resend did not arrive")
        time.sleep(0.05)
    headers, body = receiver.at("/slack")[-1]
    checks.check("resend: same id and body", bodies.get(headers["webhook-id"]) == body, headers)
    for secret, which in [(old, "a resend with the old secret"), (new, "a resend with the new secret")]:
        verify(checks, webhooks, secret, headers, body, which)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Cannot as reason:
        print("cannot check: %s" % reason, file=sys.stderr)
        sys.exit(2)
