#!/usr/bin/env python3
"""Checks that the router answers as `/openapi.json` says, with schemathesis, which makes requests from that
document alone.

    python3 -m venv target/outside
    target/outside/bin/python tests/outside/openapi.py --install target/debug/hookway

The script starts a router on an empty database and a receiver, both on this machine. Then:

- *the story*: every operation of the document is called once so that it succeeds, and each answer is
  compared with the document: status, media type, headers, schema;
- *strangers*: requests made from the document, legal and illegal ones, for every operation;
- *acquaintances*: the same with the ids of what the story made, so that they come further;
- *chains*: what one operation gives is put into the next, for as long as the budget lasts.

No answer may be a 5xx, none may differ from the document, what the document does not allow must be refused,
what needs a key must refuse who has none or a wrong one, and what was deleted must be gone. The router must
end well, without a panic in its log.

Then the control: the same is run against a server that fails, answers other shapes and media types than
it says, takes everything, and asks nobody for a key. Each of these must be found.

Exit codes: 0 everything is right, 1 something is not, 2 it could not be tried.
"""

import argparse
import collections
import http.client
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from packages import install  # noqa: E402
from verify import Cannot, Checks, Receiver, Router  # noqa: E402

PYPI = {"schemathesis": "4.32.5"}
SEED = 20_260_519
# Least requests in one run; with fewer, something is not asked any more.
CASES_MIN = 2_000
# Requests for each operation and phase, and the seconds after which a run is cut short.
EXAMPLES, SECONDS = 30, 40

# Left out, and why.
#   positive_data_acceptance: no schema can say everything that is checked (which addresses may be reached,
#   whether a filter compiles, whether a name is taken); a refusal of such a body is a described 4xx.
CHECKS_LEFT_OUT = ["positive_data_acceptance"]
#   /api/v1/tail never ends its answer, and of /api/v1/backup only one is made at a time, so that the next is
#   answered 503; `beginnings` below looks at how both begin.
PATHS_LEFT_OUT = ["/api/v1/tail", "/api/v1/backup"]

# schemathesis reads this: components go out as any other bytes.
HOOKS = """
import schemathesis

schemathesis.serializer.alias("application/wasm", "application/octet-stream")
"""


class Refusing(Receiver):
    """An endpoint that takes what comes, but for `/refused`."""

    def __init__(self):
        super().__init__()
        handler = self.server.RequestHandlerClass
        taken = handler.do_POST

        def answer(request):
            if request.path != "/refused":
                return taken(request)
            request.rfile.read(int(request.headers.get("content-length") or 0))
            request.send_response(400)
            request.send_header("content-length", "0")
            return request.end_headers()

        handler.do_POST = answer


class Document:
    """What the router says of itself, and schemathesis' reading of it."""

    def __init__(self, router):
        import schemathesis

        exec(HOOKS, {})
        with urllib.request.urlopen(router.url + "/openapi.json", timeout=10) as response:
            self.text = response.read().decode()
        self.raw = json.loads(self.text)
        self.schema = schemathesis.openapi.from_dict(self.raw)
        self.operations = {"%s %s" % (method.upper(), path)
                           for path, item in self.raw["paths"].items() for method in item}
        self.router = router
        self.done = collections.Counter()

    def call(self, checks, method, path, body=None, media_type="application/json", key=None, **parts):
        """One call that must succeed, and be answered as described. Gives the JSON of the answer."""
        from schemathesis import checks as known

        names = {name: parts.pop(name) for name in list(parts) if "{%s}" % name in path}
        operation = self.schema[path][method]
        more = {} if body is None else {"body": body, "media_type": media_type}
        case = operation.Case(path_parameters=names, query=parts.pop("query", {}), headers=parts.pop("headers", {}), **more)
        headers = {} if key is False else {"authorization": "Bearer " + (key or self.router.key)}
        what = "%s %s" % (method, path)
        assert not parts, parts
        response = case.call(base_url=self.router.url, headers=headers, timeout=60)
        good = checks.check("the story: succeeds", 200 <= response.status_code < 300,
                            "%s: %d %s" % (what, response.status_code, response.text[:400]))
        try:
            case.validate_response(response, headers=headers, checks=[
                known.not_a_server_error, *known.CHECKS.get_by_names([
                    "status_code_conformance", "content_type_conformance", "response_schema_conformance",
                    "response_headers_conformance"])])
            good = checks.check("the story: as described", True) and good
        except BaseException as fault:  # groups of exceptions are none of `Exception`
            good = checks.check("the story: as described", False, "%s: %s" % (what, fault))
        if good:
            self.done[what] += 1
        try:
            return json.loads(response.content)
        except ValueError:
            return None


