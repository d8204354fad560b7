//! Producers as they should be: each event has an id of its own, and what was not acknowledged is sent
//! again with the same id until it is, whoever answers by then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::account::{Account, token};
use crate::support::client::{ADMIN_KEY, builder};

/// The type of every event.
pub const TYPE: &str = "alert.created";
/// Longest wait for one answer of a busy router.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Longest wait for the last producer to get its last answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// When an event counts as acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Believe {
    /// When the router said so.
    Answers,
    /// When it was sent: a mistake that some producers make.
    Sending,
}

/// Producers at work.
pub struct Producers {
    router: watch::Sender<Option<String>>,
    stop: watch::Sender<bool>,
    working: JoinSet<()>,
    /// Events that were sent again because nobody knew what had become of them.
    again: Arc<AtomicU64>,
}

impl Producers {
    /// Lets so many producers work; they wait for a router.
    pub fn start(count: u32, account: &Arc<Account>, believe: Believe) -> Self {
        let router = watch::Sender::new(None);
        let stop = watch::Sender::new(false);
        let (numbers, again) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
        let client = builder().timeout(ANSWER_MAX).build().expect("a client");
        let mut working = JoinSet::new();
        for _ in 0..count {
            let producer = Producer {
                account: account.clone(),
                believe,
                numbers: numbers.clone(),
                again: again.clone(),
                client: client.clone(),
                router: router.subscribe(),
            };
            working.spawn(producer.work(stop.subscribe()));
        }
        Self {
            router,
            stop,
            working,
            again,
        }
    }

    /// The router is here now, or nowhere.
    pub fn router_is_at(&self, url: Option<&str>) {
        self.router.send_replace(url.map(str::to_owned));
    }

    /// Lets every producer get its last event acknowledged, and gives how often one was sent again.
    pub async fn finish(mut self) -> u64 {
        self.stop.send_replace(true);
        let finished = async {
            while let Some(ended) = self.working.join_next().await {
                ended.expect("a producer ends well");
            }
        };
        let finished = tokio::time::timeout(PATIENCE, finished).await;
        assert!(finished.is_ok(), "a producer gets no answer");
        self.again.load(Ordering::SeqCst)
    }
}

struct Producer {
    account: Arc<Account>,
    believe: Believe,
    numbers: Arc<AtomicU64>,
    again: Arc<AtomicU64>,
    client: reqwest::Client,
    router: watch::Receiver<Option<String>>,
}

impl Producer {
    async fn work(mut self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            // Nothing is begun while there is nobody to send it to.
            let Ok(Some(_)) = self.router.wait_for(Option::is_some).await.map(|url| url.clone()) else {
                return;
            };
            let event = self.numbers.fetch_add(1, Ordering::SeqCst);
            self.account.will_send(event);
            while !self.try_once(event).await {
                self.again.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Sends an event to the router as soon as there is one; whether that is the end of it.
    async fn try_once(&mut self, event: u64) -> bool {
        let Ok(Some(url)) = self.router.wait_for(Option::is_some).await.map(|url| url.clone()) else {
            return true;
        };
        let id = token(event);
        let data = json!({"id": id, "title": id, "severity": "high", "text": "x".repeat(500)});
        let body = json!({"id": id, "type": TYPE, "data": data});
        let request = self
            .client
            .post(format!("{url}/api/v1/events"))
            .bearer_auth(ADMIN_KEY);
        let request = request
            .header("content-type", "application/json")
            .body(body.to_string());
        if self.believe == Believe::Sending {
            self.account.acknowledge(event);
        }
        match request.send().await {
            Ok(answer) if answer.status() == 202 => {
                self.account.acknowledge(event);
                true
            }
            // It says that it did not take it: it drains, or has too much to do.
            Ok(answer) if answer.status() == 503 || answer.status() == 429 => false,
            Ok(answer) => panic!("event {event}: {} {:?}", answer.status(), answer.text().await),
            Err(_) if self.believe == Believe::Sending => true,
            // Whoever was there is gone; the next one knows.
            Err(_) => {
                let elsewhere = self.router.wait_for(|now| now.as_deref() != Some(url.as_str()));
                elsewhere.await.is_err()
            }
        }
    }
}
