// The libraries of npm for sources.py: one JSON question a line on standard input, one JSON answer a line
// on standard output. It runs in the directory that they are installed in, and loads each when it is asked
// for the first time, so that one that is missing hurts nobody else.

import { createInterface } from "node:readline";

let shopify;

const ANSWERS = {
  "github.sign": async ({ secret, body }) => (await import("@octokit/webhooks-methods")).sign(secret, body),
  "paddle.verify": async ({ secret, body, signature }) => {
    const { Paddle } = await import("@paddle/paddle-node-sdk");
    return new Paddle("unused").webhooks.isSignatureValid(body, secret, signature);
  },
  "linear.verify": async ({ secret, body, signature }) => {
    const { LinearWebhookClient } = await import("@linear/sdk/webhooks");
    try {
      return new LinearWebhookClient(secret).verify(Buffer.from(body), signature);
    } catch {
      return false;
    }
  },
  "discord.verify": async ({ secret, body, signature, timestamp }) => {
    const { verifyKey } = await import("discord-interactions");
    return verifyKey(body, signature, timestamp, secret);
  },
  "sendgrid.verify": async ({ secret, body, signature, timestamp }) => {
    const { EventWebhook } = (await import("@sendgrid/eventwebhook")).default;
    const webhook = new EventWebhook();
    return webhook.verifySignature(webhook.convertPublicKeyToECDSA(secret), body, signature, timestamp);
  },
  "shopify.verify": async ({ secret, body, headers }) => {
    if (!shopify) {
      await import("@shopify/shopify-api/adapters/node");
      shopify = await import("@shopify/shopify-api");
    }
    const app = shopify.shopifyApi({
      apiKey: "unused",
      apiSecretKey: secret,
      hostName: "hooks.example.com",
      apiVersion: shopify.ApiVersion.April26,
      isEmbeddedApp: false,
      logger: { level: shopify.LogSeverity.Error },
    });
    const rawRequest = { method: "POST", url: "/webhooks/shopify", headers };
    return (await app.webhooks.validate({ rawBody: body, rawRequest })).valid;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  let answer;
  try {
    answer = { value: await ANSWERS[question.ask](question) };
  } catch (error) {
    answer = { error: String(error), missing: error?.code === "ERR_MODULE_NOT_FOUND" };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