def component(binary):
    """A plugin, as `cargo xtask plugins` leaves it beside the binary."""
    path = os.path.join(os.path.dirname(binary), "..", "plugins", "slack.wasm")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        raise Cannot("%s is not there; `cargo xtask plugins` builds it" % path)


def story(checks, document, receiver, binary):
    """Calls everything once, and gives the ids of what it made, by the parameter that they are for."""
    router = document.router
    api = "/api/v1"

    def call(method, path, body=None, **more):
        return document.call(checks, method, path, body, **more)

    def until(what, satisfied):
        deadline = time.monotonic() + 30
        while not satisfied():
            if time.monotonic() > deadline:
                raise Cannot("the story waits for %s in vain" % what)
            time.sleep(0.05)

    for path in ["/healthz", "/readyz", "/openapi.json", "/problems"]:
        call("GET", path, key=False)
    call("GET", "/problems/{slug}", slug="invalid", key=False)

    tenant = call("POST", api + "/tenants", {"name": "acme", "external_id": "crm-7"})["id"]
    call("GET", api + "/tenants")
    call("GET", api + "/tenants/{id}", id=tenant)
    call("PATCH", api + "/tenants/{id}", {"validate_events": "refuse"}, id=tenant)
    call("POST", api + "/keys", {"name": "kept", "scopes": ["read"]})
    spare = call("POST", api + "/keys", {"name": "spare", "scopes": ["manage", "ingest"]})["id"]
    call("GET", api + "/keys", query={"all": "true"})
    call("DELETE", api + "/keys/{id}", id=spare)

    call("GET", api + "/profiles")
    profile = {"name": "acme", "envelope": [["kind", "{type}"], ["payload", "{data}"]]}
    for name in ["acme", "spare"]:
        call("PUT", api + "/profiles/{name}", dict(profile, name=name), name=name)
    call("GET", api + "/profiles/{name}", name="acme")
    call("DELETE", api + "/profiles/{name}", name="spare")

    described = {"descriptions": {"en": "Something broke"}, "group": "alerts", "schema": {"type": "object"},
                 "sample": {"title": "it broke"}}
    call("POST", api + "/event-types", dict(described, name="alert.created"))
    call("PUT", api + "/event-types/{name}", described, name="spare.type")
    call("PATCH", api + "/event-types/{name}", {"deprecated": True}, name="spare.type")
    call("GET", api + "/event-types")
    call("GET", api + "/event-types/{name}", name="alert.created", headers={"Accept-Language": "es, en;q=0.5"})
    call("DELETE", api + "/event-types/{name}", name="spare.type")
    call("GET", api + "/event-type-catalogues")
    call("POST", api + "/event-types/load", {"catalogue": "workflows"})

    wasm = component(binary)
    for name in ["uploaded", "spare"]:
        call("PUT", api + "/plugins/{name}", wasm, media_type="application/wasm", name=name)
    call("DELETE", api + "/plugins/{name}", name="spare")
    call("GET", api + "/plugins")
    call("GET", api + "/plugins/{name}", name="slack")
    call("POST", api + "/plugins/{name}/run", {"event": {"type": "alert.created", "data": {"title": "x"}}}, name="slack")

    known = {"tenant": tenant, "plugin": "uploaded", "profile": "acme", "event_type": "alert.created"}
    for kind in ["subscriptions", "webhooks"]:
        base = "%s/%s" % (api, kind)
        good = {"name": "Good", "key": "good-" + kind, "url": receiver.url + "/good", "events": ["alert.*"],
                "filter": "data.level != 0", "headers": {"x-team": "a"}, "rate_limit": {"requests": 1000},
                "retry": {"waits": ["1h"]}, "plugins": [{"name": "jq", "config": {"program": "."}}]}
        made = call("POST", base, good)["id"]
        bad = call("POST", base, {"name": "Bad", "url": receiver.url + "/refused", "events": ["*"],
                                  "retry": {"waits": []}})["id"]
        known[kind] = bad
        call("GET", base, query={"limit": 10})
        call("GET", base + "/{id}", id=made)
        call("PATCH", base + "/{id}", {"timeout_seconds": 5}, id=made)
        call("POST", base + "/{id}/disable", {"reason": "for a while"}, id=made)
        call("POST", base + "/{id}/enable", id=made)
        call("POST", base + "/{id}/rotate-secret", {}, id=made)
        call("POST", base + "/{id}/test", {"event_type": "alert.created"}, id=made)
        call("POST", base + "/test", {"name": "x", "url": receiver.url + "/good", "events": ["*"]})
        event = call("POST", api + "/events", {"type": "alert.created", "data": {"level": 3, "title": "it broke"}},
                     headers={"Idempotency-Key": "story-" + kind})["id"]

        def ended():
            deliveries = router.deliveries(event)
            return deliveries and all(one["status"] != "pending" for one in deliveries)

        until("the end of deliveries", ended)
        delivery = next(one["id"] for one in router.deliveries(event) if one["subscription_id"] == bad)
        known.update(event=event, delivery=delivery)
        call("GET", base + "/{id}/deliveries", id=bad, query={"status": "failed"})
        call("GET", base + "/{id}/stats", id=bad)
        call("POST", base + "/{id}/recover", {"preview": True}, id=bad)
        call("POST", base + "/{id}/replay", {"status": "any", "rate": 100}, id=made)
        call("DELETE", base + "/{id}", id=made)

    call("GET", api + "/events", query={"type": "alert.created"})
    call("GET", api + "/events/{id}", id=known["event"])
    call("GET", api + "/events/{id}/matches", id=known["event"])
    call("POST", api + "/events/{id}/replay", {"subscription": known["subscriptions"]}, id=known["event"])
    call("GET", api + "/deliveries")
    call("GET", api + "/deliveries/causes")
    call("GET", api + "/deliveries/{id}", id=known["delivery"])
    call("POST", api + "/deliveries/{id}/resend", id=known["delivery"])
    call("POST", api + "/deliveries/resend", {"ids": [known["delivery"]]})
    known["operation"] = call("POST", api + "/operations", {"kind": "replay", "types": ["alert.created"]})["id"]
    call("GET", api + "/operations")
    call("GET", api + "/operations/{id}", id=known["operation"])
    # A slow one, so that there is something to cancel.
    slow = call("POST", api + "/operations", {"kind": "replay", "rate": 1})["id"]
    call("POST", api + "/operations/{id}/cancel", id=slow)

    call("GET", api + "/doctor")
    call("GET", api + "/doctor/recount")
    call("GET", "/metrics")

    call("GET", api + "/source-presets")
    # The preset `none` proves nothing, so that whatever comes to it becomes an event.
    made = {name: call("POST", api + "/sources", {"name": name, "preset": preset})["id"]
            for name, preset in [("plain", "none"), ("github", "github"), ("spare", "github")]}
    known["source"] = made["github"]
    call("GET", api + "/sources")
    call("GET", api + "/sources/{id}", id=made["github"])
    call("PATCH", api + "/sources/{id}", {"description": "all repositories"}, id=made["github"])
    call("POST", api + "/sources/{id}/disable", id=made["github"])
    call("POST", api + "/sources/{id}/enable", id=made["github"])
    call("POST", api + "/sources/{id}/rotate-secret", {"overlap_seconds": 60}, id=made["github"])
    raw = {"body": b'{"a":1}', "media_type": "application/octet-stream", "key": False}
    call("POST", "/webhooks/{source}", source="plain", **raw)
    call("POST", "/webhooks/{tenant}/{source}", tenant="default", source="plain", **raw)
    receptions = call("GET", api + "/sources/{id}/receptions", id=made["plain"])
    known["reception"] = receptions["data"][0]["id"]
    call("GET", api + "/receptions")
    call("GET", api + "/receptions/{id}", id=known["reception"])
    call("DELETE", api + "/sources/{id}", id=made["spare"])
    return known


