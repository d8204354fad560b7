//! What each service does to sign a webhook, one entry a preset.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::sender::{Call, base64, ed25519, hex, public_key, sha1, sha256, sha512};

/// What a service does to sign, and what should come of it.
pub struct Service {
    pub preset: &'static str,
    /// Two secrets, and a third that the source never gets.
    pub secrets: [String; 3],
    /// Signs with the secret at this place, at this time (seconds), number `n` of several requests.
    pub sign: Box<dyn Fn(usize, i64, u32) -> Call>,
    /// The header (or, with a leading `?`, the parameter) that proves; none where it is in the body.
    pub proof: Option<&'static str>,
    /// Values of it that cannot be read.
    pub malformed: Vec<&'static str>,
    /// After how many seconds a request is refused for its age, if it is.
    pub ages: Option<i64>,
    /// Whether the same request again is known to be a repetition.
    pub remembers: bool,
    pub event_type: &'static str,
    /// What a taken request is answered.
    pub answer: u16,
    /// More fields of the source.
    pub more: Value,
}

impl Service {
    fn new(
        preset: &'static str,
        event_type: &'static str,
        sign: impl Fn(usize, i64, u32) -> Call + 'static,
    ) -> Self {
        Self {
            preset,
            secrets: ["first secret", "second secret", "a stranger's"].map(str::to_owned),
            sign: Box::new(sign),
            proof: None,
            malformed: Vec::new(),
            ages: None,
            remembers: true,
            event_type,
            answer: 200,
            more: json!({}),
        }
    }

    fn answers(mut self, status: u16) -> Self {
        self.answer = status;
        self
    }

    fn proof(mut self, name: &'static str, malformed: &[&'static str]) -> Self {
        self.proof = Some(name);
        self.malformed = malformed.to_vec();
        self
    }

    fn ages(mut self, seconds: i64) -> Self {
        self.ages = Some(seconds);
        self
    }

    fn forgets(mut self) -> Self {
        self.remembers = false;
        self
    }

    fn secrets(mut self, secrets: [String; 3]) -> Self {
        self.secrets = secrets;
        self
    }
}

const SECRETS: [&str; 3] = ["first secret", "second secret", "a stranger's"];
/// Values that no scheme can read.
const NONSENSE: &[&str] = &["", "nonsense", "sha256=", "sha256=zz", "v1,", "t=1", "{}", "%%%"];

fn key(secret: usize) -> &'static [u8] {
    SECRETS[secret].as_bytes()
}

fn whsec(secret: usize) -> Vec<u8> {
    vec![b'a' + u8::try_from(secret).unwrap(); 32]
}

fn p256(secret: usize) -> EcdsaKeyPair {
    // Made once with a generator of random keys; a key of the tests and of nothing else.
    const KEYS: [&[u8]; 3] = [
        include_bytes!("../../vectors/p256-first.pk8"),
        include_bytes!("../../vectors/p256-second.pk8"),
        include_bytes!("../../vectors/p256-third.pk8"),
    ];
    let random = SystemRandom::new();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, KEYS[secret], &random).unwrap()
}

