//! A source's templates turned round: what has to stand where in a request so that a template gives a
//! wanted text.
//!
//! The router reads `github.{header:x-github-event}.{json:/action}` and gets `github.issues.opened`; here
//! `github.issues.opened` is read along the template and gives the header and the member. A split is
//! tried shortest first, and what would have to be two things at once is none.

/// Most atoms of a template that is turned round: each multiplies the ways to split a text, and no preset
/// has more than two.
const ATOMS_MAX: usize = 4;

/// Where something stands in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a header.
    Header(String),
    /// In a parameter of the query.
    Query(String),
    /// In a parameter of a form.
    Form(String),
    /// At a JSON Pointer into the body.
    Json(String),
}

/// A place and what has to stand there.
pub(super) type Filled = (Place, String);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
    /// Something that follows from the rest of the request.
    Derived,
}

/// What has to stand where so that `template` gives `wanted`; none where nothing would do.
pub(super) fn turned(template: &str, wanted: &str) -> Option<Vec<Filled>> {
    let parts = parts(template)?;
    let atoms = parts.iter().filter(|part| !matches!(part, Part::Text(_)));
    if atoms.count() > ATOMS_MAX {
        return None;
    }
    let mut filled = Vec::new();
    along(&parts, wanted, &mut filled).then_some(filled)
}

/// What has to stand where so that one of the templates gives `wanted`. Of several the one that fits best:
/// a constant, which is what a source falls back to, comes last, and more fixed text before less
/// (`slack.command.{form:command}` before `slack.{json:/type}`), else the earlier.
pub(super) fn best<'t>(templates: impl IntoIterator<Item = &'t String>, wanted: &str) -> Option<Vec<Filled>> {
    let all = templates
        .into_iter()
        .filter_map(|template| turned(template, wanted));
    all.min_by_key(|filled| {
        let values: usize = filled.iter().map(|(_, value)| value.len()).sum();
        (filled.is_empty(), values)
    })
}

/// The places that a template reads.
pub(super) fn places(template: &str) -> Option<Vec<Place>> {
    let places = parts(template)?.into_iter().filter_map(|part| match part {
        Part::Place(place) => Some(place),
        Part::Text(_) | Part::Derived => None,
    });
    Some(places.collect())
}

fn along(parts: &[Part], text: &str, filled: &mut Vec<Filled>) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return text.is_empty();
    };
    match part {
        Part::Text(fixed) => text
            .strip_prefix(fixed.as_str())
            .is_some_and(|text| along(rest, text, filled)),
        Part::Derived => false,
        Part::Place(place) => {
            let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
            for end in ends.collect::<Vec<_>>() {
                let (value, after) = text.split_at(end);
                let known = filled.iter().find(|(known, _)| known == place);
                if known.is_some_and(|(_, other)| other != value) {
                    continue;
                }
                filled.push((place.clone(), value.to_owned()));
                if along(rest, after, filled) {
                    return true;
                }
                filled.pop();
            }
            false
        }
    }
}

/// A template taken apart. The router has checked it; what cannot be read is none.
fn parts(template: &str) -> Option<Vec<Part>> {
    let (mut parts, mut fixed, mut left) = (Vec::new(), String::new(), template);
    while let Some(at) = left.find(['{', '}']) {
        fixed.push_str(&left[..at]);
        left = &left[at..];
        if left.starts_with("{{") || left.starts_with("}}") {
            fixed.push_str(&left[..1]);
            left = &left[2..];
            continue;
        }
        let (atom, rest) = left.strip_prefix('{')?.split_once('}')?;
        left = rest;
        if atom == "method" {
            // Webhooks come by POST.
            fixed.push_str("POST");
            continue;
        }
        if !fixed.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut fixed)));
        }
        parts.push(match atom.split_once(':') {
            Some(("header", name)) => Part::Place(Place::Header(name.to_ascii_lowercase())),
            Some(("query", name)) => Part::Place(Place::Query(name.to_owned())),
            Some(("form", name)) => Part::Place(Place::Form(name.to_owned())),
            Some(("json", pointer)) => Part::Place(Place::Json(pointer.to_owned())),
            _ => Part::Derived,
        });
    }
    fixed.push_str(left);
    if !fixed.is_empty() {
        parts.push(Part::Text(fixed));
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(name: &str, value: &str) -> Filled {
        (Place::Header(name.into()), value.into())
    }

    fn json(pointer: &str, value: &str) -> Filled {
        (Place::Json(pointer.into()), value.into())
    }

    #[test]
    fn a_type_says_what_has_to_stand_where() {
        let github = "github.{header:X-GitHub-Event}.{json:/action}";
        let cases = [
            (
                github,
                "github.issues.opened",
                Some(vec![
                    header("x-github-event", "issues"),
                    json("/action", "opened"),
                ]),
            ),
            (
                github,
                "github.a.b.c",
                Some(vec![header("x-github-event", "a"), json("/action", "b.c")]),
            ),
            (github, "github.push", None),
            (github, "gitlab.issues.opened", None),
            (github, "github..opened", None),
            (
                "stripe.{json:/type}",
                "stripe.invoice.paid",
                Some(vec![json("/type", "invoice.paid")]),
            ),
            (
                "{header:a}{header:b}",
                "xyz",
                Some(vec![header("a", "x"), header("b", "yz")]),
            ),
            (
                "{header:a}-{header:a}",
                "x-y-x-y",
                Some(vec![header("a", "x-y"), header("a", "x-y")]),
            ),
            ("{header:a}-{header:a}", "x-y", None),
            ("twilio.event", "twilio.event", Some(vec![])),
            ("twilio.event", "twilio.call", None),
            (
                "{{{header:a}}}.{method}",
                "{é}.POST",
                Some(vec![header("a", "é")]),
            ),
            ("t.{sha256}", "t.00", None),
            ("{header:a", "x", None),
        ];
        for (template, wanted, expected) in cases {
            assert_eq!(turned(template, wanted), expected, "{template} {wanted}");
        }
        let many = "{header:a}".repeat(ATOMS_MAX + 1);
        assert_eq!(turned(&many, &"x".repeat(200)), None);
        let form = places("{form:a}:{sha256}:{query:b}");
        assert_eq!(
            form,
            Some(vec![Place::Form("a".into()), Place::Query("b".into())])
        );
    }

    #[test]
    fn every_preset_can_be_asked_for_a_type() {
        for preset in crate::source::preset::all() {
            for template in preset.events.event_type.iter().flatten() {
                assert!(places(template).is_some(), "{}: {template}", preset.name);
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_turned_gives_the_text_again(
            texts in prop::collection::vec("[a-z.]{0,3}", 3),
            values in prop::collection::vec("[a-zé.]{1,5}", 2),
        ) {
            let template = format!("{}{{header:a}}{}{{json:/b}}{}", texts[0], texts[1], texts[2]);
            let wanted = format!("{}{}{}{}{}", texts[0], values[0], texts[1], values[1], texts[2]);
            let filled = turned(&template, &wanted).unwrap();
            let again = format!("{}{}{}{}{}", texts[0], filled[0].1, texts[1], filled[1].1, texts[2]);
            prop_assert_eq!(again, wanted);
        }

        #[test]
        fn any_template_is_answered(template in ".{0,40}", wanted in ".{0,40}") {
            let _either = turned(&template, &wanted);
        }
    }
}