def beginnings(checks, router):
    """What schemathesis does not ask begins as described, and only for who has a key."""
    address = urllib.parse.urlsplit(router.url)
    for path, whole in [("/api/v1/tail", "text/event-stream"), ("/api/v1/backup", "application/x-tar")]:
        for key, status, kind in [(router.key, 200, whole), ("hw_wrong", 401, "application/problem+json")]:
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
            connection.request("GET", path, headers={"authorization": "Bearer " + key})
            response = connection.getresponse()
            got = response.status, response.headers.get_content_type()
            checks.check(path, got == (status, kind), got)
            connection.close()


def configuration(known, seconds):
    """What schemathesis is told of ids. Nothing is deleted of what the story made: it is needed on."""
    quote = json.dumps
    lines = ["request-timeout = 20.0", "seed = %d" % SEED]
    by_path = {"events": "event", "deliveries": "delivery", "operations": "operation", "tenants": "tenant",
               "sources": "source", "receptions": "reception", "plugins": "plugin", "profiles": "profile",
               "event-types": "event_type", "subscriptions": "subscriptions", "webhooks": "webhooks"}
    lines += ["[parameters]", '"header.Hookway-Tenant" = "default"']
    for segment, what in by_path.items():
        if what in known:
            name = "name" if segment in ("plugins", "profiles", "event-types") else "id"
            lines += ["[[operations]]", "include-path-regex = %s" % quote("^/api/v1/%s/\\{%s\\}" % (segment, name)),
                      "parameters = { %s = %s }" % (quote("path." + name), quote(known[what]))]
    for path, values in [("/webhooks/{source}", {"source": "plain"}),
                         ("/webhooks/{tenant}/{source}", {"tenant": "default", "source": "plain"}),
                         ("/problems/{slug}", {"slug": "invalid"})]:
        inside = ", ".join("%s = %s" % (quote("path." + name), quote(value)) for name, value in values.items())
        lines += ["[[operations]]", "include-path = %s" % quote(path), "parameters = { %s }" % inside]
    return "\n".join(lines) + "\n"


