//! Languages: tags (BCP 47) and which of several a reader likes best (RFC 9110, 12.5.4; RFC 4647).

/// Longest tag, in characters: what RFC 5646, 4.4.1 says buffers should hold at the least.
pub const TAG_CHARACTERS_MAX: usize = 35;
/// Most entries of an `Accept-Language` that are looked at. Browsers send up to ten.
const RANGES_MAX: usize = 32;
/// The language that is shown where the reader likes none of those that there are.
const FALLBACK: &str = "en";

/// Whether a text has the form of a language tag: a language of two to eight letters, and parts of up to
/// eight letters and digits behind hyphens.
pub fn is_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    text.len() <= TAG_CHARACTERS_MAX
        && (2..=8).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// The one of `tags` that an `Accept-Language` likes best; English or else the first where it likes none;
/// none where there are none. A range may be more exact than a tag, or less: who asks for `es-MX` is given
/// `es`, and who asks for `es` is given `es-MX`.
pub fn choose<'t>(accept_language: &str, tags: &[&'t str]) -> Option<&'t str> {
    let mut ranges: Vec<(u16, &str)> = accept_language
        .split(',')
        .take(RANGES_MAX)
        .filter_map(range)
        .collect();
    // Stable: of two with one weight, the first.
    ranges.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let liked = ranges.iter().find_map(|(_, range)| matching(range, tags));
    liked
        .or_else(|| matching(FALLBACK, tags))
        .or_else(|| tags.first().copied())
}

/// A range and its weight in thousandths; none where it is not wanted at all.
fn range(text: &str) -> Option<(u16, &str)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| is_tag(range))?;
    let weight = match parts.next().and_then(|part| part.strip_prefix("q=")) {
        None => 1_000,
        Some(quality) => thousandths(quality)?,
    };
    (weight > 0).then_some((weight, range))
}

/// `0.8` as 800; none where it is no weight.
fn thousandths(text: &str) -> Option<u16> {
    let weight: f32 = text.parse().ok()?;
    // Within 0 and 1000, so it fits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "just checked"
    )]
    (0.0..=1.0).contains(&weight).then_some((weight * 1_000.0) as u16)
}

fn matching<'t>(range: &str, tags: &[&'t str]) -> Option<&'t str> {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let mut shorter = range;
    loop {
        if let Some(tag) = tags.iter().find(|tag| same(tag, shorter)) {
            return Some(tag);
        }
        match shorter.rfind('-') {
            Some(end) => shorter = &shorter[..end],
            None => break,
        }
    }
    let begins = |tag: &&&str| {
        tag.split('-')
            .next()
            .is_some_and(|language| same(language, shorter))
    };
    tags.iter().find(begins).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_have_a_form() {
        for good in [
            "en",
            "es",
            "es-MX",
            "zh-Hant-TW",
            "sl-rozaj-biske-1994",
            "de-CH-1901",
        ] {
            assert!(is_tag(good), "{good}");
        }
        for bad in [
            "",
            "e",
            "en_GB",
            "es-",
            "-es",
            "englishlanguage",
            "*",
            "é",
            "en-abcdefghi",
        ] {
            assert!(!is_tag(bad), "{bad}");
        }
    }

    #[test]
    fn the_reader_gets_what_it_likes_best() {
        for (accept, tags, chosen) in [
            ("es", &["en", "es"][..], Some("es")),
            ("es-MX, en;q=0.8", &["en", "es"], Some("es")),
            ("en;q=0.5, es;q=0.9", &["en", "es"], Some("es")),
            ("ES", &["en", "es"], Some("es")),
            ("es", &["en", "es-ES"], Some("es-ES")),
            ("fr, de;q=0.7", &["es", "en"], Some("en")),
            ("fr", &["es"], Some("es")),
            ("es;q=0, en", &["es", "en"], Some("en")),
            ("es;q=zwei", &["es", "en"], Some("en")),
            ("*", &["es", "en"], Some("en")),
            ("", &["es", "en"], Some("en")),
            ("es", &[], None),
        ] {
            assert_eq!(choose(accept, tags), chosen, "{accept:?} of {tags:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_answered(header in ".{0,120}") {
            prop_assert!(choose(&header, &["es", "en"]).is_some());
        }
    }
}
