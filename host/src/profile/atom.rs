//! Atoms: the names by which a profile speaks of a delivery, as in `{type}` or `{time:unix}`.

use std::borrow::Cow;
use std::fmt;

use super::about::Facts;
use super::uri;
use crate::event::check_extension_name;
use crate::id::{Id, Kind};
use crate::time::Timestamp;

/// What an atom that stands for an extension attribute begins with.
const EXTENSION: &str = "ext.";

/// One thing that is known of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    /// The CloudEvents id: the producer's, or Hookway's where it gave none.
    Id,
    /// The id that Hookway gave.
    EventId(IdForm),
    DeliveryId(IdForm),
    SubscriptionId(IdForm),
    TenantId(IdForm),
    /// The tenant as its owner calls it.
    Tenant,
    Type,
    Time(TimeForm),
    Source,
    /// The source as a URI reference, as CloudEvents wants it.
    SourceUri,
    Subject,
    /// The media type of the data.
    ContentType,
    /// The profile's version.
    Version,
    /// An extension attribute.
    Extension(String),
    /// When the attempt is made.
    Attempt(TimeForm),
}

/// How an id is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdForm {
    Own,
    Uuid,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeForm {
    /// As Hookway writes it.
    Own,
    /// With three digits of a fraction.
    IsoMillis,
    /// Without a fraction.
    IsoSeconds,
    Unix,
    UnixMillis,
}

/// Every atom but the extension attributes, as it is written.
static ATOMS: [(&str, Atom); 23] = [
    ("id", Atom::Id),
    ("event_id", Atom::EventId(IdForm::Own)),
    ("event_id:uuid", Atom::EventId(IdForm::Uuid)),
    ("delivery_id", Atom::DeliveryId(IdForm::Own)),
    ("delivery_id:uuid", Atom::DeliveryId(IdForm::Uuid)),
    ("subscription_id", Atom::SubscriptionId(IdForm::Own)),
    ("subscription_id:uuid", Atom::SubscriptionId(IdForm::Uuid)),
    ("tenant_id", Atom::TenantId(IdForm::Own)),
    ("tenant_id:uuid", Atom::TenantId(IdForm::Uuid)),
    ("tenant", Atom::Tenant),
    ("type", Atom::Type),
    ("time", Atom::Time(TimeForm::Own)),
    ("time:iso-ms", Atom::Time(TimeForm::IsoMillis)),
    ("time:iso-s", Atom::Time(TimeForm::IsoSeconds)),
    ("time:unix", Atom::Time(TimeForm::Unix)),
    ("time:unix-ms", Atom::Time(TimeForm::UnixMillis)),
    ("source", Atom::Source),
    ("source_uri", Atom::SourceUri),
    ("subject", Atom::Subject),
    ("datacontenttype", Atom::ContentType),
    ("version", Atom::Version),
    ("attempt:unix", Atom::Attempt(TimeForm::Unix)),
    ("attempt:unix-ms", Atom::Attempt(TimeForm::UnixMillis)),
];

/// Every atom, for people.
pub(super) fn known() -> String {
    let names = ATOMS.iter().map(|(name, _)| format!("{{{name}}}, "));
    names.collect::<String>() + "{ext.NAME}"
}

