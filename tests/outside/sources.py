#!/usr/bin/env python3
"""Checks Hookway's sources with webhooks that were signed by libraries of others.

    python3 -m venv target/outside
    target/outside/bin/python tests/outside/sources.py --install target/debug/hookway

The script starts a router on an empty database, makes a source for each service and posts to it what the
service would send: signed by the service's own library, or, where that only verifies, signed here and
found right by that library before it is sent. Which library that is stands beside each service below.

Of each sample, in this order: without its signature, with one byte changed, with another secret, too old
and from the future it is answered 401, and the reception says why; then as it should be it is answered
200 and becomes an event of the expected type; the same request again is answered 200 and is no second
event. What is stored and what is delivered are the bytes that were sent. Where a service signs with two
secrets during a rotation, the right one behind a wrong one is enough. Handshakes are answered.

The whole chain once: a webhook of GitHub, the source, the plugin `jq` that makes a message for Slack of it,
`hookway listen`, which finds the signature right.

Not here for want of a small library that signs or verifies their webhooks: Zoom, Mailgun, Meta, PagerDuty,
Dropbox, Trello, X. A service whose library cannot be had is left out, and a line says so.

`--install` fetches the libraries, of the versions below, from PyPI into the environment of the Python that
runs this, which must be a virtual one, and from npm into the directory `npm` beside it.

Exit codes: 0 everything is right, 1 something is not, 2 it could not be tried.
"""

import argparse
import base64
import datetime
import hashlib
import hmac
import http.client
import http.server
import importlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from packages import NPM_DIRECTORY, install  # noqa: E402
from verify import PATIENCE, Cannot, Checks, Receiver, Router  # noqa: E402

PYPI = {"standardwebhooks": "1.1.0", "svix": "2.9.1", "stripe": "16.1.0", "slack_sdk": "3.47.0",
        "PyNaCl": "1.6.2", "cryptography": "50.0.2", "twilio": "9.13.0"}
# What signs needs nothing of what these depend on.
PYPI_ALONE = ["twilio"]
NPM = {"@octokit/webhooks-methods": "6.0.0", "@paddle/paddle-node-sdk": "3.10.0", "@linear/sdk": "98.0.0",
       "@sendgrid/eventwebhook": "8.0.0", "@shopify/shopify-api": "15.0.0", "discord-interactions": "4.4.0"}
UTC = datetime.timezone.utc
PUBLIC_URL = "https://hooks.example.com/webhooks/twilio"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Missing(Exception):
    """A library is not here, so that what needs it is left out."""


