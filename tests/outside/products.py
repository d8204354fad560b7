#!/usr/bin/env python3
"""Shows that Hookway can be the webhook system of four products, with the code that they publish.

    python3 -m venv target/outside
    target/outside/bin/python tests/outside/products.py --install target/debug/hookway

WorkFlows, AetherFlow, InboundFlow and WorkFlux describe their webhooks and publish code that verifies them.
`receivers/app.js` (on Express 4 and 5) and `receivers/app.py` (on Flask) are receivers made of that code.
The script starts them and a router on an empty database, makes a tenant for each product, and configures it
by nothing but data: the product's profile as the default, the product's id for the customer, the product's
event types. Then, for each product:

- every sample of its documentation is published; each receiver answers 200 by the product's own code, and
  the request is, byte for byte and with the header names as they stand on the wire, what the files in
  `golden` say. Signatures are computed again here, from the secret that creation showed;
- JSON that survives no parser unchanged is published, as data and as the output of a plugin: receivers that
  verify what `JSON.stringify` makes of the body accept it, and to the others it goes byte for byte;
- a wrong secret, no secret, a body beyond Express's limit: what the product's code answers, and what the
  test of a subscription says about it;
- a rotated secret: the product's header has one signature, `webhook-signature` has both;
- retries and resends: the same bytes under the same ids, with a new time stamp and signature where the
  product signs one; the handlers that products publish against duplicates know them again.

`--install` fetches Express, Flask and `standardwebhooks`, of the versions below. A receiver whose framework
cannot be had is left out, and a line says so.

Exit codes: 0 everything is right, 1 something is not, 2 it could not be tried.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from packages import NPM_DIRECTORY, install, npm_version  # noqa: E402
from verify import DOCUMENTED, PATIENCE, Cannot, Checks, Router  # noqa: E402

PYPI = {"Flask": "3.1.3", "standardwebhooks": "1.1.0"}
NPM = {"express4": "npm:express@4.22.3", "express5": "npm:express@5.3.0"}
# Seconds that a time stamp may be away from this machine's clock.
NOW = 120
# Beyond the 100 kB that body parsers of Express take.
LARGE = 120_000


class Product:
    """A product: what the operator types for it, and where its published code runs."""

    def __init__(self, name, organization, variable, signature, receivers, timestamp=None):
        self.name = name  # of the profile, of the tenant, and of the receivers' path
        self.organization = organization  # the product's own id for the customer
        self.variable = variable  # where the published code takes the secret from
        self.signature = signature  # the header
        self.timestamp = timestamp  # the header, where the product signs one
        self.receivers = receivers
        self.samples = [json.loads(text) for product, text in DOCUMENTED if product == name]

    def expected_signature(self, secret, headers, body):
        """The signature in lower-case hex, as the product describes it."""
        signed = body if self.timestamp is None else headers[self.timestamp].encode() + b"." + body
        return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


EXPRESS = ["express4", "express5"]
WORKFLOWS = Product("workflows", "org_abc123", "WORKFLOWS_WEBHOOK_SECRET", "X-WorkFlows-Signature", [*EXPRESS, "flask"])
AETHERFLOW = Product("aetherflow", None, "WEBHOOK_SECRET", "X-AetherFlow-Signature", [*EXPRESS, "flask"])
INBOUNDFLOW = Product("inboundflow", "0b7c8a56-1111-4222-8333-444455556666", "INBOUNDFLOW_SECRET",
                      "X-InboundFlow-Signature", EXPRESS, "X-InboundFlow-Timestamp")
WORKFLUX = Product("workflux", None, "WORKFLUX_SECRET", "X-Workflux-Signature", ["flask"])
PRODUCTS = [WORKFLOWS, AETHERFLOW, INBOUNDFLOW, WORKFLUX]

# JSON of which `JSON.stringify(JSON.parse(text))` makes something else, and some that looks as if.
VARIANTS = {
    "compact": '{"a":"í","n":1}',
    "pretty-printed": '{\n  "a": "í",\n  "n": 1\n}',
    "escaped letters": '{"a":"\\u00ed"}',
    "1.0": '{"resolution_rate":1.0}',
    "0.95": '{"confidence_score":0.95}',
    "1e21": '{"n":1e21,"m":1E+2,"k":-1.5e-7}',
    "1e+21": '{"n":1e+21}',
    "2^53+1": '{"n":9007199254740993}',
    "minus zero": '{"n":-0.0,"m":-0}',
    "keys that are indices": '{"b":1,"10":2,"2":3,"a":4,"01":5,"4294967295":6}',
    "keys twice": '{"a":1,"b":2,"a":3}',
    "escapes": '{"a":"\\/","b":"\\u003c\\u001B\\u0008\\u000a\\u0022"}',
    "texts": '{"a":"\u2028\U0001f600\\u001b\\b","__proto__":{"x":1},"constructor":null}',
    "deep": '{"a":[[],{},[1.50,{"z":[null,true,1E0]}]]}',
}
# What only bytes can say: no JSON document may be published with it as `data`.
SURROGATE = b'{"a":"\\ud800"}'
# The plugin `jq` puts out numbers and keys as its program says them.
JQ_OUTPUT = '{"b": 1.0, "10": 1e21, "2": 9007199254740993, "a": -0.0, "s": "\\u2028\\u001b\\b\\u00ed/<"}'


class Missing(Exception):
    """A framework is not here, so that what needs it is left out."""


class App:
    """A receiver in a process of its own."""

    def __init__(self, kind, directory):
        self.kind = kind
        if kind == "flask":
            if subprocess.run([sys.executable, "-c", "import flask"], capture_output=True).returncode != 0:
                raise Missing("Flask is not here")
            arguments = [sys.executable, "-B", os.path.join(HERE, "receivers", "app.py")]
        else:
            node = shutil.which("node")
            if not node or not npm_version(kind):
                raise Missing("node or %s is not here" % kind)
            arguments = [node, os.path.join(HERE, "receivers", "app.js"), NPM_DIRECTORY, kind]
        environment = {name: value for name, value in os.environ.items() if name not in ("NODE_ENV", "FLASK_DEBUG")}
        # What the published code prints is nobody's business here.
        self.output = open(os.path.join(directory, kind + ".log"), "wb")
        self.process = subprocess.Popen(arguments, env=environment, stdin=subprocess.PIPE, stdout=self.output,
                                        stderr=subprocess.PIPE)
        port = self.process.stderr.readline().strip()
        if not port.isdigit():
            raise Cannot("%s does not start: %s%s" % (kind, port, self.process.stderr.read()))
        # Errors that the published code throws are printed there; nobody may wait for them to be read.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        self.host = "127.0.0.1:" + port.decode()
        self.url = "http://" + self.host

    def put(self, path, value):
        request = urllib.request.Request(self.url + path, method="PUT", data=json.dumps(value).encode())
        request.add_header("content-type", "application/json")
        urllib.request.urlopen(request, timeout=20).close()

    def received(self, path):
        with urllib.request.urlopen(self.url + "/received?path=" + urllib.parse.quote(path), timeout=20) as answer:
            return [Received(one) for one in json.load(answer)]

    def wait(self, path, count):
        """What came to a path, once it is so many."""
        deadline = time.monotonic() + PATIENCE
        while True:
            received = self.received(path)
            if len(received) >= count:
                return received
            if time.monotonic() > deadline:
                raise Cannot("%d of %d requests came to %s on %s" % (len(received), count, path, self.kind))
            time.sleep(0.02)

    def post(self, path, headers, body):
        """What this receiver answers to a request of ours."""
        request = urllib.request.Request(self.url + path, method="POST", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.output.close()


class Received:
    """A request as it came, and what the product's code answered."""

    def __init__(self, kept):
        self.method, self.path, self.status, self.answer = (kept[name] for name in ("method", "path", "status", "answer"))
        self.lines = kept["headers"]
        self.headers = dict(self.lines)
        self.body = base64.b64decode(kept["body"])

    def wire(self):
        """The request as text, its headers in the order of their names."""
        return request_text("%s %s HTTP/1.1" % (self.method, self.path), ["%s: %s" % (name, value) for name, value in self.lines],
                            self.body.decode("utf-8", "replace"))


