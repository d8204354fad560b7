"""Receivers on Flask with the code that three products publish for their users: WorkFlows, AetherFlow and
WorkFlux. Everything between "published" and "end" is theirs, as far as the text of their pages can be read:
only names were changed where two products use the same, and what they leave out is said. The rest listens,
keeps what came (with the header names as they stood on the wire, and the bytes of the body) and gives it
away at /received.

    python3 app.py

It prints the port that it listens on. The script products.py starts it.
"""

import base64
import hashlib
import hmac
import os
import sys
import threading

from flask import Flask, Response, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server

app = Flask(__name__)

# ---- what the script asks for; nothing of a product ----

received = []


@app.get("/received")
def received_at():
    return jsonify([one for one in received if one["path"] == request.args["path"]])


@app.put("/secrets")
def secrets():
    os.environ.update(request.get_json())
    return ""


@app.before_request
def keep():
    # Flask keeps the bytes, so that the handlers below read the same again.
    request.environ["kept.body"] = request.get_data()


@app.after_request
def kept(response):
    if request.method == "POST":
        received.append({"method": request.method, "path": request.path,
                         "headers": request.environ["kept.headers"],
                         "body": base64.b64encode(request.environ["kept.body"]).decode(),
                         "status": response.status_code, "answer": response.get_data(as_text=True)})
    return response


class Handler(WSGIRequestHandler):
    """The header names as they came: WSGI's own are all upper case."""

    def make_environ(self):
        environ = super().make_environ()
        environ["kept.headers"] = [[name, value] for name, value in self.headers.items()]
        return environ

    def log(self, *_):
        pass


# ---- WorkFlows: the snippet that WorkFlows publishes under "Verificar firmas" ----

WEBHOOK_SECRET = None


@app.before_request
def workflows_secret():
    # The page has a constant; here it may change while the script runs.
    global WEBHOOK_SECRET
    WEBHOOK_SECRET = os.environ.get("WORKFLOWS_WEBHOOK_SECRET")


# published
def verify_signature(payload: bytes, signature: str, secret: str) -> bool:
    expected = "sha256=" + hmac.new(
        secret.encode(),
        payload,
        hashlib.sha256
    ).hexdigest()
    return hmac.compare_digest(signature, expected)


# En tu endpoint (Flask):
@app.route("/workflows", methods=["POST"])
def handle_webhook():
    signature = request.headers.get("X-WorkFlows-Signature", "")
    if not verify_signature(request.data, signature, WEBHOOK_SECRET):
        return "Invalid signature", 401
    event = request.json["event"]
    data = request.json["data"]
    # Procesar...
    return "OK", 200
# end


# ---- AetherFlow: the snippet that AetherFlow publishes under "Verify webhook signatures" ----

# published
def verify_aetherflow(payload: bytes, signature: str, secret: str) -> bool:
    expected_signature = hmac.new(
        secret.encode('utf-8'),
        payload,
        hashlib.sha256
    ).hexdigest()

    return hmac.compare_digest(signature, expected_signature)


# Usage in Flask
@app.route('/aetherflow', methods=['POST'])
def webhook():
    signature = request.headers.get('X-AetherFlow-Signature')
    secret = os.environ.get('WEBHOOK_SECRET')

    if not verify_aetherflow(request.data, signature, secret):
        return 'Invalid signature', 401

    payload = request.get_json()
    # ... handle event

    return 'OK', 200
# end


# The idempotent handler that AetherFlow publishes. What it calls prints or does what is not published.

def process_webhook_event(event_type, data):
    pass


# published
processed_events = set()


def handle_webhook_once():
    event_id = request.json['id']

    # Check if we've already processed this event
    if event_id in processed_events:
        return 'Already processed', 200

    try:
        # Process the webhook
        process_webhook_event(request.json['event'], request.json['data'])

        # Mark as processed
        processed_events.add(event_id)

        # Clean up old events (keep last 1000)
        if len(processed_events) > 1000:
            oldest_event = next(iter(processed_events))
            processed_events.remove(oldest_event)

        return 'Processed', 200
    except Exception as e:
        print(f'Webhook processing error: {e}')
        return 'Processing failed', 500
# end


app.add_url_rule("/aetherflow-once", view_func=handle_webhook_once, methods=["POST"])


# ---- WorkFlux: the snippet that WorkFlux publishes under "Webhook Signature Verification" ----

# published
def verify_webhook_signature(payload, signature, secret):
    expected_signature = hmac.new(
        secret.encode(),
        payload.encode(),
        hashlib.sha256
    ).hexdigest()

    return hmac.compare_digest(expected_signature, signature)
# end


def workflux(body):
    """The lines under "In your webhook handler", which name no framework: `request.body` is what `body` is
    here, and the page ends at the answer 401."""
    signature = request.headers.get('X-Workflux-Signature')
    if not verify_webhook_signature(body, signature, os.environ["WORKFLUX_SECRET"]):
        return Response('Invalid signature', status=401)
    return Response('OK', status=200)


# A framework whose request body is text.
@app.route("/workflux", methods=["POST"])
def workflux_text():
    return workflux(request.get_data(as_text=True))


# A framework whose request body is bytes, such as Django: `payload.encode()` cannot work there.
@app.route("/workflux-bytes", methods=["POST"])
def workflux_bytes():
    return workflux(request.get_data())


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    print(server.server_port, file=sys.stderr, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # What started this holds its standard input; when that ends, so does this.
    sys.stdin.read()
