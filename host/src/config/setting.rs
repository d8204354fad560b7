//! One setting as data, and the macro that turns the table in [`crate::config`] into structs and list.

use toml::Value;

use super::{Config, value::Kind};

/// Where a setting may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// As a flag, in the environment and in the file.
    All,
    /// In the environment only: it is a secret that must not lie in a file beside others.
    Environment,
}

/// One setting.
pub struct Setting {
    /// Its name in the file: `server.listen`.
    pub path: &'static str,
    /// How its values are written.
    pub form: &'static str,
    /// Its default, as one would write it; empty for none.
    pub default: &'static str,
    /// A second, shorter name in the environment.
    pub short: Option<&'static str>,
    /// Where it may be given.
    pub layers: Layers,
    pub(super) doc: &'static str,
    pub(super) limits: fn() -> Option<(String, String)>,
    pub(super) assign: fn(&mut Config, &Value) -> Result<(), String>,
    pub(super) show: fn(&Config) -> String,
}

impl Setting {
    /// What it is for, as one paragraph.
    pub fn doc(&self) -> String {
        paragraph(self.doc)
    }

    /// Least and greatest value, where it has such.
    pub fn limits(&self) -> Option<(String, String)> {
        (self.limits)()
    }

    /// Its names in the environment.
    pub fn variables(&self) -> Vec<String> {
        let long = format!("HOOKWAY_{}", self.path.replace('.', "__").to_ascii_uppercase());
        std::iter::once(long)
            .chain(self.short.map(str::to_owned))
            .collect()
    }

    /// Puts a value into a configuration; says what is wrong with it otherwise.
    pub fn assign(&self, config: &mut Config, value: &Value) -> Result<(), String> {
        (self.assign)(config, value)
    }

    /// Whether its value could have been given; says what is wrong with it otherwise. For configurations
    /// that were made by hand.
    pub fn check(&self, config: &Config) -> Result<(), String> {
        self.assign(&mut config.clone(), &Value::String(self.show(config)))
    }

    /// Its value, as one would write it; secrets masked.
    pub fn show(&self, config: &Config) -> String {
        (self.show)(config)
    }
}

/// The lines of a documentation as one paragraph.
pub(super) fn paragraph(doc: &str) -> String {
    let lines = doc.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// Reads a value and holds it to its limits.
pub(super) fn within<K, T>(value: &Value, limits: std::ops::RangeInclusive<T>) -> Result<T, String>
where
    K: Kind<T>,
    T: PartialOrd,
{
    let read = K::parse(value)?;
    if limits.contains(&read) {
        return Ok(read);
    }
    Err(format!(
        "must be between {} and {}",
        K::show(limits.start()),
        K::show(limits.end())
    ))
}

/// Reads the default of a setting.
pub(super) fn default_of<K: Kind<T>, T>(text: &str) -> T {
    K::parse(&Value::String(text.to_owned())).expect("a test reads every default")
}

/// `field: Type = Kind, "default"[, in limits][, short "NAME"][, from environment];`
macro_rules! settings {
    (
        $(#[doc = $config_doc:literal])+
        $config:ident {$(
            $(#[doc = $root_doc:literal])+
            $root:ident : $root_type:ty = $root_kind:ty, $root_default:literal $(, from $root_from:ident)?;
        )+}
        $(
            $(#[doc = $group_doc:literal])+
            $group:ident : $struct:ident $(with [$($meta:meta),+])? {$(
                $(#[doc = $doc:literal])+
                $field:ident : $type:ty = $kind:ty, $default:literal $(, in $limits:expr)? $(, short $short:literal)?;
            )+}
        )+
    ) => {
        $(#[doc = $config_doc])+
        #[derive(Clone, Debug)]
        pub struct $config {
            $($(#[doc = $root_doc])+ pub $root: $root_type,)+
            $(#[doc = concat!("See [`", stringify!($struct), "`].")] pub $group: $struct,)+
        }

        impl Default for $config {
            fn default() -> Self {
                Self {
                    $($root: $crate::config::setting::default_of::<$root_kind, $root_type>($root_default),)+
                    $($group: $struct::default(),)+
                }
            }
        }

        $(
            $(#[doc = $group_doc])+
            $($(#[$meta])+)?
            #[derive(Clone, Debug)]
            pub struct $struct {
                $($(#[doc = $doc])+ pub $field: $type,)+
            }

            impl Default for $struct {
                fn default() -> Self {
                    Self {$($field: $crate::config::setting::default_of::<$kind, $type>($default),)+}
                }
            }
        )+

        pub(super) mod table {
            use super::*;
            use $crate::config::setting::{Layers, Setting, settings};
            use $crate::config::value::Kind;

            /// Every group of settings and what it is about.
            pub const GROUPS: &[(&str, &str)] = &[
                $((stringify!($group), concat!($($group_doc, "\n"),+)),)+
            ];

            /// Every setting, in the order of the reference page.
            pub const SETTINGS: &[Setting] = &[
                $(Setting {
                    path: stringify!($root),
                    form: <$root_kind as Kind<$root_type>>::FORM,
                    default: $root_default,
                    short: None,
                    layers: settings!(@layers $($root_from)?),
                    doc: concat!($($root_doc, "\n"),+),
                    limits: || None,
                    assign: |config, value| {
                        config.$root = <$root_kind as Kind<$root_type>>::parse(value)?;
                        Ok(())
                    },
                    show: |config| <$root_kind as Kind<$root_type>>::show(&config.$root),
                },)+
                $($(Setting {
                    path: concat!(stringify!($group), ".", stringify!($field)),
                    form: <$kind as Kind<$type>>::FORM,
                    default: $default,
                    short: settings!(@short $($short)?),
                    layers: Layers::All,
                    doc: concat!($($doc, "\n"),+),
                    limits: || settings!(@limits $kind, $type $(, $limits)?),
                    assign: |config, value| {
                        config.$group.$field = settings!(@read value, $kind, $type $(, $limits)?);
                        Ok(())
                    },
                    show: |config| <$kind as Kind<$type>>::show(&config.$group.$field),
                },)+)+
            ];
        }
    };
    (@layers) => { Layers::All };
    (@layers environment) => { Layers::Environment };
    (@short) => { None };
    (@short $short:literal) => { Some($short) };
    (@limits $kind:ty, $type:ty) => { None };
    (@limits $kind:ty, $type:ty, $limits:expr) => {{
        let limits: std::ops::RangeInclusive<$type> = $limits;
        Some((<$kind as Kind<$type>>::show(limits.start()), <$kind as Kind<$type>>::show(limits.end())))
    }};
    (@read $value:ident, $kind:ty, $type:ty) => { <$kind as Kind<$type>>::parse($value)? };
    (@read $value:ident, $kind:ty, $type:ty, $limits:expr) => {
        $crate::config::setting::within::<$kind, $type>($value, $limits)?
    };
}

pub use super::table::{GROUPS, SETTINGS};
pub(super) use settings;