def run(directory, name, url, document, key, phases, config="", more=()):
    """Runs schemathesis, and gives (exit code, requests, answers by operation and status, checks that
    failed, what it printed)."""
    paths = {what: os.path.join(directory, "%s.%s" % (name, what)) for what in ["json", "toml", "ndjson", "py"]}
    for what, text in [("json", document), ("toml", config), ("py", HOOKS)]:
        with open(paths[what], "w", encoding="utf-8") as file:
            file.write(text)
    left_out = [option for path in PATHS_LEFT_OUT for option in ("--exclude-path", path)]
    arguments = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", paths["toml"], "run", paths["json"], "--url", url,
        "--header", "Authorization: Bearer " + key, "--phases", phases, "--checks", "all", "--no-color",
        "--exclude-checks", ",".join(CHECKS_LEFT_OUT), *left_out, "--continue-on-failure", "--max-failures", "40",
        "--request-timeout", "20", "--seed", str(SEED), "--max-examples", str(EXAMPLES), "--no-shrink",
        "--generation-database", "none", "--warnings", "off", "--report", "ndjson",
        "--report-ndjson-path", paths["ndjson"], *more]
    environment = dict(os.environ, SCHEMATHESIS_HOOKS=paths["py"], PYTHONDONTWRITEBYTECODE="1")
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]:
        environment.pop(proxy, None)
    ran = subprocess.run(arguments, cwd=directory, env=environment, capture_output=True, text=True, timeout=600)
    count, answers, failed = 0, collections.Counter(), collections.Counter()
    with open(paths["ndjson"], encoding="utf-8") as file:
        for line in file:
            recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder") or {}
            count += len(recorder.get("interactions", {}))
            for case, interaction in recorder.get("interactions", {}).items():
                status = (interaction.get("response") or {}).get("status_code")
                asked = recorder["cases"][case]["value"]
                answers["%s %s" % (asked["method"], asked["path"]), status] += 1
            for outcomes in recorder.get("checks", {}).values():
                for outcome in outcomes:
                    if outcome["status"] == "failure":
                        failed[outcome["name"]] += 1
    os.remove(paths["ndjson"])
    return ran.returncode, count, answers, failed, ran.stdout + ran.stderr


