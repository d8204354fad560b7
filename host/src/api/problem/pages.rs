//! `/problems`: the pages that the `type` of every problem leads to, from the router itself, so that they
//! are there wherever it runs. No key is needed: they say nothing about this installation.
//!
//! Programs and `curl` get the page as it is written, Markdown; who asks for HTML by name (a browser) gets
//! it rendered (`html`), under a policy that allows no script and nothing from elsewhere.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

use super::{INDEX, Kind, Problem, html};

const MARKDOWN: &str = "text/markdown";
const HTML: &str = "text/html";

/// Lists the kinds of problems.
#[utoipa::path(
    get, path = "/problems", tag = "problems", operation_id = "list_problems", security(()),
    responses((status = 200, description = "The list", content(
        (String = "text/markdown"), (String = "text/html")
    )))
)]
pub async fn index(headers: HeaderMap) -> Response {
    answer("Problems", INDEX, &headers)
}

/// Says what a kind of problem means and what to do about it.
#[utoipa::path(
    get, path = "/problems/{slug}", tag = "problems", operation_id = "explain_problem", security(()),
    params(("slug" = String, Path, description = "The last part of a problem's `type`")),
    responses((status = 200, description = "The page", content(
        (String = "text/markdown"), (String = "text/html")
    )))
)]
pub async fn show(Path(slug): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let kind = Kind::of_slug(&slug);
    let kind = kind.ok_or_else(|| Problem::not_found("kind of problem; /problems lists them"))?;
    Ok(answer(kind.title(), kind.page(), &headers))
}

fn answer(title: &str, page: &'static str, headers: &HeaderMap) -> Response {
    let rendered = wants_html(headers);
    let mut answer = match rendered {
        true => html::document(title, page).into_response(),
        false => page.into_response(),
    };
    let fixed = HeaderValue::from_static;
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        fixed(match rendered {
            true => "text/html; charset=utf-8",
            false => "text/markdown; charset=utf-8",
        }),
    );
    headers.insert(VARY, fixed("accept"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(REFERRER_POLICY, fixed("no-referrer"));
    if let Ok(policy) = HeaderValue::from_str(&html::POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

/// Whether `Accept` names HTML, and does not like Markdown as much (RFC 9110, 12.5.1). A browser names it;
/// what takes anything gets the page as it is written.
fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(ACCEPT).into_iter();
    let ranges = accept.filter_map(|value| value.to_str().ok());
    let ranges: Vec<&str> = ranges.flat_map(|value| value.split(',')).collect();
    let weight = |wanted: &str| {
        let of = |range: &&str| {
            let mut parts = range.split(';').map(str::trim);
            parts.next()?.eq_ignore_ascii_case(wanted).then_some(())?;
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            Some(weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0)))
        };
        ranges.iter().find_map(of).unwrap_or(0.0)
    };
    weight(HTML) > weight(MARKDOWN)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn html_is_for_who_asks_for_it() {
        let table = [
            ("", false),
            ("*/*", false),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("TEXT/HTML ; level=1", true),
            ("text/html;q=0", false),
            ("text/markdown, text/html;q=0.9", false),
            ("text/markdown;q=0.1, text/html; q=0.9", true),
            ("text/html;q=much", false),
            ("text/htmlx", false),
        ];
        for (accept, expected) in table {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(wants_html(&headers), expected, "{accept}");
        }
        assert!(!wants_html(&HeaderMap::new()));
    }

    /// The pages and the kinds are one catalogue: no page without a kind (a kind without a page does not
    /// compile), and each page says of its kind what the code says.
    #[test]
    fn the_pages_and_the_kinds_are_in_step() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/problems");
        let files = std::fs::read_dir(folder).unwrap();
        let files: BTreeSet<String> = files
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut expected: BTreeSet<String> = Kind::ALL
            .iter()
            .map(|kind| format!("{}.md", kind.slug()))
            .collect();
        expected.insert("README.md".to_owned());
        assert_eq!(files, expected);

        for kind in Kind::ALL {
            let (slug, title, page) = (kind.slug(), kind.title(), kind.page());
            let status = kind.status().as_u16();
            let head = format!("# {title}\n\nStatus {status}, `type` is `/problems/{slug}`.\n");
            assert!(page.starts_with(&head), "{slug}: must begin with\n{head}");
            let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
            let wanted = [
                "What it means",
                "An example",
                "Common causes",
                "What to do",
                "Does retrying help?",
            ];
            assert_eq!(headings, wanted, "{slug}");
            let example = page
                .split("```json\n")
                .nth(1)
                .unwrap()
                .split("```")
                .next()
                .unwrap();
            let example: serde_json::Value = serde_json::from_str(example).unwrap();
            assert_eq!(example["type"], kind.reference(), "{slug}");
            assert_eq!(example["title"], title, "{slug}");
            assert_eq!(example["status"], status, "{slug}");
            for field in ["detail", "request_id"] {
                assert!(example[field].is_string(), "{slug}: no {field}");
            }
            let entry = format!("- [{slug}]({slug}.md): {status}, {title}\n");
            assert_eq!(INDEX.matches(&entry).count(), 1, "the index needs {entry}");
        }
        assert_eq!(INDEX.matches("\n- [").count(), Kind::ALL.len());
    }

    #[test]
    fn every_page_keeps_to_what_can_be_rendered() {
        let pages = Kind::ALL.iter().map(|kind| kind.page()).chain([INDEX]);
        for page in pages {
            let html = html::document("t", page);
            // Code is shown as it is; what is left of the text must have no mark of Markdown in it.
            let mut text = String::new();
            for (n, part) in html.split("<code>").enumerate() {
                text.push_str(if n == 0 {
                    part
                } else {
                    part.split_once("</code>").unwrap().1
                });
            }
            for mark in ["`", "**", "](", "\n#", "\n|", "&lt;", "![", "\n1. "] {
                assert!(!text.contains(mark), "{mark:?} in\n{text}");
            }
            assert!(
                page.lines()
                    .all(|line| !line.starts_with("  - ") && !line.starts_with("###"))
            );
        }
    }
}
