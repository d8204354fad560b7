//! What a caller wishes for one field of something that is configured: keep, clear or set. Pure.

/// What is wished for one field.
#[derive(Clone, Debug, Default)]
pub enum Set<T> {
    /// As it is.
    #[default]
    Keep,
    /// As if it had never been given.
    Clear,
    /// This.
    To(T),
}

impl<T> Set<T> {
    /// Lays the wish over a field that has a default.
    pub(super) fn onto(self, field: &mut T, default: impl FnOnce() -> T) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = default(),
            Self::To(value) => *field = value,
        }
    }

    /// Lays the wish over a field that may be empty.
    pub(super) fn onto_optional(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::To(value) => *field = Some(value),
        }
    }
}
