#!/usr/bin/env python3
"""Checks Hookway's CloudEvents, in and out, with the SDK of the CNCF.

    python3 -m pip install cloudevents==2.2.0 standardwebhooks==1.1.0
    python3 tests/outside/cloudevents.py target/debug/hookway

The SDK makes events and writes them in binary and in structured mode; in batched mode, which it does not
have, its structured events are put into an array. The script posts them to a router on an empty
database, where one subscription for each of the profiles `cloudevents-binary`, `-structured` and
`-batched` takes all of them. What arrives at the script's receiver is read with the SDK again and
compared with what the SDK was given: id, source, type, subject, time, media type, extension attributes
and data, and for JSON data the very bytes. Every request whose body is JSON is verified with
`standardwebhooks`, too. A repeated post must be known, and what is no CloudEvent must be refused.

Exit codes: 0 everything is right, 1 something is not, 2 it could not be tried.
"""

import argparse
import datetime
import http.client
import json
import os
import sys
import tempfile
import time
import urllib.parse

# `cloudevents` shall be the package, not this file.
sys.path = [path for path in sys.path if os.path.abspath(path or ".") != os.path.dirname(os.path.abspath(__file__))]
try:
    from cloudevents.core.bindings import http as binding
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent
    import standardwebhooks as webhooks
    MISSING = None
except ImportError as error:
    MISSING = error
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from verify import PATIENCE, Cannot, Checks, Receiver, Router, verify  # noqa: E402

MODES = ["binary", "structured", "batched"]
BATCH = "application/cloudevents-batch+json"
UTC = datetime.timezone.utc