/// The SubjectPublicKeyInfo of a P-256 key (RFC 5480): a fixed head and the point.
fn spki(pair: &EcdsaKeyPair) -> String {
    const HEAD: &[u8] = &[
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    base64(&[HEAD, pair.public_key().as_ref()].concat())
}

pub fn services() -> Vec<Service> {
    let json_of = |n: u32, more: &str| format!("{{\"n\":{n}{more}}}");
    let mut all = vec![
        Service::new("github", "github.issues.opened", move |secret, _, n| {
            let body = json_of(n, ",\"action\":\"opened\",\"text\":\"é\"");
            Call::new("application/json", body.clone())
                .header("x-github-event", "issues")
                .header("x-github-delivery", format!("72d3162e-cc78-11e3-81ab-4c9367dc09{n:02}"))
                .header("x-hub-signature-256", format!("sha256={}", hex(&sha256(key(secret), &[body.as_bytes()]))))
        })
        .proof("x-hub-signature-256", NONSENSE),
        Service::new("gitlab", "gitlab.Push_Hook", move |secret, _, n| {
            Call::new("application/json", json_of(n, ",\"object_kind\":\"push\""))
                .header("x-gitlab-event", "Push Hook")
                .header("x-gitlab-event-uuid", format!("13792a34-cac6-4fda-95a8-c58e00a395{n:02}"))
                .header("x-gitlab-token", SECRETS[secret])
        })
        .proof("x-gitlab-token", &["", "nonsense"]),
        Service::new("stripe", "stripe.charge.succeeded", move |secret, at, n| {
            let body = json_of(n, &format!(",\"id\":\"evt_1{n}\",\"type\":\"charge.succeeded\""));
            let good = hex(&sha256(key(secret), &[at.to_string().as_bytes(), b".", body.as_bytes()]));
            let other = hex(&sha256(b"rolled away", &[body.as_bytes()]));
            Call::new("application/json; charset=utf-8", body)
                .header("stripe-signature", format!("t={at},v1={other},v1={good},v0={other}"))
        })
        .proof("stripe-signature", &["", "nonsense", "t=,v1=", "t=1492774577", "v1=aa", "t=x,v1=aa", "t=1492774577,v1=zz"])
        .ages(300),
        Service::new("slack", "slack.message", move |secret, at, n| {
            let body = json_of(
                n,
                &format!(",\"type\":\"event_callback\",\"event\":{{\"type\":\"message\"}},\"event_id\":\"Ev{n}\""),
            );
            let text = format!("v0:{at}:{body}");
            Call::new("application/json", body)
                .header("x-slack-request-timestamp", at.to_string())
                .header("x-slack-signature", format!("v0={}", hex(&sha256(key(secret), &[text.as_bytes()]))))
        })
        .proof("x-slack-signature", NONSENSE)
        .ages(300),
        Service::new("shopify", "shopify.orders/create", move |secret, _, n| {
            let body = json_of(n, ",\"id\":820982911946154508");
            let signature = base64(&sha256(key(secret), &[body.as_bytes()]));
            Call::new("application/json", body)
                .header("x-shopify-topic", "orders/create")
                .header("x-shopify-webhook-id", format!("b54557e4-bdd9-4b37-8a5f-bf7d70bcd0{n:02}"))
                .header("x-shopify-hmac-sha256", signature)
        })
        .proof("x-shopify-hmac-sha256", &["", "nonsense", "%%%", "YQ", "YQ=="]),
        Service {
            more: json!({"public_url": "https://hooks.example.com/webhooks/twilio"}),
            ..Service::new("twilio", "twilio.message.received", move |secret, _, n| {
                let body = format!("To=%2B18005551212&MessageSid=SM{n}&Body=a+b%26c&From=%2B14158675310&SmsStatus=received");
                let text = format!(
                    "https://hooks.example.com/webhooks/twilioBodya b&cFrom+14158675310MessageSidSM{n}SmsStatusreceivedTo+18005551212"
                );
                let signature = base64(&sha1(key(secret), &[text.as_bytes()]));
                Call::new("application/x-www-form-urlencoded", body).header("x-twilio-signature", signature)
            })
            .proof("x-twilio-signature", &["", "nonsense", "%%%", "YQ=="])
        },
        Service::new("meta", "meta.whatsapp_business_account", move |secret, _, n| {
            let body = json_of(n, ",\"object\":\"whatsapp_business_account\",\"text\":\"\\u00e9\"");
            let signature = hex(&sha256(key(secret), &[body.as_bytes()])).to_uppercase();
            Call::new("application/json", body).header("x-hub-signature-256", format!("sha256={signature}"))
        })
        .proof("x-hub-signature-256", NONSENSE),
        Service::new("mailgun", "mailgun.delivered", move |secret, at, n| {
            let token = format!("{n:050}");
            let signature = hex(&sha256(key(secret), &[at.to_string().as_bytes(), token.as_bytes()]));
            Call::new(
                "application/json",
                json!({
                    "signature": {"timestamp": at.to_string(), "token": token, "signature": signature},
                    "event-data": {"event": "delivered", "id": "CPgfbmQMTCKtHW6uIWtuVe"}
                })
                .to_string(),
            )
        })
        .ages(43200),
        Service::new("sendgrid", "sendgrid.dropped", move |secret, at, n| {
            let body = format!("[{{\"event\":\"dropped\",\"sg_event_id\":\"ZGRvcC{n}\"}}]\r\n");
            let signed = [at.to_string().as_bytes(), body.as_bytes()].concat();
            let signature = p256(secret).sign(&SystemRandom::new(), &signed).unwrap();
            Call::new("application/json", body)
                .header("x-twilio-email-event-webhook-timestamp", at.to_string())
                .header("x-twilio-email-event-webhook-signature", base64(signature.as_ref()))
        })
        .secrets([0, 1, 2].map(|secret| spki(&p256(secret))))
        .proof("x-twilio-email-event-webhook-signature", &["", "nonsense", "%%%", "YQ=="])
        .ages(86400),
        Service::new("zoom", "zoom.meeting.started", move |secret, at, n| {
            let body = json_of(n, ",\"event\":\"meeting.started\"");
            let text = format!("v0:{at}:{body}");
            Call::new("application/json", body)
                .header("x-zm-request-timestamp", at.to_string())
                .header("x-zm-signature", format!("v0={}", hex(&sha256(key(secret), &[text.as_bytes()]))))
        })
        .proof("x-zm-signature", NONSENSE)
        .ages(86400),
        Service::new("dropbox", "dropbox.changed", move |secret, _, n| {
            let body = json_of(n, ",\"list_folder\":{\"accounts\":[\"dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc\"]}");
            let signature = hex(&sha256(key(secret), &[body.as_bytes()]));
            Call::new("application/json", body).header("x-dropbox-signature", signature)
        })
        .proof("x-dropbox-signature", &["", "nonsense", "zz", "aa"])
        .forgets(),
        Service::new("linear", "linear.Issue.create", move |secret, at, n| {
            let body = json_of(n, &format!(",\"type\":\"Issue\",\"action\":\"create\",\"webhookTimestamp\":{at}123"));
            let signature = hex(&sha256(key(secret), &[body.as_bytes()]));
            Call::new("application/json; charset=utf-8", body)
                .header("linear-delivery", format!("234d1a4e-b617-4388-90fe-adc3633d6b{n:02}"))
                .header("linear-event", "Issue")
                .header("linear-signature", signature)
        })
        .proof("linear-signature", &["", "nonsense", "zz", "aa"])
        .ages(60),
        Service::new("discord", "discord.interaction.2", move |secret, at, n| {
            let body = json_of(n, &format!(",\"type\":2,\"id\":\"84694100467112397{n}\""));
            let signed = format!("{at}{body}");
            let signature = ed25519(u8::try_from(secret).unwrap()).sign(signed.as_bytes());
            Call::new("application/json", body)
                .header("x-signature-timestamp", at.to_string())
                .header("x-signature-ed25519", hex(signature.as_ref()))
        })
        .secrets([0, 1, 2].map(|secret| hex(&public_key(&ed25519(secret)))))
        .proof("x-signature-ed25519", &["", "nonsense", "zz", "aa"])
        .ages(300),
        Service::new("paddle", "paddle.transaction.completed", move |secret, at, n| {
            let body = json_of(n, &format!(",\"event_id\":\"ntf_{n}\",\"event_type\":\"transaction.completed\""));
            let text = format!("{at}:{body}");
            Call::new("application/json", body)
                .header("paddle-signature", format!("ts={at};h1={}", hex(&sha256(key(secret), &[text.as_bytes()]))))
        })
        .proof("paddle-signature", &["", "nonsense", "ts=1", "h1=aa", "ts=x;h1=aa", "ts=1;h1=zz"])
        .ages(300),
        Service::new("pagerduty", "pagerduty.incident.triggered", move |secret, _, n| {
            let body = json_of(n, &format!(",\"event\":{{\"id\":\"01C{n}\",\"event_type\":\"incident.triggered\"}}"));
            let good = hex(&sha256(key(secret), &[body.as_bytes()]));
            let other = hex(&sha256(b"rolled away", &[body.as_bytes()]));
            Call::new("application/json", body).header("x-pagerduty-signature", format!("v1={other},v1={good}"))
        })
        .proof("x-pagerduty-signature", &["", "nonsense", "v1=", "v1=zz"]),
        Service::new("note-generic", "alert.created", move |secret, at, n| {
            let body = json_of(n, &format!(",\"event_id\":\"e{n}\""));
            let text = format!("{at}.{body}");
            Call::new("application/json", body)
                .header("x-event-type", "alert.created")
                .header("x-timestamp", at.to_string())
                .header("x-signature", hex(&sha512(key(secret), &[text.as_bytes()])))
        })
        .proof("x-signature", &["", "nonsense", "zz", "aa"])
        .ages(300),
        Service::new("hmac-sha256", "webhook.received", move |secret, _, n| {
            let body = json_of(n, &format!(",\"event_id\":\"e{n}\""));
            let signature = hex(&sha256(key(secret), &[body.as_bytes()]));
            Call::new("application/json", body).header("x-signature", format!("sha256={signature}"))
        })
        .proof("x-signature", NONSENSE),
        Service::new("token", "webhook.received", move |secret, _, n| {
            Call::new("application/json", json_of(n, &format!(",\"event_id\":\"e{n}\""))).header("x-api-key", SECRETS[secret])
        })
        .proof("x-api-key", &["", "nonsense"]),
        Service::new("bearer", "webhook.received", move |secret, _, n| {
            Call::new("application/json", json_of(n, &format!(",\"event_id\":\"e{n}\"")))
                .header("authorization", format!("Bearer {}", SECRETS[secret]))
        })
        .proof("authorization", &["", "Bearer", "Bearer ", "Basic eDp5", "nonsense"]),
        Service::new("basic", "webhook.received", move |secret, _, n| {
            let user = format!("user{secret}:{}", SECRETS[secret]);
            Call::new("application/json", json_of(n, &format!(",\"event_id\":\"e{n}\"")))
                .header("authorization", format!("Basic {}", base64(user.as_bytes())))
        })
        .secrets([0, 1, 2].map(|secret| format!("user{secret}:{}", SECRETS[secret])))
        .proof("authorization", &["", "Basic", "Basic %%%", "Basic eA==", "Bearer eDp5"]),
        Service::new("cloudevents", "com.example.created", move |secret, _, n| {
            Call::new("application/json", json_of(n, ""))
                .header("ce-specversion", "1.0")
                .header("ce-type", "com.example.created")
                .header("ce-source", "/mycontext")
                .header("ce-id", format!("A234-{n}"))
                .header("authorization", format!("Bearer {}", SECRETS[secret]))
        })
        .proof("authorization", &["", "Bearer", "nonsense"]),
    ];
    let discord = move |secret: usize, at: i64, n: u32| {
        let body = json_of(n, ",\"type\":1,\"event\":{\"type\":\"APPLICATION_AUTHORIZED\"}");
        let signature = ed25519(u8::try_from(secret).unwrap()).sign(format!("{at}{body}").as_bytes());
        Call::new("application/json", body)
            .header("x-signature-timestamp", at.to_string())
            .header("x-signature-ed25519", hex(signature.as_ref()))
    };
    all.push(
        Service::new("discord-events", "discord.APPLICATION_AUTHORIZED", discord)
            .secrets([0, 1, 2].map(|secret| hex(&public_key(&ed25519(secret)))))
            .proof("x-signature-ed25519", &["", "nonsense", "zz", "aa"])
            .answers(204)
            .ages(300),
    );
    let trello = move |secret: usize, _: i64, n: u32| {
        let body = json_of(
            n,
            &format!(",\"action\":{{\"id\":\"51f9424bcd6e040f3c002{n}\",\"type\":\"updateCard\"}}"),
        );
        let signed = [body.as_bytes(), b"https://hooks.example.com/webhooks/it"];
        let signature = base64(&sha1(key(secret), &signed));
        Call::new("application/json", body).header("x-trello-webhook", signature)
    };
    all.push(Service {
        more: json!({"public_url": "https://hooks.example.com/webhooks/it"}),
        ..Service::new("trello", "trello.updateCard", trello)
            .proof("x-trello-webhook", &["", "nonsense", "%%%", "YQ=="])
    });
    let x = move |secret: usize, _: i64, n: u32| {
        let body = json_of(n, ",\"for_user_id\":\"2244994945\"");
        let signature = base64(&sha256(key(secret), &[body.as_bytes()]));
        Call::new("application/json", body)
            .header("x-twitter-webhooks-signature", format!("sha256={signature}"))
    };
    all.push(Service::new("x-crc", "x.activity", x).proof("x-twitter-webhooks-signature", NONSENSE));
    for (preset, body, event_type) in [
        (
            "event-grid",
            "[{\"id\":\"#\",\"eventType\":\"Storage.BlobCreated\"}]",
            "event-grid.Storage.BlobCreated",
        ),
        (
            "microsoft-graph",
            "{\"value\":[{\"id\":\"#\",\"changeType\":\"updated\"}]}",
            "microsoft-graph.updated",
        ),
    ] {
        let sign = move |secret: usize, _: i64, n: u32| Call {
            query: format!("token={}", SECRETS[secret].replace(' ', "%20")),
            ..Call::new("application/json", body.replace('#', &n.to_string()))
        };
        all.push(Service::new(preset, event_type, sign));
    }
    for (preset, prefix) in [("standard-webhooks", "webhook"), ("svix", "svix")] {
        let name = |part: &str| format!("{prefix}-{part}");
        let (id, stamp, signature) = (name("id"), name("timestamp"), name("signature"));
        let sign = move |secret: usize, at: i64, n: u32| {
            let body = json_of(n, ",\"type\":\"invoice.paid\"");
            let text = format!("msg_{n}.{at}.{body}");
            let good = base64(&sha256(&whsec(secret), &[text.as_bytes()]));
            let other = base64(&sha256(b"rolled away", &[text.as_bytes()]));
            Call::new("application/json", body)
                .header(&id, format!("msg_{n}"))
                .header(&stamp, at.to_string())
                .header(&signature, format!("v1a,{other} v1,{other} v1,{good}"))
        };
        let proof = if preset == "svix" {
            "svix-signature"
        } else {
            "webhook-signature"
        };
        let kind = "invoice.paid";
        all.push(
            Service::new(preset, kind, sign)
                .secrets([0, 1, 2].map(|secret| format!("whsec_{}", base64(&whsec(secret)))))
                .proof(proof, &["", "nonsense", "v1,", "v1,%%%", "v2,YQ=="])
                .ages(300),
        );
    }
    let v1a = move |secret: usize, at: i64, n: u32| {
        let body = json_of(n, ",\"type\":\"invoice.paid\"");
        let text = format!("msg_{n}.{at}.{body}");
        let signature = ed25519(u8::try_from(secret).unwrap()).sign(text.as_bytes());
        Call::new("application/json", body)
            .header("webhook-id", format!("msg_{n}"))
            .header("webhook-timestamp", at.to_string())
            .header("webhook-signature", format!("v1a,{}", base64(signature.as_ref())))
    };
    all.push(
        Service::new("standard-webhooks", "invoice.paid", v1a)
            .secrets([0, 1, 2].map(|secret| format!("whpk_{}", base64(&public_key(&ed25519(secret))))))
            .proof(
                "webhook-signature",
                &["", "nonsense", "v1a,", "v1a,%%%", "v1a,YQ=="],
            )
            .ages(300),
    );
    all
}