def request_text(first, lines, body):
    return "\n".join([first, *sorted(lines, key=str.lower), "", body])


class Play:
    """One router, the receivers, and everything that is published."""

    def __init__(self, checks, router, apps, webhooks):
        self.checks, self.router, self.apps, self.webhooks = checks, router, apps, webhooks
        self.version = subprocess.run([router.binary, "--version"], capture_output=True, text=True).stdout.split()[-1]
        self.seen = {}  # receiver and path: how many requests were looked at

    def call(self, product, method, path, wish=None):
        return self.router.call(method, path, None if wish is None else json.dumps(wish).encode(), product.name)

    def configure(self, product):
        """All that an operator types, and no line of code."""
        self.router.call("POST", "/tenants", json.dumps({"name": product.name}).encode())
        wish = {"default_profile": product.name}
        if product.organization is not None:
            wish["external_id"] = product.organization
        self.router.call("PATCH", "/tenants/" + product.name, json.dumps(wish).encode())
        self.call(product, "POST", "/event-types/load", {"catalogue": product.name})

    def webhook(self, product, kind, path, events, **more):
        """A webhook as the products' own documents make one: name, address, events. The receiver is told the
        secret that the answer shows once."""
        wish = {"name": kind + " " + path, "url": self.apps[kind].url + path, "events": events, **more}
        made = self.call(product, "POST", "/webhooks", wish)
        if made.get("secret"):
            self.apps[kind].put("/secrets", {product.variable: made["secret"]})
        return made

    def publish(self, product, kind, data, when=None, name=None, whole=False):
        """Publishes data as it stands in the text, and gives the event's id, or the whole answer."""
        members = [("type", json.dumps(kind))]
        members += [("time", json.dumps(when))] if when else []
        members += [("id", json.dumps(name))] if name else []
        members += [("data_base64", json.dumps(base64.b64encode(data).decode()))] if isinstance(data, bytes) else [("data", data)]
        draft = "{%s}" % ",".join('"%s":%s' % member for member in members)
        answer = self.router.call("POST", "/events", draft.encode(), product.name)
        return answer if whole else answer["id"]

    def came(self, kind, path, count=1):
        """The next requests to a path of a receiver."""
        start = self.seen.get((kind, path), 0)
        self.seen[kind, path] = start + count
        return self.apps[kind].wait(path, start + count)[start:start + count]

    def delivery(self, product, event, subscription, status=None):
        """The delivery of an event for a subscription, once it has this status."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for one in self.router.deliveries(event, product.name):
                if one["subscription_id"] == subscription["id"] and status in (None, one["status"]):
                    return self.call(product, "GET", "/deliveries/" + one["id"])
            if time.monotonic() > deadline:
                raise Cannot("no delivery of %s is %s: %s" % (event, status, self.router.deliveries(event, product.name)))
            time.sleep(0.02)

    def signed(self, product, secret, received, what):
        """The product's own signature, computed again."""
        expected = product.expected_signature(secret, received.headers, received.body)
        self.checks.check("signature computed again", expected in received.headers.get(product.signature, ""),
                          "%s: %s, expected %s" % (what, received.headers.get(product.signature), expected))
        return expected

    def standard(self, secret, received, what):
        """The headers of Standard Webhooks, verified by a library of others."""
        if not secret.startswith("whsec_"):
            # The library's own spelling of a secret whose text is the key.
            secret = "whsec_" + base64.b64encode(secret.encode()).decode()
        try:
            self.webhooks.Webhook(secret).verify(received.body, {name.lower(): value for name, value in received.lines})
            good = True
        except Exception as error:  # its own error, or JSON's
            good = "%s: %s" % (type(error).__name__, error)
        self.checks.check("verified by standardwebhooks", good is True, "%s: %s" % (what, good))

    def accepted(self, received, what, answer="OK"):
        return self.checks.check("200 by the product's own code", (received.status, received.answer) == (200, answer),
                                 "%s: %d %.300s" % (what, received.status, received.answer))

    def samples(self, product):
        """Every sample of the document, as it would have been sent."""
        kinds = [kind for kind in product.receivers if kind in self.apps]
        path = "/" + product.name
        made = {kind: self.webhook(product, kind, path, [one["event"] for one in product.samples]) for kind in kinds}
        ids = []
        for sample in product.samples:
            data = json.dumps(sample["data"], ensure_ascii=False, separators=(",", ":"))
            event = self.publish(product, sample["event"], data, sample["timestamp"], sample.get("id"))
            for kind in kinds:
                what = "%s on %s" % (sample["event"], kind)
                received = self.came(kind, path)[0]
                self.accepted(received, what)
                delivery = self.delivery(product, event, made[kind], "delivered")
                self.golden(product, made[kind]["secret"], kind, sample["event"], received, delivery["requests"][0]["id"])
                ids.append(received.headers["webhook-id"])
        self.checks.check("no webhook-id twice", len(ids) == len(set(ids)), ids)
        for one in made.values():
            self.call(product, "DELETE", "/webhooks/" + one["id"])

    def golden(self, product, secret, kind, event, received, request):
        """The whole request as the file says it, but for what is another in every request."""
        what = "%s on %s" % (event, kind)
        names = received.headers
        with open(os.path.join(HERE, "golden", product.name, event + ".http"), encoding="utf-8") as file:
            expected = file.read()
        values = {"signature": self.signed(product, secret, received, what), "host": self.apps[kind].host,
                  "webhook_id": request, "webhook_timestamp": names["webhook-timestamp"],
                  "webhook_signature": names["webhook-signature"], "version": self.version}
        self.standard(secret, received, what)
        times = [names["webhook-timestamp"]]
        if product.timestamp:
            values["delivery_id"] = names["X-InboundFlow-Delivery-Id"]
            self.checks.check("the delivery's id is a UUID", is_uuid(values["delivery_id"]), values["delivery_id"])
            values["timestamp"] = names[product.timestamp]
            times.append(values["timestamp"])
        for one in times:
            self.checks.check("the time stamp is now, in seconds", one.isdigit() and abs(int(one) - time.time()) < NOW, one)
        for name, value in values.items():
            expected = expected.replace("{%s}" % name, value)
        head, _, body = expected.partition("\n\n")
        first, *lines = head.split("\n")
        expected = request_text(first, lines, body)
        self.checks.check("the bytes of the golden file", received.wire() == expected,
                          "%s\n--- expected\n%s\n--- received\n%s\n---" % (what, expected, received.wire()))

    def variants(self, product):
        """Awkward JSON: whoever verifies what `JSON.stringify` makes of it accepts it all the same, and where
        the product does not need that, it goes as it came."""
        kinds = [kind for kind in product.receivers if kind in self.apps]
        path, stable = "/" + product.name, product in (WORKFLOWS, INBOUNDFLOW)
        event_type = product.samples[0]["event"]
        made = [self.webhook(product, kind, path, [event_type]) for kind in kinds]
        for name, text in VARIANTS.items():
            answer = self.publish(product, event_type, text, whole=True)
            warned = "2^53" in json.dumps(answer.get("warnings", []))
            self.checks.check("a warning of integers that lose digits", warned == (stable and name == "2^53+1"), answer)
            for kind in kinds:
                self.variant(product, kind, path, name, text, stable)
        if not stable:
            self.publish(product, event_type, SURROGATE)
            for kind in kinds:
                received = self.came(kind, path)[0]
                self.accepted(received, "a lone surrogate on " + kind)
                self.checks.check("awkward data byte for byte", received.body.endswith(b'"data":' + SURROGATE + b"}"), received.body)
        for one in made:
            self.call(product, "DELETE", "/webhooks/" + one["id"])
        # The same from a plugin, alone and inside the product's envelope.
        plugins = [{"name": "jq", "config": {"program": JQ_OUTPUT}}]
        for more in [{}, {"envelope": "profile"}]:
            made = [self.webhook(product, kind, path, [event_type], plugins=plugins, **more) for kind in kinds]
            self.publish(product, event_type, "{}")
            for kind in kinds:
                # Without the envelope the published code on Flask finds no `event`, after it has verified.
                received = self.came(kind, path)[0]
                verified = received.status == 200 or (not more and product is WORKFLOWS and kind == "flask" and received.status == 500)
                self.checks.check("a plugin's awkward output verified", verified, "%s %s: %d %.200s\n%r"
                                  % (product.name, kind, received.status, received.answer, received.body))
            for one in made:
                self.call(product, "DELETE", "/webhooks/" + one["id"])

    def variant(self, product, kind, path, name, text, stable):
        received = self.came(kind, path)[0]
        what = "%s on %s: %s" % (name, kind, text)
        self.accepted(received, what)
        if stable:
            # What a receiver reads is what was published, as far as JavaScript's numbers go.
            same = as_doubles(received.body)["data"] == as_doubles(text)
            self.checks.check("awkward data, the same to JavaScript", same, "%s\n  %s" % (what, received.body))
        else:
            same = received.body.endswith(b'"data":' + text.encode() + b"}")
            self.checks.check("awkward data byte for byte", same, "%s\n  %s" % (what, received.body))

    def faults(self, product):
        """What receivers answer where something is not as it should be, and that a test says what it is."""
        kinds, path = [kind for kind in product.receivers if kind in self.apps], "/" + product.name
        event = product.samples[0]["event"]
        for kind in kinds:
            made = self.webhook(product, kind, path, [event])
            secret = {"secret": made["secret"]}
            tried = self.tried(product, kind, path, secret, 200, None)
            self.accepted(tried, "a test event on " + kind)
            self.standard(made["secret"], tried, "a test event on " + kind)
            # As long as the right one, so that only its value is wrong.
            self.apps[kind].put("/secrets", {product.variable: made["secret"][::-1]})
            published = self.publish(product, event, "{}")
            received = self.came(kind, path)[0]
            self.checks.check("another secret: 401", received.status == 401, "%s on %s: %d" % (product.name, kind, received.status))
            deadline = time.monotonic() + PATIENCE
            attempts = []
            while not attempts and time.monotonic() < deadline:
                attempts = self.delivery(product, published, made)["attempts"]
            self.checks.check("history has the 401", attempts and attempts[0]["status_code"] == 401, attempts)
            self.tried(product, kind, path, secret, 401, "credentials_refused")
            self.call(product, "DELETE", "/webhooks/" + made["id"])
            # The header of another product: the published code of Express throws, and the page says so.
            if product in (WORKFLOWS, INBOUNDFLOW):
                self.tried(product, kind, path, {"profile": "workflux"}, 500 if kind in EXPRESS else 401,
                           "signature_mismatch" if kind in EXPRESS else "credentials_refused")

    def tried(self, product, kind, path, more, status, code):
        """Tries a webhook that is not stored: what came back, and what that is said to mean."""
        wish = {"url": self.apps[kind].url + path, "event": product.samples[0]["event"], **more}
        status_code, deadline = 429, time.monotonic() + PATIENCE
        while status_code == 429 and time.monotonic() < deadline:
            # A tenant may try only so often; it says so and lets it again after two seconds.
            status_code, answer = self.router.ask("POST", "/webhooks/test", json.dumps(wish).encode(), product.name)
            time.sleep(2 if status_code == 429 else 0)
        if status_code != 200:
            raise Cannot("POST /webhooks/test: %d %s" % (status_code, answer))
        received = self.came(kind, path)[0]
        got = answer["response"]["status_code"] if answer["response"] else None
        said = [one["code"] for one in answer["diagnosis"]][:1]
        self.checks.check("a test says what is wrong, if anything is", (got, said) == (status, [code] if code else []),
                          "%s on %s: %s" % (product.name, kind, answer))
        return received

    def unsigned(self):
        """InboundFlow without a secret: no signature, and the published code throws."""
        product, event = INBOUNDFLOW, "lead.created"
        for kind in [kind for kind in product.receivers if kind in self.apps]:
            for path, status in [("/inboundflow-unsigned", 200), ("/inboundflow", 500)]:
                made = self.webhook(product, kind, path, [event], secret=None)
                self.apps[kind].put("/secrets", {product.variable: "not set at the sender"})
                self.publish(product, event, "{}")
                received = self.came(kind, path)[0]
                self.checks.check("without a secret: no signature, and %d" % status,
                                  received.status == status and product.signature not in received.headers
                                  and (status == 200 or "TypeError" in received.answer), received.answer)
                self.call(product, "DELETE", "/webhooks/" + made["id"])
            self.tried(product, kind, "/inboundflow", {"secret": None}, 500, "unsigned")

    def large(self):
        """Beyond what Express takes: 413, and a warning before anybody wonders."""
        for product in [WORKFLOWS, AETHERFLOW, INBOUNDFLOW]:
            kinds, path = [kind for kind in product.receivers if kind in EXPRESS and kind in self.apps], "/" + product.name
            event = product.samples[0]["event"]
            made = [self.webhook(product, kind, path, [event]) for kind in kinds]
            draft = {"type": event, "data": {"text": "x" * LARGE}}
            answer = self.call(product, "POST", "/events", draft)
            self.checks.check("a warning of the size", "100" in json.dumps(answer.get("warnings")), answer)
            for kind in kinds:
                received = self.came(kind, path)[0]
                self.checks.check("120 kB: 413 by Express", received.status == 413, received.status)
                self.tried(product, kind, path, {"data": draft["data"]}, 413, "body_too_large")
            for one in made:
                self.call(product, "DELETE", "/webhooks/" + one["id"])

    def documents_curl(self):
        """The call that AetherFlow's page shows for tests is refused by the code that it shows."""
        body = (b'{ "event": "workflow.completed", "id": "test_event_123", "timestamp": "2024-01-15T10:30:00Z", "data": '
                b'{ "workflow": { "id": "test_workflow", "name": "Test Workflow", "status": "completed" } } }')
        headers = {"Content-Type": "application/json", "X-AetherFlow-Signature": "test_signature"}
        for kind, app in self.apps.items():
            status, answer = app.post("/aetherflow", headers, body)
            self.came(kind, "/aetherflow")
            expected = (401, "Invalid signature") if kind == "flask" else (500, "RangeError")
            self.checks.check("the document's curl is refused", status == expected[0] and expected[1] in answer,
                              "%s: %d %.200s" % (kind, status, answer))

    def bytes_body(self):
        """WorkFlux's code where a framework's body is bytes: it throws, whatever is sent."""
        if "flask" in self.apps:
            made = self.webhook(WORKFLUX, "flask", "/workflux-bytes", ["agent.updated"])
            self.publish(WORKFLUX, "agent.updated", "{}")
            received = self.came("flask", "/workflux-bytes")[0]
            self.checks.check("bytes where text is expected: 500", received.status == 500, received.status)
            self.call(WORKFLUX, "DELETE", "/webhooks/" + made["id"])

    def rotation(self, product):
        """During a rotation the product's header has one signature, with the new secret, and the headers of
        Standard Webhooks have one for each."""
        kinds, path = [kind for kind in product.receivers if kind in self.apps], "/" + product.name
        event = product.samples[0]["event"]
        for kind in kinds:
            made = self.webhook(product, kind, path, [event])
            new = self.call(product, "POST", "/webhooks/%s/rotate-secret" % made["id"], {})["secret"]
            self.apps[kind].put("/secrets", {product.variable: new})
            self.publish(product, event, "{}")
            received = self.came(kind, path)[0]
            self.accepted(received, "rotated on " + kind)
            expected = self.signed(product, new, received, "rotated on " + kind)
            value = received.headers[product.signature]
            self.checks.check("rotated: one signature", value in (expected, "sha256=" + expected), value)
            self.checks.check("rotated: both in webhook-signature", len(received.headers["webhook-signature"].split()) == 2,
                              received.headers["webhook-signature"])
            for secret in (made["secret"], new):
                self.standard(secret, received, "rotated on " + kind)
            self.call(product, "DELETE", "/webhooks/" + made["id"])

    def again(self, product, path, base):
        """An answer that is lost on the way, so that there is a retry, and then a resend: the published
        handlers know both, because what names the request stays."""
        profile = self.call(product, "GET", "/profiles/" + base)["profile"]
        profile["schedule"]["waits"] = ["2s"]
        # The router names and numbers its profiles itself.
        soon = {name: value for name, value in profile.items() if name not in ("name", "version")}
        self.call(product, "PUT", "/profiles/%s-soon" % product.name, soon)
        event = product.samples[0]["event"]
        data = json.dumps(product.samples[0]["data"])
        for kind in [kind for kind in EXPRESS if kind in self.apps]:
            made = self.webhook(product, kind, path, [event], profile=product.name + "-soon")
            self.apps[kind].put("/mishaps", {path: 1})
            published = self.publish(product, event, data)
            first, retry = self.came(kind, path, 2)
            delivery = self.delivery(product, published, made, "delivered")
            self.call(product, "POST", "/deliveries/%s/resend" % delivery["id"])
            resent = self.came(kind, path)[0]
            self.accepted(first, "the first on " + kind, "Processed")
            for what, one in [("a retry", retry), ("a resend", resent)]:
                self.accepted(one, "%s on %s" % (what, kind), "Already processed")
                same = one.body == first.body and one.headers["webhook-id"] == first.headers["webhook-id"]
                self.checks.check("%s: the same bytes and id" % what, same, "%s\n%s" % (first.wire(), one.wire()))
                self.signed(product, made["secret"], one, what)
                if product.timestamp:
                    new = int(one.headers[product.timestamp]) > int(first.headers[product.timestamp])
                    new = new and one.headers[product.signature] != first.headers[product.signature]
                    same = one.headers["X-InboundFlow-Delivery-Id"] == first.headers["X-InboundFlow-Delivery-Id"]
                    self.checks.check("%s: a new time stamp and signature, the same delivery id" % what, new and same, one.wire())
            self.call(product, "DELETE", "/webhooks/" + made["id"])


