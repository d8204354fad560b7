//! What can be wrong with a scheme, in words for whoever writes one.

use super::TOLERANCE_SECONDS_MAX;

/// What is wrong with a scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemeFault {
    /// A template that is no text.
    #[error("a template must be 1 to 256 printable ASCII characters")]
    Template,
    /// A brace without its other half.
    #[error("a template has a brace without its other half")]
    Brace,
    /// An unknown atom.
    #[error("`{{{atom}}}` is unknown here; known are {known}")]
    Atom {
        /// What was written.
        atom: String,
        /// What could have been.
        known: &'static str,
    },
    /// A signature that does not cover the body.
    #[error(
        "the input must contain {{body}}, {{crc32}} or {{form_sorted}}: a signature that does not cover the \
         body proves little; where a service offers no better one, say `covers_body = false`"
    )]
    BodyNotSigned,
    /// A scheme that says both.
    #[error("`covers_body = false` is said, but the input covers the body")]
    BodySigned,
    /// A format that cannot be read back.
    #[error("the format needs {0}")]
    Format(&'static str),
    /// A name that is no header name.
    #[error("`{name}` is not a header name")]
    HeaderName {
        /// What was written.
        name: String,
    },
    /// A text that is no pointer.
    #[error("`{pointer}` is not a JSON Pointer such as /signature/timestamp, of 16 steps at the most")]
    Pointer {
        /// What was written.
        pointer: String,
    },
    /// No place for the signature, or two.
    #[error("the signature must stand in exactly one place, `header` or `signature_pointer`")]
    Place,
    /// A time stamp that stands nowhere.
    #[error(
        "there must be exactly one place for the time stamp, `ts_header`, `ts_pointer` or {{ts}} in the \
         format, to {what}"
    )]
    Timestamp {
        /// What needs it.
        what: &'static str,
    },
    /// A time stamp that anybody may renew.
    #[error("the time stamp is not signed, so that its age proves nothing: put {{ts}} into the input")]
    TimestampNotSigned,
    /// An id that stands nowhere.
    #[error("the input has {{id}} but there is no `id_header`")]
    Id,
    /// A tolerance that is too long.
    #[error("tolerance_seconds must lie between 1 and {TOLERANCE_SECONDS_MAX}")]
    Tolerance,
    /// A separator that is none.
    #[error(
        "the separator must be one character that no signature has, and the format may have one value only"
    )]
    Separator,
    /// A secret that the algorithm cannot use.
    #[error("the algorithm {algorithm} takes a secret of the kind {kinds}")]
    Secret {
        /// Which algorithm.
        algorithm: &'static str,
        /// What it takes.
        kinds: &'static str,
    },
    /// A text that is not used as one.
    #[error(
        "a secret of the kind `text` is no key: the input must contain {{secret}}, and `certificate_header` \
         must say where the certificate with the key is; neither goes with another kind"
    )]
    Text,
    /// A certificate from anywhere.
    #[error(
        "`certificate_header` and `certificate_hosts` belong together: 1 to 16 host names in lower case, \
         without port, from which the certificate may be fetched"
    )]
    Certificate,
    /// A digest that proves nothing.
    #[error(
        "`body_digest_query` needs a parameter's name of 1 to 64 characters, and {{url}} and {{form_sorted}} in the input"
    )]
    BodyDigest,
}