impl Atom {
    /// The atom that is written like this between braces.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix(EXTENSION) {
            return check_extension_name(name)
                .ok()
                .map(|()| Self::Extension(name.to_owned()));
        }
        let known = ATOMS.iter().find(|(known, _)| *known == text);
        known.map(|(_, atom)| atom.clone())
    }

    /// Whether it differs from one attempt to the next.
    pub(super) const fn is_of_the_attempt(&self) -> bool {
        matches!(self, Self::Attempt(_))
    }

    /// Whether what it stands for is always a number in JSON.
    pub(super) const fn is_number(&self) -> bool {
        match self {
            Self::Time(form) | Self::Attempt(form) => matches!(form, TimeForm::Unix | TimeForm::UnixMillis),
            Self::Version => true,
            _ => false,
        }
    }

    /// What it stands for; nothing where the event does not have it.
    pub(super) fn of<'f>(&self, facts: &Facts<'f>) -> Option<Cow<'f, str>> {
        let about = &facts.about;
        let event = about.event;
        match self {
            Self::Id => Some(event.cloudevents_id().into()),
            Self::EventId(form) => Some(form.of(event.id)),
            Self::DeliveryId(form) => Some(form.of(about.delivery)),
            Self::SubscriptionId(form) => Some(form.of(about.subscription)),
            Self::TenantId(form) => Some(form.of(event.tenant)),
            Self::Tenant => Some(about.tenant.into()),
            Self::Type => Some(facts.shown_type.into()),
            Self::Time(form) => Some(form.of(event.time)),
            Self::Source => Some(event.source.as_str().into()),
            Self::SourceUri => Some(uri::reference(&event.source)),
            Self::Subject => event.subject.as_deref().map(Cow::Borrowed),
            Self::ContentType => Some(facts.content_type.into()),
            Self::Version => Some(facts.version.to_string().into()),
            Self::Extension(wanted) => {
                let mut extensions = event.extensions.iter();
                let found = extensions.find(|(name, _)| name == wanted);
                found.map(|(_, value)| value.as_str().into())
            }
            Self::Attempt(form) => facts.attempt_at.map(|at| form.of(at)),
        }
    }
}

impl IdForm {
    fn of<K: Kind>(self, id: Id<K>) -> Cow<'static, str> {
        match self {
            Self::Own => id.to_string().into(),
            Self::Uuid => id.to_uuid().into(),
        }
    }
}

impl TimeForm {
    fn of(self, time: Timestamp) -> Cow<'static, str> {
        match self {
            Self::Own | Self::IsoMillis => time.to_string().into(),
            Self::IsoSeconds => {
                let text = time.to_string();
                match text.split_once('.') {
                    Some((seconds, _)) => format!("{seconds}Z").into(),
                    None => text.into(),
                }
            }
            Self::Unix => time.as_seconds().to_string().into(),
            Self::UnixMillis => time.as_millis().to_string().into(),
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Extension(name) = self {
            return write!(f, "{{{EXTENSION}{name}}}");
        }
        let known = ATOMS.iter().find(|(_, known)| known == self);
        write!(f, "{{{}}}", known.map_or("", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_atom_is_written_as_it_is_read() {
        for text in ATOMS.iter().map(|(name, _)| *name).chain(["ext.traceparent"]) {
            assert_eq!(Atom::parse(text).unwrap().to_string(), format!("{{{text}}}"));
        }
        for text in [
            "",
            "ext",
            "ext.",
            "ext.A",
            "ext.type",
            "attempt",
            "time:",
            "time:iso",
            "id:uuid",
            "type:unix",
            "Time",
        ] {
            assert_eq!(Atom::parse(text), None, "{text}");
        }
    }

    /// WF-09, IB-12.
    #[test]
    fn times_are_written_in_each_form() {
        for (millis, ms, s, unix) in [
            (
                1_779_208_200_000,
                "2026-05-19T16:30:00.000Z",
                "2026-05-19T16:30:00Z",
                "1779208200",
            ),
            (
                1_779_208_200_987,
                "2026-05-19T16:30:00.987Z",
                "2026-05-19T16:30:00Z",
                "1779208200",
            ),
            (-1, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59Z", "-1"),
        ] {
            let time = Timestamp::from_millis(millis);
            assert_eq!(TimeForm::IsoMillis.of(time), ms);
            assert_eq!(TimeForm::IsoSeconds.of(time), s);
            assert_eq!(TimeForm::Unix.of(time), unix);
            assert_eq!(TimeForm::UnixMillis.of(time), millis.to_string());
        }
    }
}
