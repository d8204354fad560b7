//! What is wished of a source: for every field keep, clear or set; laid over what is there. Pure.

use ipnet::IpNet;

use crate::control::set::Set;
use crate::id::{SourceId, TenantId};
use crate::secret::Secret;
use crate::source::{self, Conflict, Format, Handshake, Mapping, Response, Settings, Source, Verification};
use crate::subscription::RateLimit;
use crate::time::Timestamp;

/// What is wished of a source.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The last part of its address; needed.
    pub name: Set<String>,
    /// For people.
    pub description: Set<String>,
    /// The preset's name.
    pub preset: Set<String>,
    /// Whether requests are taken.
    pub enabled: Set<bool>,
    /// How a request proves where it comes from.
    pub verification: Set<Verification>,
    /// The handshakes.
    pub handshakes: Set<Vec<Handshake>>,
    /// Where type, id and subject stand.
    pub events: Set<MappingWish>,
    /// The address as its sender knows it.
    pub public_url: Set<String>,
    /// Who may send.
    pub allowed_ips: Set<Vec<IpNet>>,
    /// Largest body.
    pub body_bytes_max: Set<u32>,
    /// Requests per time.
    pub rate_limit: Set<RateLimit>,
    /// What a taken request is answered.
    pub response: Set<Response>,
    /// Whether refused requests are answered as taken ones.
    pub always_ok: Set<bool>,
    /// Whether bodies of refused requests are kept.
    pub keep_refused: Set<bool>,
    /// What a handshake must show.
    pub verify_token: Set<Secret>,
    /// The secret; only for a source that has none yet.
    pub secret: Set<Secret>,
}

/// What is wished of a mapping, part by part, as RFC 7396 has it: what is not named stays as it is.
#[derive(Clone, Debug, Default)]
pub struct MappingWish {
    /// What requests are.
    pub format: Set<Format>,
    /// Pointer to an array of events.
    pub split: Set<String>,
    /// Alternatives for the type.
    pub event_type: Set<Vec<String>>,
    /// Alternatives for the id.
    pub id: Set<Vec<String>>,
    /// Alternatives for the subject.
    pub subject: Set<Vec<String>>,
    /// What follows where an id comes again with other content.
    pub on_conflict: Set<Conflict>,
}

impl MappingWish {
    fn onto(self, mapping: &mut Mapping) {
        self.format.onto_optional(&mut mapping.format);
        self.split.onto_optional(&mut mapping.split);
        self.event_type.onto_optional(&mut mapping.event_type);
        self.id.onto_optional(&mut mapping.id);
        self.subject.onto_optional(&mut mapping.subject);
        self.on_conflict.onto_optional(&mut mapping.on_conflict);
    }
}

/// A source with nothing but defaults.
pub(super) fn blank(id: SourceId, tenant: TenantId, now: Timestamp) -> Source {
    Source {
        id,
        tenant,
        name: String::new(),
        description: None,
        enabled: true,
        preset: source::preset::DEFAULT.to_owned(),
        settings: Settings::default(),
        secrets: Vec::new(),
        unread: None,
        verify_token: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// Lays a wish over a source.
pub(super) fn lay(wish: Wish, onto: &mut Source) {
    wish.name.onto(&mut onto.name, String::new);
    wish.description.onto_optional(&mut onto.description);
    wish.preset
        .onto(&mut onto.preset, || source::preset::DEFAULT.to_owned());
    wish.enabled.onto(&mut onto.enabled, || true);
    wish.verify_token.onto_optional(&mut onto.verify_token);
    let settings = &mut onto.settings;
    wish.verification.onto_optional(&mut settings.verification);
    wish.handshakes.onto_optional(&mut settings.handshakes);
    match wish.events {
        Set::Keep => {}
        Set::Clear => settings.events = Mapping::default(),
        Set::To(wish) => wish.onto(&mut settings.events),
    }
    wish.public_url.onto_optional(&mut settings.public_url);
    wish.allowed_ips.onto(&mut settings.allowed_ips, Vec::new);
    wish.body_bytes_max.onto_optional(&mut settings.body_bytes_max);
    wish.rate_limit.onto_optional(&mut settings.rate_limit);
    wish.response.onto_optional(&mut settings.response);
    wish.always_ok.onto(&mut settings.always_ok, || false);
    wish.keep_refused.onto(&mut settings.keep_refused, || false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_keeps_clears_and_sets() {
        let mut source = blank(
            SourceId::from_number(1),
            TenantId::from_number(1),
            Timestamp::from_millis(5),
        );
        let wish = Wish {
            name: Set::To("github".into()),
            description: Set::To("d".into()),
            always_ok: Set::To(true),
            body_bytes_max: Set::To(9),
            ..Wish::default()
        };
        lay(wish, &mut source);
        let wish = Wish {
            description: Set::Clear,
            always_ok: Set::Clear,
            enabled: Set::To(false),
            ..Wish::default()
        };
        lay(wish, &mut source);
        assert_eq!((source.name.as_str(), source.description), ("github", None));
        assert!(!source.enabled && !source.settings.always_ok);
        assert_eq!(source.settings.body_bytes_max, Some(9));
    }
}