def is_uuid(text):
    return re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None and uuid.UUID(text).version is not None


def as_doubles(text):
    return json.loads(text, parse_int=float, parse_float=float)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("binary", help="the hookway to check, such as target/debug/hookway")
    parser.add_argument("--install", action="store_true", help="fetch Express and Flask into this virtual environment")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    if not os.access(binary, os.X_OK):
        raise Cannot("%s is not there; build it with `cargo xtask demo`" % arguments.binary)
    if arguments.install:
        install(PYPI, NPM)
    try:
        import standardwebhooks as webhooks
    except ImportError:
        raise Cannot("the package standardwebhooks is missing: run this with --install in a virtual environment")

    checks, apps, missing = Checks(), {}, []
    with tempfile.TemporaryDirectory(prefix="hookway-products-") as directory:
        try:
            for kind in [*EXPRESS, "flask"]:
                try:
                    apps[kind] = App(kind, directory)
                except Missing as reason:
                    missing.append(kind)
                    print("LEFT OUT  %s: %s" % (kind, reason), file=sys.stderr)
            if not apps:
                raise Cannot("neither Express nor Flask is here: run it with --install")
            router = Router(binary, directory)
            try:
                play(Play(checks, router, apps, webhooks))
            except Exception as error:
                print(router.logged(), file=sys.stderr)
                # What was wrong before stays wrong.
                if not (isinstance(error, Cannot) and checks.wrong):
                    raise
                print("cannot go on: %s" % error, file=sys.stderr)
            finally:
                code = router.stop()
            checks.check("clean end of the router", code == 0, code)
            if "panicked" in router.logged():
                checks.check("no panic", False, router.logged())
        finally:
            for app in apps.values():
                app.stop()
    for what, count in sorted(checks.right.items()):
        print("%6d  %s" % (count, what))
    print("4 products on %s%s, %d checks right, %d wrong"
          % (", ".join(sorted(apps)), " (left out: %s)" % ", ".join(missing) if missing else "",
             sum(checks.right.values()), checks.wrong))
    return 1 if checks.wrong else 0


def play(play):
    for product in PRODUCTS:
        play.configure(product)
        play.samples(product)
    for product in PRODUCTS:
        play.variants(product)
        play.faults(product)
        play.rotation(product)
    play.unsigned()
    play.large()
    play.bytes_body()
    play.documents_curl()
    play.again(AETHERFLOW, "/aetherflow-once", "aetherflow")
    # The product itself has no retries.
    play.again(INBOUNDFLOW, "/inboundflow-once", "inboundflow-retries")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Cannot as reason:
        print("cannot check: %s" % reason, file=sys.stderr)
        sys.exit(2)
