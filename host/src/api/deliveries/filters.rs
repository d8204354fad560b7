//! What a list of deliveries can be narrowed to, by the words of the API: type, cause, code, time.
//!
//! Each is checked when it is read, and a value that cannot mean anything is refused with what would.

use crate::api::extract::Query;
use crate::api::problem::Problem;
use crate::delivery::Cause;
use crate::routing::Pattern;
use crate::store::DeliveryQuery;
use crate::time::Timestamp;
use crate::verdict::Statuses;

/// The filters of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    event_type: Option<Pattern>,
    cause: Option<Cause>,
    code: Option<Statuses>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Filters {
    /// Takes `type`, `cause`, `code`, `since` and `until`.
    pub(super) fn of(query: &mut Query) -> Result<Self, Problem> {
        let event_type = read_types(query)?;
        let cause = match query.text("cause") {
            None => None,
            Some(word) => Some(Cause::parse(&word).ok_or_else(|| no_cause(&word))?),
        };
        let code = query.text("code").map(|text| text.parse()).transpose();
        let code = code
            .map_err(|fault: crate::verdict::StatusesFault| Problem::parameter("code", &fault.to_string()))?;
        let (since, until) = (read_time(query, "since")?, read_time(query, "until")?);
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(Problem::parameter("until", "must be later than `since`"));
        }
        Ok(Self {
            event_type,
            cause,
            code,
            since,
            until,
        })
    }

    /// The same, as the store understands it.
    pub(super) fn onto(self, query: DeliveryQuery) -> DeliveryQuery {
        let Self {
            event_type,
            cause,
            code,
            since,
            until,
        } = self;
        DeliveryQuery {
            event_type,
            cause,
            code,
            since,
            until,
            ..query
        }
    }
}

fn no_cause(word: &str) -> Problem {
    let known: Vec<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
    let hint = match crate::json::nearest(word, &known) {
        Some(near) => format!("is not a cause; did you mean `{near}`?"),
        None => format!("is not a cause; known are {}", known.join(", ")),
    };
    Problem::parameter("cause", &hint)
}

/// Takes `type`: a type, or a pattern of types.
pub(super) fn read_types(query: &mut Query) -> Result<Option<Pattern>, Problem> {
    let pattern = query.text("type").map(|text| Pattern::parse(&text)).transpose();
    pattern.map_err(|fault| Problem::parameter("type", &fault.to_string()))
}

/// Takes a point in time.
pub(in crate::api) fn read_time(query: &mut Query, name: &'static str) -> Result<Option<Timestamp>, Problem> {
    let time = query.text(name).map(|text| Timestamp::parse(&text)).transpose();
    time.map_err(|_| {
        // A `+` that was not encoded is a space by now, which is the usual slip.
        let detail = "must be a time of RFC 3339, such as 2026-05-19T16:30:00Z (in a URL, `+` is %2B)";
        Problem::parameter(name, detail)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever stands in a list's query is read or refused, and times that are read are in their order.
        #[test]
        fn whatever_is_asked_for_is_read_or_refused(
            values in prop::collection::vec(
                prop_oneof![
                    "[ -~]{0,12}",
                    any::<String>(),
                    "[0-9]{1,4}(xx|-|,)[0-9x,-]{0,8}",
                    "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](Z|[+-][0-9]{2}:[0-9]{2})",
                    "[a-z]{1,5}(\\.[a-z]{1,5}){0,3}(\\.\\*)?",
                ],
                5,
            ),
        ) {
            let mut written = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in ["type", "cause", "code", "since", "until"].iter().zip(&values) {
                // Empty ones are left out now and then, so that the others are come to.
                if !value.is_empty() {
                    written.append_pair(name, value);
                }
            }
            let mut query = Query::of(&written.finish()).unwrap();
            if let Ok(filters) = Filters::of(&mut query) {
                prop_assert!(query.finish().is_ok(), "all of it was taken");
                if let Some((since, until)) = filters.since.zip(filters.until) {
                    prop_assert!(since < until);
                }
            }
        }
    }

    fn fault(query: &str) -> String {
        let mut query = Query::of(query).unwrap();
        format!("{:?}", Filters::of(&mut query).unwrap_err())
    }

    /// WF-20.
    #[test]
    fn what_cannot_mean_anything_is_refused_with_what_would() {
        let table = [
            ("type=al*", "as in `alert.*`"),
            ("cause=time_out", "did you mean `timeout`?"),
            ("cause=x", "known are auth, redirect"),
            ("code=4x", "such as 404, 5xx or 520-530"),
            ("since=yesterday", "2026-05-19T16:30:00Z"),
            ("until=2026-05-19T16:30:00+02:00", "%2B"),
            (
                "since=2026-05-19T16:30:00Z&until=2026-05-19T16:30:00Z",
                "later than `since`",
            ),
        ];
        for (query, expected) in table {
            let fault = fault(query);
            assert!(fault.contains(expected), "{query}: {fault}");
        }
    }

    #[test]
    fn filters_are_read() {
        let text = "type=alert.*&cause=auth&code=401,5xx&since=2026-05-19T16:30:00Z&until=2026-05-20T00:00:00%2B02:00";
        let mut query = Query::of(text).unwrap();
        let filters = Filters::of(&mut query).unwrap();
        query.finish().unwrap();
        let query = filters.onto(DeliveryQuery::default());
        assert_eq!(query.event_type, Some(Pattern::Below("alert".to_owned())));
        assert_eq!(query.cause, Some(Cause::Auth));
        assert!(
            query
                .code
                .is_some_and(|codes| codes.contains(503) && !codes.contains(404))
        );
        assert_eq!(query.since, Timestamp::parse("2026-05-19T16:30:00Z").ok());
        assert_eq!(query.until, Timestamp::parse("2026-05-19T22:00:00Z").ok());
    }
}