class Liar(http.server.BaseHTTPRequestHandler):
    """A server that keeps to nothing that its document says."""

    protocol_version = "HTTP/1.1"
    DOCUMENT = {
        "openapi": "3.1.0", "info": {"title": "Liar", "version": "1"}, "security": [{"key": []}],
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "paths": {
            path: {"post": {
                "operationId": path[1:],
                "requestBody": {"required": True, "content": {"application/json": {"schema": {
                    "type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}},
                    "additionalProperties": False}}}},
                "responses": {"200": {"description": "a number", "content": {"application/json": {"schema": {
                    "type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}}}},
                    "400": {"description": "no"}, "401": {"description": "no key"}},
            }} for path in ["/fails", "/shape", "/status", "/kind", "/takes"]
        },
    }
    # What must be found at each.
    EXPECTED = {
        "/fails": "not_a_server_error", "/shape": "response_schema_conformance", "/status": "status_code_conformance",
        "/kind": "content_type_conformance", "/takes": "negative_data_rejection",
    }

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.split("?")[0]
        status, kind, body = {
            "/fails": (500, "application/json", b'{"n":1}'), "/shape": (200, "application/json", b'{"n":"one"}'),
            "/status": (203, "application/json", b'{"n":1}'), "/kind": (200, "text/html", b"<p>1"),
        }.get(path, (200, "application/json", b'{"n":1}'))
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_HEAD = answer

    def log_message(self, *_):
        pass


def control(checks, directory):
    """The same run finds every fault of a server that has one of each."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code, count, _, failed, output = run(
        directory, "control", "http://127.0.0.1:%d" % server.server_address[1], json.dumps(Liar.DOCUMENT), "any",
        "coverage,fuzzing", more=["--max-examples", "10"])
    server.shutdown()
    checks.check("control: the run fails", code == 1, "exit code %d\n%s" % (code, output[-3_000:]))
    for fault in [*Liar.EXPECTED.values(), "ignored_auth", "unsupported_method"]:
        checks.check("control: a fault is found", failed[fault] > 0, "%s was not; %s" % (fault, dict(failed)))
    print("%6d  requests to a server that has every fault, %d findings of %d kinds"
          % (count, sum(failed.values()), len(failed)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("binary", help="the hookway to check, such as target/debug/hookway")
    parser.add_argument("--install", action="store_true", help="fetch schemathesis from PyPI first")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="most seconds of each run")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    if not os.access(binary, os.X_OK):
        raise Cannot("%s is not there; build it with `cargo build`" % arguments.binary)
    if arguments.install:
        install(PYPI, {})
    try:
        import schemathesis  # noqa: F401
    except ImportError:
        raise Cannot("the package schemathesis is missing: python3 -m pip install schemathesis==%s, or --install"
                     % PYPI["schemathesis"])

    checks, total = Checks(), 0
    with tempfile.TemporaryDirectory(prefix="hookway-openapi-") as directory:
        control(checks, directory)
        receiver = Refusing()
        router = Router(binary, directory)
        try:
            document = Document(router)
            known = story(checks, document, receiver, binary)
            beginnings(checks, router)
            missing = document.operations - set(document.done) - {"GET " + path for path in PATHS_LEFT_OUT}
            checks.check("the story: every operation", not missing, sorted(missing))
            config = configuration(known, arguments.seconds)
            kept = ["--exclude-method", "DELETE"]
            for name, phases, said, more in [
                ("strangers", "examples,coverage,fuzzing", "", []),
                ("acquaintances", "examples,coverage,fuzzing", config, kept),
                ("chains", "stateful", configuration({}, arguments.seconds), ["--max-time", str(arguments.seconds)]),
            ]:
                began = time.monotonic()
                code, count, answers, failed, output = run(
                    directory, name, router.url, document.text, router.key, phases, said, more)
                if not checks.check("schemathesis: " + name, code == 0 and count > 0, "exit code %d" % code):
                    print(output[-20_000:], file=sys.stderr)
                worst = {label: status for label, status in answers if status is None or status >= 500}
                checks.check("no 5xx", not worst, worst)
                total += count
                good = len({label for label, status in answers if status and status < 300})
                print("%6d  requests of %s in %d s; %d operations succeeded with some"
                      % (count, name, time.monotonic() - began, good))
            checks.check("requests enough", total >= CASES_MIN, total)
        except Exception:
            print(router.logged()[-4_000:], file=sys.stderr)
            raise
        finally:
            code = router.stop()
        checks.check("clean end of the router", code == 0, code)
        log = router.logged()
        checks.check("no panic", "panicked" not in log, log[-4_000:])
        checks.check("no internal error", '"internal"' not in log, log[-4_000:])

    for what, count in sorted(checks.right.items()):
        print("%6d  %s" % (count, what))
    print("%d operations, %d requests, %d checks right, %d wrong"
          % (len(document.operations), total, sum(checks.right.values()), checks.wrong))
    return 1 if checks.wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Cannot as reason:
        print("cannot check: %s" % reason, file=sys.stderr)
        sys.exit(2)
