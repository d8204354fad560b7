//! Settings that are one word of several. Each set of words is an enum, so that a word that the program does
//! not know is no value.

use toml::Value;

use super::value::{Choice, Kind, wrong};

macro_rules! choices {
    ($(
        $(#[$doc:meta])+
        $name:ident, $form:literal {$(
            $(#[$word_doc:meta])+
            $word:ident $text:literal,
        )+}
    )+) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {$(
            $(#[$word_doc])+
            $word,
        )+}

        impl Kind<$name> for Choice {
            const FORM: &'static str = $form;
            fn parse(value: &Value) -> Result<$name, String> {
                match value.as_str() {
                    $(Some($text) => Ok($name::$word),)+
                    _ => Err(wrong(value, <Self as Kind<$name>>::FORM)),
                }
            }
            fn show(value: &$name) -> String {
                match value {
                    $($name::$word => $text,)+
                }
                .to_owned()
            }
        }
    )+};
}

choices! {
    /// How log lines look.
    LogFormat, "text or json" {
        /// For people.
        Text "text",
        /// One JSON object a line.
        Json "json",
    }

    /// Who may read `/metrics`.
    MetricsFor, "key or open" {
        /// Who has a key for it.
        Key "key",
        /// Everybody.
        Open "open",
    }

    /// Whether payloads are held to their schemas.
    Validate, "off or refuse" {
        /// They are not.
        Off "off",
        /// What does not keep to its schema is refused.
        Refuse "refuse",
    }

    /// What becomes of events of types that nobody described.
    UnknownTypes, "accept or refuse" {
        /// They are accepted.
        Accept "accept",
        /// They are refused.
        Refuse "refuse",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_is_shown_and_no_other() {
        for word in ["key", "open"] {
            let read: MetricsFor = Choice::parse(&Value::String(word.to_owned())).unwrap();
            assert_eq!(<Choice as Kind<MetricsFor>>::show(&read), word);
        }
        let fault = <Choice as Kind<MetricsFor>>::parse(&Value::String("loopback".to_owned())).unwrap_err();
        assert_eq!(fault, "is \"loopback\", which is not a key or open");
    }
}
