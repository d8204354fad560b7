//! What a delivery is about: all that a profile may speak of.

use crate::event::Event;
use crate::id::{DeliveryId, SubscriptionId};
use crate::time::Timestamp;

/// A delivery, as far as it can be seen in what is sent. The same in every attempt.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The event.
    pub event: &'a Event,
    /// The delivery.
    pub delivery: DeliveryId,
    /// The subscription that it is for.
    pub subscription: SubscriptionId,
    /// The tenant as its owner calls it.
    pub tenant: &'a str,
}

/// What a template is filled in from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) about: About<'a>,
    /// What the profile calls the event's type.
    pub(super) shown_type: &'a str,
    /// The media type of the data, which a plugin may have made.
    pub(super) content_type: &'a str,
    /// The profile's.
    pub(super) version: u32,
    /// When the attempt is made; none in a body, which is the same in every attempt.
    pub(super) attempt_at: Option<Timestamp>,
}
