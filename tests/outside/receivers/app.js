// Receivers on Express with the code that three products publish for their users: WorkFlows, AetherFlow
// and InboundFlow. Everything between "published" and "end" is theirs, as far as the text of their pages
// can be read: only names were changed where two products use the same, and what they leave out is said.
// The rest listens, keeps what came (with the header names as they stood on the wire, and the bytes of the
// body) and gives it away at /received.
//
//     node app.js <directory with node_modules> <name of the package: express4 or express5>
//
// It prints the port that it listens on. The script products.py starts it.

const crypto = require("crypto");
const path = require("path");

const [directory, name] = process.argv.slice(2);
const express = require(require.resolve(name, { paths: [path.resolve(directory)] }));
const app = express();

// ---- what the script asks for; nothing of a product ----

const received = [];
// Paths whose next answers are lost: the handler runs to its end, then the connection is cut.
const mishaps = {};

app.get("/received", (req, res) => res.json(received.filter((one) => one.path === req.query.path)));
app.put("/secrets", express.json(), (req, res) => {
  Object.assign(process.env, req.body);
  res.end();
});
app.put("/mishaps", express.json(), (req, res) => {
  Object.assign(mishaps, req.body);
  res.end();
});

app.use((req, res, next) => {
  const one = { method: req.method, path: req.path, headers: [], body: "", status: null, answer: "" };
  for (let at = 0; at < req.rawHeaders.length; at += 2) {
    one.headers.push([req.rawHeaders[at], req.rawHeaders[at + 1]]);
  }
  const chunks = [];
  req.on("data", (chunk) => chunks.push(chunk));
  const end = res.end;
  res.end = function (...rest) {
    one.body = Buffer.concat(chunks).toString("base64");
    one.status = res.statusCode;
    one.answer = rest[0] === undefined ? "" : rest[0].toString();
    received.push(one);
    if (mishaps[req.path] > 0) {
      mishaps[req.path] -= 1;
      req.socket.destroy();
      return res;
    }
    return end.apply(res, rest);
  };
  next();
});

// ---- WorkFlows ----
// The snippet that WorkFlows publishes under "Verificar firmas". It reads `req.body` as an object, so that
// `express.json()` has been there; the page does not show it.

app.use("/workflows", express.json());

// published
function verifySignature(payload, signature, secret) {
  const expected = "sha256=" +
    crypto.createHmac("sha256", secret)
      .update(payload)
      .digest("hex");
  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(expected)
  );
}

app.post("/workflows", (req, res) => {
  const signature = req.headers["x-workflows-signature"];
  const isValid = verifySignature(
    JSON.stringify(req.body),
    signature,
    process.env.WORKFLOWS_WEBHOOK_SECRET
  );
  if (!isValid) return res.status(401).send("Invalid signature");
  // Procesar el evento...
  const { event, data } = req.body;
  console.log(`Evento recibido: ${event}`, data);
  res.status(200).send("OK");
});
// end

// ---- AetherFlow ----
// The snippet that AetherFlow publishes under "Verify webhook signatures", with its own name for the
// function. "... handle event" is the answer 200 that its Python and Go show.

// published
function verifyAetherFlow(payload, signature, secret) {
  const expectedSignature = crypto
    .createHmac("sha256", secret)
    .update(payload, "utf8")
    .digest("hex");

  return crypto.timingSafeEqual(
    Buffer.from(signature, "hex"),
    Buffer.from(expectedSignature, "hex")
  );
}

app.post("/aetherflow", express.raw({ type: "application/json" }), (req, res) => {
  const signature = req.headers["x-aetherflow-signature"];
  const secret = process.env.WEBHOOK_SECRET;

  if (!verifyAetherFlow(req.body, signature, secret)) {
    return res.status(401).send("Invalid signature");
  }

  // Process webhook payload
  const payload = JSON.parse(req.body);
  // ... handle event
  res.status(200).send("OK");
});
// end

// The idempotent handler that AetherFlow publishes, and the function that it calls. It reads `req.body` as
// an object. What its cases call is not published; here it is written down.

