//! The attributes `#[config]` and `#[data]` of `hookway-plugin`.
//!
//! The derive macros of serde and schemars look for crates of those names beside the author's code.
//! These attributes add the derives together with the paths through `hookway_plugin`, so that a
//! plugin depends on one crate. They write a few tokens in front of the item and parse nothing.

use proc_macro::TokenStream;

const CONFIG: &str = r#"
    #[derive(::hookway_plugin::serde::Deserialize, ::hookway_plugin::schemars::JsonSchema)]
    #[serde(crate = "::hookway_plugin::serde")]
    #[schemars(crate = "::hookway_plugin::schemars")]
"#;

const DATA: &str = r#"
    #[derive(::hookway_plugin::serde::Deserialize, ::hookway_plugin::serde::Serialize)]
    #[serde(crate = "::hookway_plugin::serde")]
"#;

/// Makes a type usable as (part of) a plugin's configuration: read from JSON, and described by a
/// JSON Schema whose descriptions are the documentation comments. `#[serde(…)]` attributes work as
/// ever; `#[serde(deny_unknown_fields)]` refuses fields that the plugin does not know.
#[proc_macro_attribute]
pub fn config(arguments: TokenStream, item: TokenStream) -> TokenStream {
    prefixed("config", CONFIG, &arguments, item)
}

/// Makes a type usable as (part of) an event's data or a request's body: read from JSON and written
/// as JSON. Fields may borrow (`&'a str`, `Cow<'a, str>`), which is the fastest way to read an event.
#[proc_macro_attribute]
pub fn data(arguments: TokenStream, item: TokenStream) -> TokenStream {
    prefixed("data", DATA, &arguments, item)
}

fn prefixed(
    name: &str,
    attributes: &str,
    arguments: &TokenStream,
    item: TokenStream,
) -> TokenStream {
    let text = if arguments.is_empty() {
        attributes.to_owned()
    } else {
        format!("::core::compile_error!(\"#[{name}] takes no arguments\");")
    };
    let mut tokens: TokenStream = text.parse().expect("the attributes are valid tokens");
    tokens.extend(item);
    tokens
}