class Node:
    """The libraries of npm, in a process of their own."""

    def __init__(self):
        self.process = None
        node = shutil.which("node")
        if not node or not os.path.isdir(os.path.join(NPM_DIRECTORY, "node_modules")):
            return
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libraries.mjs"), encoding="utf-8") as file:
            program = file.read()
        self.process = subprocess.Popen([node, "--input-type=module", "-e", program], cwd=NPM_DIRECTORY,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def ask(self, what, **question):
        if self.process is None:
            raise Missing("node or %s is not here" % NPM_DIRECTORY)
        self.process.stdin.write(json.dumps({"ask": what, **question}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"error":"node ended"}')
        if answer.get("missing"):
            raise Missing(answer["error"])
        if "error" in answer:
            raise Cannot("%s: %s" % (what, answer["error"]))
        return answer["value"]

    def stop(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(timeout=20)


class Sample:
    """What a service sends. `body` may have `@millis@`, which is when it was sent."""

    def __init__(self, expected, body, media_type=JSON, headers=None, items=None):
        self.expected = expected  # the type, or the types where one request is several events
        self.body = body if isinstance(body, bytes) else body.encode()
        self.media_type = media_type
        self.headers = headers or {}
        self.items = items  # the data of each event where one request is several


class Service:
    """A service: its source, how it signs, and samples. Those below say how."""

    name = None  # of the preset and of the source
    library = None
    tolerance = None  # in seconds, where the time is signed and checked
    samples = []
    handshakes = []  # (media type, body, the body of the answer)
    rotates = False  # whether a request may have the signatures of two secrets

    def __init__(self, node):
        self.node = node
        self.secret, self.other = secrets.token_hex(16), secrets.token_hex(16)

    def source(self):
        return {"name": self.name, "preset": self.name, "secret": self.secret}

    def sign(self, secret, when, sample, body):
        """The headers that sign `body`, and what is to be added to the address."""
        raise NotImplementedError

    def found_right(self, headers, body):
        """Whether the service's own library finds the request right; None where it signed itself."""
        return None

    def both(self, wrong, right):
        """Headers with the signatures of two secrets, as during a rotation."""
        raise NotImplementedError


class GitHub(Service):
    name, library = "github", "@octokit/webhooks-methods of npm signs"
    samples = [
        Sample("github.issues.opened", '{"action":"opened","issue":{"number":7,"title":"Stück für Stück \\u2028 \U0001f600"},'
               '"repository":{"full_name":"ada/engine"},"n":12345678901234567890,  "f": 1.50}\n',
               headers={"X-GitHub-Event": "issues", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}),
        Sample("github.ping", '{"zen":"Speak like a human.","hook_id":1}',
               headers={"X-GitHub-Event": "ping", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0959"}),
    ]

    def sign(self, secret, when, sample, body):
        return {"X-Hub-Signature-256": self.node.ask("github.sign", secret=secret, body=body.decode())}, ""


class StandardWebhooks(Service):
    name, library, tolerance = "standard-webhooks", "standardwebhooks of PyPI signs", 300
    prefix, module, rotates = "webhook", "standardwebhooks", True
    samples = [
        Sample("user.created", '{"type":"user.created","timestamp":"2026-05-19T16:30:00Z","data":{"id":"usr_1","name":"Zoë"}}'),
        Sample("invoice.paid", '{ "type": "invoice.paid",\n "data": { "id": 5, "total": 1e3 } }'),
    ]

    def __init__(self, node):
        super().__init__(node)
        self.secret, self.other = ("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
        self.webhooks = importlib.import_module(self.module)

    def sign(self, secret, when, sample, body):
        # One id for a sample, however often it is sent.
        ident = "msg_%s_%s" % (self.name, hashlib.sha256(sample.body).hexdigest()[:16])
        at = datetime.datetime.fromtimestamp(when, UTC)
        signature = self.webhooks.Webhook(secret).sign(ident, at, body.decode())
        return {self.prefix + "-id": ident, self.prefix + "-timestamp": str(when), self.prefix + "-signature": signature}, ""

    def both(self, wrong, right):
        name = self.prefix + "-signature"
        return {**right, name: "%s %s" % (wrong[name], right[name])}


class Svix(StandardWebhooks):
    name, library, prefix, module = "svix", "svix of PyPI signs", "svix", "svix.webhooks"


class Stripe(Service):
    name, library, tolerance, rotates = "stripe", "stripe of PyPI signs", 300, True
    samples = [
        Sample("stripe.invoice.paid", '{\n  "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",\n  "object": "event",\n  "type": "invoice.paid",\n'
               '  "data": {"object": {"id": "in_1", "amount_paid": 1999, "customer_name": "Łukasz"}}\n}'),
        Sample("stripe.v1.billing.meter.error_report_triggered", '{"id":"evt_test_65","object":"v2.core.event",'
               '"type":"v1.billing.meter.error_report_triggered","related_object":{"id":"mtr_1"}}'),
    ]

    def __init__(self, node):
        super().__init__(node)
        self.secret, self.other = "whsec_" + self.secret, "whsec_" + self.other
        self.signature = importlib.import_module("stripe").WebhookSignature

    def sign(self, secret, when, sample, body):
        return {"Stripe-Signature": self.signature.generate_signature_header(body.decode(), secret, when)}, ""

    def both(self, wrong, right):
        name = "Stripe-Signature"
        return {name: "%s,%s" % (wrong[name], right[name].split(",", 1)[1])}


class Slack(Service):
    name, library, tolerance = "slack", "slack_sdk of PyPI signs", 300
    samples = [
        Sample("slack.app_mention", '{"token":"x","team_id":"T1","type":"event_callback","event_id":"Ev1",'
               '"event":{"type":"app_mention","channel":"C1","text":"<@U1> \\ud83d\\ude00 grüß dich"}}'),
        Sample("slack.command./deploy", "token=x&team_id=T1&channel_id=C1&command=%2Fdeploy&text=caf%C3%A9+now&trigger_id=13345224609.1",
               FORM),
        Sample("slack.interaction", "payload=%7B%22type%22%3A%22block_actions%22%2C%22trigger_id%22%3A%229%22%7D", FORM),
    ]
    handshakes = [(JSON, b'{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P",'
                   b'"type":"url_verification"}', b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")]

    def __init__(self, node):
        super().__init__(node)
        self.verifier = importlib.import_module("slack_sdk.signature").SignatureVerifier

    def sign(self, secret, when, sample, body):
        signature = self.verifier(secret).generate_signature(timestamp=str(when), body=body)
        return {"X-Slack-Request-Timestamp": str(when), "X-Slack-Signature": signature}, ""


class Parameters(dict):
    """A form as Twilio's validator takes it, with parameters that come twice."""

    def getlist(self, name):
        return self[name]


class Twilio(Service):
    name, library = "twilio", "twilio of PyPI signs"
    samples = [
        Sample("twilio.message.delivered", "MessageSid=SM1&MessageStatus=delivered&To=%2B15551234567&Body=Gr%C3%BC%C3%9Fe+%26+more&Empty=", FORM),
        Sample("twilio.call.ringing", "CallSid=CA1&CallStatus=ringing&From=%2B1&Tag=b&Tag=a&Tag=b&tag=lower", FORM),
        Sample("twilio.event", '{"sid":"CI1","body":"é"}'),
    ]

    def __init__(self, node):
        super().__init__(node)
        self.validator = importlib.import_module("twilio.request_validator").RequestValidator

    def source(self):
        return {**super().source(), "public_url": PUBLIC_URL}

    def sign(self, secret, when, sample, body):
        query, parameters = "", {}
        if sample.media_type == FORM:
            parameters = Parameters(urllib.parse.parse_qs(body.decode(), keep_blank_values=True))
        else:
            # The digest is of what was signed; a body that was changed on the way does not fit it.
            query = "?bodySHA256=" + hashlib.sha256(body).hexdigest()
        return {"X-Twilio-Signature": self.validator(secret).compute_signature(PUBLIC_URL + query, parameters)}, query


class Discord(Service):
    name, library, tolerance = "discord", "PyNaCl of PyPI signs, discord-interactions of npm finds it right", 300
    samples = [
        Sample("discord.interaction.2", '{"id":"846462639134605312","type":2,"data":{"name":"größe"},"token":"t"}'),
        Sample("discord.interaction.3", '{"id":"846462639134605313","type":3,"data":{"custom_id":"yes"}}'),
    ]
    handshakes = [(JSON, b'{"id":"846462639134605314","type":1}', b'{"type":1}')]

    def __init__(self, node):
        super().__init__(node)
        signing = importlib.import_module("nacl.signing")
        self.secret, self.other = signing.SigningKey.generate(), signing.SigningKey.generate()
        self.public = self.secret.verify_key.encode().hex()

    def source(self):
        return {"name": self.name, "preset": self.name, "secret": self.public}

    def sign(self, secret, when, sample, body):
        signature = secret.sign(str(when).encode() + body).signature.hex()
        return {"X-Signature-Ed25519": signature, "X-Signature-Timestamp": str(when)}, ""

    def found_right(self, headers, body):
        return self.node.ask("discord.verify", secret=self.public, body=body.decode(),
                             signature=headers["X-Signature-Ed25519"], timestamp=headers["X-Signature-Timestamp"])


class Shopify(Service):
    name, library = "shopify", "@shopify/shopify-api of npm finds right what the standard library signed"
    samples = [
        Sample("shopify.orders/paid", '{"id":820982911946154508,"total_price":"398.00","note":"\\u003cb\\u003e très \\/"}', headers={
            "X-Shopify-Topic": "orders/paid", "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
            "X-Shopify-Shop-Domain": "example.myshopify.com", "X-Shopify-API-Version": "2026-04"}),
    ]

    def sign(self, secret, when, sample, body):
        digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        return {"X-Shopify-Hmac-SHA256": base64.b64encode(digest).decode()}, ""

    def found_right(self, headers, body):
        return self.node.ask("shopify.verify", secret=self.secret, body=body.decode(), headers=headers)


class Linear(Service):
    name, library, tolerance = "linear", "@linear/sdk of npm finds right what the standard library signed", 60
    samples = [
        Sample("linear.Issue.create", '{"action":"create","type":"Issue","data":{"id":"2174add1","title":"Überlauf"},'
               '"webhookTimestamp":@millis@,"webhookId":"000042e3"}',
               headers={"Linear-Event": "Issue", "Linear-Delivery": "234d1a4e-b617-4388-90fe-adc3633d6b72"}),
    ]

    def sign(self, secret, when, sample, body):
        return {"Linear-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}, ""

    def found_right(self, headers, body):
        return self.node.ask("linear.verify", secret=self.secret, body=body.decode(), signature=headers["Linear-Signature"])


class Paddle(Service):
    name, library, tolerance = "paddle", "@paddle/paddle-node-sdk of npm finds right what the standard library signed", 300
    rotates = True
    samples = [
        Sample("paddle.transaction.completed", '{"event_id":"evt_01hv8x29kz0t586xy6zn1a62ny","event_type":"transaction.completed",'
               '"data":{"id":"txn_01hv8wptq8987qeep44cyrewp9","note":"naïve"}}'),
    ]

    def sign(self, secret, when, sample, body):
        signature = hmac.new(secret.encode(), b"%d:%s" % (when, body), hashlib.sha256).hexdigest()
        return {"Paddle-Signature": "ts=%d;h1=%s" % (when, signature)}, ""

    def found_right(self, headers, body):
        return self.node.ask("paddle.verify", secret=self.secret, body=body.decode(), signature=headers["Paddle-Signature"])

    def both(self, wrong, right):
        name = "Paddle-Signature"
        return {name: "%s;%s" % (wrong[name], right[name].split(";", 1)[1])}


class SendGrid(Service):
    name, library, tolerance = "sendgrid", "cryptography of PyPI signs, @sendgrid/eventwebhook of npm finds it right", 86_400
    items = [b'{"email":"ada@example.com","event":"processed","sg_event_id":"c2V0","sg_message_id":"m1","timestamp":1600112492}',
             b'{"email":"ada@example.com","event":"delivered","sg_event_id":"ZGVs","sg_message_id":"m1","response":"250 \\u00e9 OK"}',
             b'{"email":"bob@example.com","event":"bounce",   "sg_event_id":"Ym91","reason":"500 unbekannt \xc3\xbc"}']
    samples = [Sample(["sendgrid.processed", "sendgrid.delivered", "sendgrid.bounce"],
                      b"[" + b",\r\n".join(items) + b"]\r\n", items=items)]

    def __init__(self, node):
        self.node = node
        ec = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ec")
        self.hashes = importlib.import_module("cryptography.hazmat.primitives.hashes")
        self.serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
        self.ecdsa = ec.ECDSA(self.hashes.SHA256())
        self.secret, self.other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def public(self, encoding):
        return self.secret.public_key().public_bytes(encoding, self.serialization.PublicFormat.SubjectPublicKeyInfo)

    def source(self):
        key = base64.b64encode(self.public(self.serialization.Encoding.DER)).decode()
        return {"name": self.name, "preset": self.name, "secret": key}

    def sign(self, secret, when, sample, body):
        signature = base64.b64encode(secret.sign(str(when).encode() + body, self.ecdsa)).decode()
        return {"X-Twilio-Email-Event-Webhook-Signature": signature, "X-Twilio-Email-Event-Webhook-Timestamp": str(when)}, ""

    def found_right(self, headers, body):
        key = self.public(self.serialization.Encoding.PEM).decode()
        return self.node.ask("sendgrid.verify", secret=key, body=body.decode(),
                             signature=headers["X-Twilio-Email-Event-Webhook-Signature"],
                             timestamp=headers["X-Twilio-Email-Event-Webhook-Timestamp"])


class PayPal(Service):
    """Its certificate is made and served here, so the source takes certificates from this machine."""

    name, library = "paypal", "cryptography of PyPI signs and makes the certificate"
    webhook_id = "9XL90610J3647323C"
    samples = [Sample("paypal.PAYMENT.SALE.COMPLETED", '{"id":"WH-9UG","event_type":"PAYMENT.SALE.COMPLETED",'
                      '"resource":{"id":"PAY-1","note":"Straße"}}', headers={"PAYPAL-AUTH-ALGO": "SHA256withRSA"})]

    def __init__(self, node):
        self.node = node
        load = lambda name: importlib.import_module("cryptography." + name)  # noqa: E731
        rsa, x509 = load("hazmat.primitives.asymmetric.rsa"), load("x509")
        self.hashes, serialization = load("hazmat.primitives.hashes"), load("hazmat.primitives.serialization")
        self.padding = load("hazmat.primitives.asymmetric.padding").PKCS1v15()
        self.secret, self.other = (rsa.generate_private_key(public_exponent=65_537, key_size=2_048) for _ in range(2))
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "messageverificationcerts.example")])
        now = datetime.datetime.now(UTC)
        certificate = x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=self.secret.public_key(),
                                              serial_number=x509.random_serial_number(), not_valid_before=now,
                                              not_valid_after=now + datetime.timedelta(days=1))
        pem = certificate.sign(self.secret, self.hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("content-length", str(len(pem)))
                self.end_headers()
                self.wfile.write(pem)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d/v1/notifications/certs/CERT-1" % server.server_address[1]

    def source(self):
        return {"name": self.name, "preset": self.name, "secret": self.webhook_id}

    def sign(self, secret, when, sample, body):
        ident, at = "69cd13f0-d67a-11e5-baa3-778b53f4ae55", "2016-02-18T20:01:35Z"
        text = "%s|%s|%s|%d" % (ident, at, self.webhook_id, zlib.crc32(body))
        signature = secret.sign(text.encode(), self.padding, self.hashes.SHA256())
        return {"PAYPAL-TRANSMISSION-ID": ident, "PAYPAL-TRANSMISSION-TIME": at, "PAYPAL-CERT-URL": self.url,
                "PAYPAL-TRANSMISSION-SIG": base64.b64encode(signature).decode()}, ""


SERVICES = [GitHub, StandardWebhooks, Svix, Stripe, Slack, Twilio, Discord, Shopify, Linear, Paddle, SendGrid, PayPal]


def post(router, path, headers, body):
    """Posts raw bytes with exactly these headers: status, headers and body of the answer."""
    where = urllib.parse.urlsplit(router.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    connection.request("POST", path, body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def text_of(router, path):
    """What the API answers, as it stands there."""
    where = urllib.parse.urlsplit(router.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    connection.request("GET", "/api/v1" + path, headers={"authorization": "Bearer " + router.key})
    text = connection.getresponse().read()
    connection.close()
    return text


def changed(body):
    """The same with another character in place of the last letter or digit."""
    at = max(place for place, byte in enumerate(body) if chr(byte).isascii() and chr(byte).isalnum())
    return body[:at] + (b"1" if body[at:at + 1] != b"1" else b"2") + body[at + 1:]


class Play:
    """One router and everything that is posted to it."""

    def __init__(self, checks, router, receiver):
        self.checks, self.router, self.receiver = checks, router, receiver
        self.sent = {}  # source and the id there: the bytes
        wish = {"name": "bytes", "url": receiver.url + "/bytes", "events": ["*"], "profile": "plain", "max_in_flight": 32}
        router.call("POST", "/subscriptions", json.dumps(wish).encode())

    def events_of(self, source):
        """Every event of a source, the oldest first."""
        return self.router.call("GET", "/events?source=%s&limit=100" % source)["data"][::-1]

    def refused(self, service, what, headers, query, body, reason):
        status, _, text = post(self.router, "/webhooks/%s%s" % (service.name, query), headers, body)
        newest = self.router.call("GET", "/sources/%s/receptions?limit=1" % service.name)["data"][0]
        right = status == 401 and newest["outcome"] == "refused" and newest["reason"] == reason
        self.checks.check(what + ": 401", right, "%s: %d %r, reception %s %s"
                          % (service.name, status, text[:200], newest["outcome"], newest.get("reason")))

    def service(self, service):
        made = self.router.call("POST", "/sources", json.dumps(service.source()).encode())
        if isinstance(service, PayPal):
            # The preset's way, but for the host that the certificate comes from.
            verification = made["verification"]
            verification["schemes"][0]["certificate_hosts"] = ["127.0.0.1"]
            self.router.call("PATCH", "/sources/paypal", json.dumps({"verification": verification}).encode())
        for sample in service.samples:
            self.sample(service, sample)
        for media_type, body, expected in service.handshakes:
            handshake = Sample(None, body, media_type)
            headers, query = service.sign(service.secret, int(time.time()), handshake, body)
            answer = post(self.router, "/webhooks/%s%s" % (service.name, query), {"Content-Type": media_type, **headers}, body)
            self.checks.check("handshake answered", (answer[0], answer[2]) == (200, expected), "%s: %s" % (service.name, answer))

    def sample(self, service, sample):
        checks, router, path = self.checks, self.router, "/webhooks/" + service.name
        now = int(time.time())

        def request(secret, when, both=None):
            body = sample.body.replace(b"@millis@", b"%d" % (when * 1_000))
            headers, query = service.sign(secret, when, sample, body)
            if both:
                headers = service.both(service.sign(both, when, sample, body)[0], headers)
            return {"Content-Type": sample.media_type, **sample.headers, **headers}, query, body

        headers, query, body = request(service.secret, now)
        bare = {"Content-Type": sample.media_type, **sample.headers}
        self.refused(service, "not signed", bare, query, body, "unsigned")
        self.refused(service, "one byte changed", headers, query, changed(body), "mismatch")
        self.refused(service, "another secret", *request(service.other, now), "mismatch")
        if service.tolerance:
            margin = service.tolerance + 30
            self.refused(service, "too old", *request(service.secret, now - margin), "stale")
            self.refused(service, "from the future", *request(service.secret, now + margin), "stale")

        before = self.events_of(service.name)
        right = service.found_right(headers, body)
        if right is not None:
            checks.check("found right by the service's library", right is True, service.name)
        status, answered, text = post(router, path + query, headers, body)
        event = answered.get("hookway-event-id")
        if not checks.check("as it should be: 200", status == 200 and event, "%s: %d %r" % (service.name, status, text[:300])):
            return
        status, answered, text = post(router, path + query, headers, body)
        newest = router.call("GET", "/sources/%s/receptions?limit=1" % service.name)["data"][0]
        checks.check("again: 200 and known", status == 200 and answered.get("hookway-event-id") == event
                     and newest["outcome"] == "duplicate", "%s: %d %r %s" % (service.name, status, text[:200], newest))
        if service.rotates:
            headers, query, body = request(service.secret, now, both=service.other)
            status, answered, text = post(router, path + query, headers, body)
            checks.check("two signatures, the second right: 200", status == 200
                         and answered.get("hookway-event-id") == event, "%s: %d %r" % (service.name, status, text[:200]))

        made = self.events_of(service.name)[len(before):]
        types = sample.expected if sample.items else [sample.expected]
        bytes_of = sample.items or [body]
        if not checks.check("one event each, of the expected type", [one["type"] for one in made] == types,
                            "%s: %s, expected %s" % (service.name, [one["type"] for one in made], types)):
            return
        for one, data in zip(made, bytes_of):
            stored = text_of(router, "/events/" + one["id"])
            if sample.media_type == JSON:
                same = b'"data":' + data.strip() in stored
            else:
                same = base64.b64decode(json.loads(stored)["data_base64"]) == data
            checks.check("stored byte for byte", same, "%s: %r\n  sent %r" % (service.name, stored, data))
            self.sent[service.name, one["producer_id"]] = data

    def delivered(self):
        """What was delivered without a plugin is what was sent."""
        deadline = time.monotonic() + PATIENCE
        while len(self.receiver.at("/bytes")) < len(self.sent):
            if time.monotonic() > deadline:
                raise Cannot("only %d of %d events were delivered" % (len(self.receiver.at("/bytes")), len(self.sent)))
            time.sleep(0.05)
        arrived = self.receiver.at("/bytes")
        self.checks.check("every event delivered once", len(arrived) == len(self.sent), len(arrived))
        for headers, body in arrived:
            what = headers["hookway-event-source"], urllib.parse.unquote(headers["hookway-event-id"])
            data = self.sent.get(what, "what nobody sent")
            self.checks.check("delivered byte for byte", body == data, "%s: %r\n  sent %r" % (what, body, data))


# A message as Slack's incoming webhooks take it.
SLACK_PROGRAM = (r'{text: "\(.pusher.name) pushed \(.commits | length) commits to \(.repository.full_name)", '
                 r'blocks: [.commits[] | {type: "section", text: {type: "mrkdwn", text: .message}}]}')
PUSH = {"ref": "refs/heads/main", "pusher": {"name": "Ada"}, "repository": {"full_name": "ada/engine"},
        "commits": [{"id": "1", "message": "Mühle: grind"}, {"id": "2", "message": "Stamp \U0001f600"}]}
SLACK_MESSAGE = {"text": "Ada pushed 2 commits to ada/engine",
                 "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "Mühle: grind"}},
                            {"type": "section", "text": {"type": "mrkdwn", "text": "Stamp \U0001f600"}}]}


class Listen:
    """`hookway listen` as a child, for one request."""

    def __init__(self, binary, directory, name, secret):
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(secret + "\n")
        arguments = [binary, "listen", "--json", "--count", "1", "--port", "0", "--secret-file", path]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HOOKWAY_")}
        self.process = subprocess.Popen(arguments, cwd=directory, env=environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, encoding="utf-8")
        self.url = json.loads(self.process.stdout.readline())["listening"]

    def heard(self):
        """What came, and the exit code."""
        try:
            output, _ = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise Cannot("nothing came to `hookway listen` within %d s" % PATIENCE)
        return json.loads(output), self.process.returncode


def chain(play, node, binary, directory):
    """GitHub, source, plugin, signature, receiver: all of it once, and once with a secret that is not it."""
    checks, router = play.checks, play.router
    github = GitHub(node)
    router.call("POST", "/sources", json.dumps({**github.source(), "name": "chain"}).encode())
    right, wrong = ("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    for name, secret in [("right", right), ("wrong", wrong)]:
        listen = Listen(binary, directory, name, secret)
        wish = {"name": name, "key": name, "url": listen.url, "events": ["github.push"], "secret": right,
                "plugins": [{"name": "jq", "config": {"program": SLACK_PROGRAM}}]}
        router.call("POST", "/subscriptions", json.dumps(wish).encode())
        body = json.dumps(PUSH).encode()
        headers = github.sign(github.secret, int(time.time()), None, body)[0]
        headers.update({"Content-Type": JSON, "X-GitHub-Event": "push", "X-GitHub-Delivery": "delivery-" + name})
        status, _, text = post(router, "/webhooks/chain", headers, body)
        if not checks.check("chain: taken", status == 200, "%d %r" % (status, text)):
            listen.process.kill()
            return
        play.sent["chain", "delivery-" + name] = body
        heard, code = listen.heard()
        if name == "right":
            checks.check("chain: the signature is right", code == 0 and heard["signature"] == {"right": True}, heard)
            expected = json.dumps(SLACK_MESSAGE, ensure_ascii=False, separators=(",", ":"))
            checks.check("chain: Slack's message", heard.get("body") == expected, heard)
        else:
            checks.check("chain: with another secret it is wrong", code == 1 and heard["signature"]["right"] is False, heard)
        router.call("DELETE", "/subscriptions/" + name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("binary", help="the hookway to check, such as target/debug/hookway")
    parser.add_argument("--install", action="store_true", help="fetch the libraries into this virtual environment")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    if not os.access(binary, os.X_OK):
        raise Cannot("%s is not there; build it with `cargo xtask demo`" % arguments.binary)
    if arguments.install:
        install(PYPI, NPM, PYPI_ALONE)

    checks, node = Checks(), Node()
    played, left_out = [], []
    with tempfile.TemporaryDirectory(prefix="hookway-sources-") as directory:
        receiver = Receiver()
        router = Router(binary, directory)
        try:
            play = Play(checks, router, receiver)
            for kind in SERVICES:
                try:
                    service = kind(node)
                    # What is missing shows here, before anything was posted.
                    signed = service.sign(service.secret, int(time.time()), kind.samples[0], b"{}")
                    service.found_right({**kind.samples[0].headers, **signed[0]}, b"{}")
                except (ImportError, Missing, Cannot) as reason:
                    left_out.append(kind.name)
                    print("LEFT OUT  %s (%s): %s" % (kind.name, kind.library, str(reason).split("\n")[0]), file=sys.stderr)
                    continue
                play.service(service)
                played.append(kind)
            if GitHub in played:
                chain(play, node, binary, directory)
            play.delivered()
        except Exception as error:
            print(router.logged(), file=sys.stderr)
            # What was wrong before stays wrong.
            if not (isinstance(error, Cannot) and checks.wrong):
                raise
            print("cannot go on: %s" % error, file=sys.stderr)
        finally:
            node.stop()
            code = router.stop()
        checks.check("clean end of the router", code == 0, code)
        if "panicked" in router.logged():
            checks.check("no panic", False, router.logged())
    if not played:
        raise Cannot("none of the libraries is here: run it with --install")
    for what, count in sorted(checks.right.items()):
        print("%6d  %s" % (count, what))
    for kind in played:
        print("        %-18s %s" % (kind.name, kind.library))
    print("%d services, %d left out, %d events, %d checks right, %d wrong"
          % (len(played), len(left_out), len(play.sent), sum(checks.right.values()), checks.wrong))
    return 1 if checks.wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Cannot as reason:
        print("cannot check: %s" % reason, file=sys.stderr)
        sys.exit(2)