# Attributes beyond id, then data as the SDK takes it. What is no URI reference as a source comes out as one.
EVENTS = [
    ({"source": "https://shop.example/orders?x=1#top", "type": "order.paid", "subject": "orders/7",
      "time": datetime.datetime(2026, 5, 19, 16, 30, 0, 123000, UTC), "datacontenttype": "application/json"},
     {"total": 12.5, "text": "Grüße \u2028 \U0001f600", "deep": {"list": [1, None, True, {"a": "b"}]}}),
    ({"source": "/sensors/é", "type": "sensor.read", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "comment": 'say "100%", ä or €', "datacontenttype": "application/vnd.sensor+json; charset=utf-8"},
     {"value": 12345678901234567890, "empty": {}}),
    ({"source": "my shop: east", "type": "note.written", "subject": 'a "b" % ü', "datacontenttype": "text/plain"},
     "Straße & <b>bold</b> \U0001f600\n"),
    ({"source": "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "type": "image.stored", "datacontenttype": "image/png"},
     bytes(range(256)) * 3),
    ({"source": "xml", "type": "doc.sent", "datacontenttype": "application/xml",
      "dataschema": "https://example.com/schema.xsd"}, "<a b='c'>é</a>"),
    # JSON that is handed over as bytes: `data_base64` in structured mode.
    ({"source": "/raw", "type": "raw.json", "datacontenttype": "application/json"}, b'[1.50, {"big":12345678901234567890123}]'),
    ({"source": "/defaults", "type": "default.type"}, {"no": "media type"}),
    ({"source": "/numbers", "type": "numbers.sent", "sequence": "17", "datacontenttype": "application/json"}, {"a": 1}),
]
SOURCES = {"my shop: east": "my%20shop%3A%20east", "/sensors/é": "/sensors/%C3%A9"}


def is_json(media_type):
    essence = media_type.split(";")[0].strip().lower()
    return essence == "application/json" or essence.endswith("+json")


def written(mode, event):
    """An event on the wire, as the SDK writes it: headers and body."""
    if mode == "binary":
        message = binding.to_binary(event, JSONFormat())
    else:
        message = binding.to_structured(event, JSONFormat())
    if mode != "batched":
        return dict(message.headers), message.body
    return {"content-type": BATCH}, b"[" + message.body + b"]"


def read(headers, body):
    """An event as the SDK reads it from what was delivered; the only one of a batch."""
    if headers.get("content-type", "").startswith(BATCH):
        if len(json.loads(body)) != 1:
            raise ValueError("the batch has not one event")
        return JSONFormat().read(None, body.strip()[1:-1])
    return binding.from_http(binding.HTTPMessage(headers=headers, body=body), JSONFormat())


def plain(data, media_type):
    """Data in one shape, however it came: JSON as values, everything else as bytes."""
    if is_json(media_type):
        return json.loads(data) if isinstance(data, (bytes, str)) else data
    return data.encode() if isinstance(data, str) else data


def post(router, headers, body, key=None):
    """Posts raw bytes with exactly these headers."""
    where = urllib.parse.urlsplit(router.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    headers = {**headers, "authorization": "Bearer " + router.key}
    if key:
        headers["idempotency-key"] = key
    connection.request("POST", "/api/v1/events", body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


def data_bytes(mode, body):
    """The bytes of JSON data as they stand in what was posted, or nothing where they stand there encoded."""
    if mode == "binary":
        return body
    mark = body.find(b'"data": ')
    return None if mark < 0 else body[mark + len(b'"data": '):body.rindex(b"}")]


def play(checks, router, receiver):
    """Posts every event in every mode and checks everything that comes."""
    made = {}
    for mode in MODES:
        profile = "cloudevents-" + mode
        wish = {"name": profile, "key": profile, "url": "%s/%s" % (receiver.url, mode), "events": ["*"], "profile": profile}
        made[mode] = router.call("POST", "/subscriptions", json.dumps(wish).encode())

    sent = {}
    for mode in MODES:
        for number, (attributes, data) in enumerate(EVENTS):
            name = '%s "%d" ü%%' % (mode, number)
            event = CloudEvent(attributes={"id": name, **attributes}, data=data)
            headers, body = written(mode, event)
            status, answer = post(router, headers, body, key="key-%s-%d" % (mode, number))
            what = "%s in: accepted" % mode
            if not checks.check(what, status == 202, "%s: %s %s" % (name, status, answer)):
                continue
            one = answer["data"][0] if mode == "batched" else answer
            checks.check("matched by every profile", one["matched"] == len(MODES), answer)
            again = post(router, headers, body, key="key-%s-%d" % (mode, number))
            same = again[1]["data"][0] if mode == "batched" else again[1]
            checks.check("%s in: known when repeated" % mode, same.get("id") == one["id"], again)
            sent[name] = (mode, event, body)

    batch = [CloudEvent(attributes={"id": "batch-%d" % n, **attributes}, data=data)
             for n, (attributes, data) in enumerate(EVENTS)]
    whole = [written("structured", event)[1] for event in batch]
    status, answer = post(router, {"content-type": BATCH}, b"[%s]" % b",".join(whole))
    checks.check("a batch of many", status == 202 and len(answer.get("data", [])) == len(EVENTS), answer)
    sent.update((event.get_id(), ("batched", event, text)) for event, text in zip(batch, whole))

    structured = {"content-type": "application/cloudevents+json"}
    for what, headers, body in [
        ("no id", structured, b'{"specversion":"1.0","source":"/a","type":"a"}'),
        ("no source", structured, b'{"specversion":"1.0","id":"1","type":"a"}'),
        ("a version of tomorrow", structured, b'{"specversion":"2.0","id":"1","source":"/a","type":"a"}'),
        ("no JSON", structured, b"hello"),
        ("an array that is no batch", structured, b"[]"),
        ("a batch that is no array", {"content-type": BATCH}, b"{}"),
        ("binary without a type", {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/a", "content-type": "text/plain"}, b"x"),
        ("binary, no JSON", {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/a", "ce-type": "a",
                             "content-type": "application/json"}, b"x"),
    ]:
        status, answer = post(router, headers, body)
        said = status in (400, 415, 422) and str(answer.get("type", "")).startswith("/problems/")
        checks.check("refused: " + what, said, "%s %s" % (status, answer))

    expected = len(sent)
    deadline = time.monotonic() + PATIENCE
    while any(len(receiver.at("/" + mode)) < expected for mode in MODES):
        if time.monotonic() > deadline:
            raise Cannot("not everything arrived: %s of %d" % ([len(receiver.at("/" + mode)) for mode in MODES], expected))
        time.sleep(0.05)
    for mode in MODES:
        arrived = receiver.at("/" + mode)
        checks.check("%s out: each event once" % mode, len(arrived) == expected, len(arrived))
        for headers, body in arrived:
            compare(checks, mode, headers, body, sent)
            try:
                json.loads(body)
            except ValueError:
                continue  # The package verifies JSON only.
            verify(checks, webhooks, made[mode]["secret"], headers, body, "cloudevents-" + mode)


def compare(checks, mode, headers, body, sent):
    """What was delivered is what the SDK was given."""
    what = "%s out: " % mode
    try:
        got = read(headers, body)
    except Exception as error:
        checks.check(what + "the SDK reads it", False, "%r: %r %.300r" % (error, headers, body))
        return
    checks.check(what + "the SDK reads it", True)
    if not checks.check(what + "a known id", got.get_id() in sent, got.get_id()):
        return
    way_in, event, posted = sent[got.get_id()]
    ours, theirs = dict(got.get_attributes()), dict(event.get_attributes())
    where = "%s, which came %s" % (got.get_id(), way_in)
    theirs["source"] = SOURCES.get(theirs["source"], theirs["source"])
    theirs.setdefault("datacontenttype", "application/json")
    # The SDK gives every event a time, with microseconds; the router keeps milliseconds.
    theirs["time"] = theirs["time"].replace(microsecond=theirs["time"].microsecond // 1000 * 1000)
    for name in sorted(set(ours) | set(theirs)):
        kind = name if name in ("id", "source", "type", "subject", "time", "specversion", "datacontenttype") else "extensions"
        checks.check(what + kind, ours.get(name) == theirs.get(name),
                     "%s: %s is %r, was %r" % (where, name, ours.get(name), theirs.get(name)))
    media_type = theirs["datacontenttype"]
    given, data = plain(event.get_data(), media_type), plain(got.get_data(), media_type)
    checks.check(what + "data", data == given, "%s: %.200r, was %.200r" % (where, data, given))
    if is_json(media_type) and not isinstance(event.get_data(), bytes):
        raw = data_bytes(way_in, posted)
        same = body == raw if mode == "binary" else b'"data":' + raw + b"}" in body
        checks.check(what + "JSON data byte for byte", same, "%s: %r in %r" % (where, raw, body))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("binary", help="the hookway to check, such as target/debug/hookway")
    arguments = parser.parse_args()
    if MISSING:
        raise Cannot("a package is missing (%s): python3 -m pip install cloudevents==2.2.0 standardwebhooks==1.1.0" % MISSING)
    binary = os.path.abspath(arguments.binary)
    if not os.access(binary, os.X_OK):
        raise Cannot("%s is not there; build it with `cargo xtask demo`" % arguments.binary)
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="hookway-cloudevents-") as directory:
        receiver = Receiver()
        router = Router(binary, directory)
        try:
            play(checks, router, receiver)
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
    print("%d requests, %d checks right, %d wrong" % (len(receiver.received), sum(checks.right.values()), checks.wrong))
    return 1 if checks.wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Cannot as reason:
        print("cannot check: %s" % reason, file=sys.stderr)
        sys.exit(2)