const called = [];
const updateWorkflowStatus = (...what) => called.push(["updateWorkflowStatus", ...what]);
const notifyTeam = (...what) => called.push(["notifyTeam", ...what]);
const logWorkflowError = (...what) => called.push(["logWorkflowError", ...what]);
const retryWorkflow = (...what) => called.push(["retryWorkflow", ...what]);
const alertDevopsTeam = (...what) => called.push(["alertDevopsTeam", ...what]);
const disableWorkflowsUsingIntegration = (...what) => called.push(["disableWorkflowsUsingIntegration", ...what]);
const sendIntegrationAlert = (...what) => called.push(["sendIntegrationAlert", ...what]);
app.get("/called", (req, res) => res.json(called));

// published
function processWebhookEvent(eventType, data) {
  switch (eventType) {
    case "workflow.completed":
      // Update internal records
      updateWorkflowStatus(data.workflow.id, "completed");
      // Send notifications
      notifyTeam(data.workflow.name + " completed successfully");
      break;

    case "workflow.failed":
      // Log error details
      logWorkflowError(data.workflow.id, data.error_details);
      // Trigger retry or alert
      if (data.error_details.retry_count < 3) {
        retryWorkflow(data.workflow.id);
      } else {
        alertDevopsTeam(data.workflow.name + " failed permanently");
      }
      break;

    case "integration.disconnected":
      // Handle integration issues
      disableWorkflowsUsingIntegration(data.integration.id);
      sendIntegrationAlert(data.integration.name);
      break;

    default:
      console.log("Unhandled event type:", eventType);
  }
}

const processedEvents = new Set();

function handleWebhook(req, res) {
  const eventId = req.body.id;

  // Check if we've already processed this event
  if (processedEvents.has(eventId)) {
    return res.status(200).send("Already processed");
  }

  try {
    // Process the webhook
    processWebhookEvent(req.body.event, req.body.data);

    // Mark as processed
    processedEvents.add(eventId);

    // Clean up old events (keep last 1000)
    if (processedEvents.size > 1000) {
      const oldestEvent = processedEvents.values().next().value;
      processedEvents.delete(oldestEvent);
    }

    res.status(200).send("Processed");
  } catch (error) {
    console.error("Webhook processing error:", error);
    res.status(500).send("Processing failed");
  }
}
// end

app.post("/aetherflow-once", express.json(), handleWebhook);

// ---- InboundFlow ----
// The snippet that InboundFlow publishes as `verify-webhook.js`. Its "webhook handler" is three lines
// without a function around them and without an answer; it reads `req.body` as an object.

// published
function verifyWebhook(body, timestamp, signature, secret) {
  const signatureInput = `${timestamp}.${JSON.stringify(body)}`;
  const expectedSignature = "sha256=" +
    crypto.createHmac("sha256", secret)
      .update(signatureInput)
      .digest("hex");

  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(expectedSignature)
  );
}
// end

function inboundflow(req) {
  // published, but for the place that the secret comes from
  const isValid = verifyWebhook(
    req.body,
    req.headers["x-inboundflow-timestamp"],
    req.headers["x-inboundflow-signature"],
    process.env.INBOUNDFLOW_SECRET
  );
  // end
  return isValid;
}

app.post("/inboundflow", express.json(), (req, res) => {
  if (!inboundflow(req)) return res.status(401).send("Invalid signature");
  res.status(200).send("OK");
});

// "Usa el campo delivery_id para deduplicar eventos": the advice, for which no code is published.
const handled = new Set();
app.post("/inboundflow-once", express.json(), (req, res) => {
  if (!inboundflow(req)) return res.status(401).send("Invalid signature");
  if (handled.has(req.body.delivery_id)) return res.status(200).send("Already processed");
  handled.add(req.body.delivery_id);
  res.status(200).send("Processed");
});

// InboundFlow without a secret: there is nothing to verify with.
app.post("/inboundflow-unsigned", express.json(), (req, res) => res.status(200).send("OK"));

const server = app.listen(0, "127.0.0.1", () => {
  process.stderr.write(`${server.address().port}\n`);
});
// What started this holds its standard input; when that ends, so does this.
process.stdin.resume().on("end", () => process.exit(0));
