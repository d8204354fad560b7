//! Sums: by them a row tells that its values are not those that were written.
//!
//! SQLite has no checksums of its pages. What is delivered has a hash of its own ([`super::fingerprint`]);
//! every other row that is shown or acted on has a sum of its other values in its last column, four bytes
//! long. It is there against disks and memory that change bytes, not against people: whoever can write the
//! file can write sums too.
//!
//! A row that is written once, or rarely, has the sum of its values in their order ([`of`]). Rows of the
//! ledger change often, and what changes them does not read them. Their sum is therefore linear in what
//! changes: each of these values is multiplied by a number of its own, modulo a prime, and the statement that
//! changes a value moves the sum by the difference ([`moved`]). Nothing has to be read for that, and the
//! difference that damage made stays in the sum: no later change makes a damaged row look whole, and neither
//! does the row of the delivery that a row of the ledger becomes.
//!
//! One number that changed of those that are multiplied is always noticed; anything else is missed once in
//! two thousand million times.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Params, Row, Statement, ToSql, params_from_iter};

use crate::delivery::Pending;
use crate::store::{Error, Result};

/// Sums are below this: the greatest prime whose numbers take four bytes.
const MODULUS: i64 = 0x7fff_ffff;

/// Of values in their order.
struct Hasher(u64);

impl Hasher {
    const fn new() -> Self {
        Self(0x243f_6a88_85a3_08d3)
    }

    /// Each step can be undone, so two words that differ never give the same.
    const fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    const fn integer(&mut self, number: i64) {
        self.word(1);
        self.word(number.cast_unsigned());
    }

    fn bytes(&mut self, kind: u64, bytes: &[u8]) {
        self.word(kind);
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    fn value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.word(0),
            ValueRef::Integer(number) => self.integer(number),
            ValueRef::Real(number) => {
                self.word(2);
                self.word(number.to_bits());
            }
            ValueRef::Text(text) => self.bytes(3, text),
            ValueRef::Blob(blob) => self.bytes(4, blob),
        }
    }

    const fn finish(self) -> i64 {
        let mut state = self.0 ^ (self.0 >> 32);
        state = state.wrapping_mul(0xd6e8_feb8_6659_fd93);
        state ^= state >> 32;
        (state >> 1).cast_signed() % MODULUS
    }
}

/// The sum of a row with these values.
pub(super) fn of(values: &[&dyn ToSql]) -> rusqlite::Result<i64> {
    let mut hasher = Hasher::new();
    for value in values {
        match value.to_sql()? {
            ToSqlOutput::Borrowed(value) => hasher.value(value),
            ToSqlOutput::Owned(value) => hasher.value(ValueRef::from(&value)),
            _ => {
                return Err(rusqlite::Error::ToSqlConversionFailure(
                    "a value of a kind that has no sum".into(),
                ));
            }
        }
    }
    Ok(hasher.finish())
}

/// Runs a statement that inserts a row of these values and their sum.
pub(super) fn insert(statement: &mut Statement<'_>, values: &[&dyn ToSql]) -> rusqlite::Result<usize> {
    let sum: &dyn ToSql = &of(values)?;
    statement.execute(params_from_iter(values.iter().copied().chain([sum])))
}

/// How a row and its sum are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Its values are those that were written.
    Whole,
    /// They are not.
    Damaged,
    /// It has no sum: it was written before rows of its kind had one.
    Unknown,
}

/// Whether a row fits its sum, which is the column with this number and behind all others.
pub(super) fn fit(row: &Row<'_>, sum: usize) -> rusqlite::Result<Fit> {
    let mut hasher = Hasher::new();
    for column in 0..sum {
        hasher.value(row.get_ref(column)?);
    }
    Ok(match row.get_ref(sum)? {
        ValueRef::Null => Fit::Unknown,
        ValueRef::Integer(found) if found == hasher.finish() => Fit::Whole,
        _ => Fit::Damaged,
    })
}

/// An error that names the row, where it is damaged. Rows from before there were sums pass.
pub(super) fn check(row: &Row<'_>, sum: usize, name: impl FnOnce() -> String) -> Result<()> {
    match fit(row, sum)? {
        Fit::Whole | Fit::Unknown => Ok(()),
        Fit::Damaged => Err(Error::Damaged { what: name() }),
    }
}

/// A value of the ledger that changes, or by which rows differ that come from one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moving {
    Stage,
    Attempts,
    Tries,
    Throttles,
    Runs,
    DueAt,
    Profile,
}

impl Moving {
    /// What a row of the ledger has, and that of the delivery that it becomes has not.
    const IN_LEDGER_ONLY: [Self; 3] = [Self::Tries, Self::Throttles, Self::DueAt];

    /// SQL for its value, small enough that no sum of products leaves 63 bits.
    const fn column(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Attempts => "attempts",
            Self::Tries => "tries",
            Self::Throttles => "throttles",
            Self::Runs => "runs",
            Self::DueAt => "(due_at % 2147483647)",
            Self::Profile => "coalesce(profile, 0)",
        }
    }

    /// Any numbers below the modulus that have nothing to do with each other.
    pub(super) const fn weight(self) -> i64 {
        match self {
            Self::Stage => 1_540_483_477,
            Self::Attempts => 1_867_108_261,
            Self::Tries => 1_263_724_853,
            Self::Throttles => 2_038_074_743,
            Self::Runs => 1_181_783_497,
            Self::DueAt => 1_935_289_751,
            Self::Profile => 1_759_714_729,
        }
    }

    const fn of(self, value: i64) -> i64 {
        product(self.weight(), value)
    }
}

/// The weight of a request's number.
const REQUEST: i64 = 1_442_695_041;

/// Below the modulus, as both are when they are multiplied.
const fn product(weight: i64, value: i64) -> i64 {
    weight * (value % MODULUS) % MODULUS
}

/// What these values come to.
pub(super) fn moving(values: &[(Moving, i64)]) -> i64 {
    let products = values.iter().map(|(moving, value)| moving.of(*value));
    products.sum::<i64>() % MODULUS
}

/// SQL for the sum of a row after these of its columns got other values, which come to `by`, an expression.
pub(super) fn moved(columns: &[Moving], by: &str) -> String {
    format!("(sum + {by} - ({})) % {MODULUS}", sql_of(columns))
}

fn sql_of(columns: &[Moving]) -> String {
    let products: Vec<String> = columns
        .iter()
        .map(|moving| format!("{} * {}", moving.column(), moving.weight()))
        .collect();
    products.join(" + ")
}

/// What a delivery's first row says of its other requests.
pub(super) fn siblings(siblings: Option<&[u8]>) -> i64 {
    bytes_or_none(siblings)
}

/// What the row of an ended delivery says of the attempt that ended it.
pub(super) fn last_attempt(packed: Option<&[u8]>) -> i64 {
    bytes_or_none(packed)
}

/// Nothing adds nothing, so that rows from before the column was there have their sum.
fn bytes_or_none(bytes: Option<&[u8]>) -> i64 {
    let Some(bytes) = bytes else { return 0 };
    let mut hasher = Hasher::new();
    hasher.bytes(4, bytes);
    hasher.finish()
}

/// What the sum of a sibling has more than that of its delivery's first row, whose siblings these are, as
/// long as all else is the same.
pub(super) fn sibling(first: i64, request: i64, siblings_of_first: Option<&[u8]>) -> i64 {
    (product(REQUEST, request) - product(REQUEST, first) - siblings(siblings_of_first)) % MODULUS
}

/// What never changes in a row of the ledger, nor in the row of the delivery that it becomes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed<'a> {
    pub(super) request: i64,
    pub(super) delivery: i64,
    pub(super) event: i64,
    pub(super) subscription: i64,
    pub(super) tenant: i64,
    pub(super) event_type: &'a [u8],
    pub(super) profile: Option<i64>,
}

impl<'a> Fixed<'a> {
    pub(super) fn of(pending: &Pending, tenant: i64, event_type: &'a [u8]) -> Self {
        Self {
            request: pending.request.number(),
            delivery: pending.delivery.number(),
            event: pending.event.number(),
            subscription: pending.subscription.number(),
            tenant,
            event_type,
            profile: pending.profile.map(crate::profile::Number::get),
        }
    }

    /// Less than three times the modulus.
    fn sum(&self) -> i64 {
        let mut hasher = Hasher::new();
        for number in [self.delivery, self.event, self.subscription, self.tenant] {
            hasher.word(number.cast_unsigned());
        }
        hasher.bytes(3, self.event_type);
        hasher.finish() + product(REQUEST, self.request) + Moving::Profile.of(self.profile.unwrap_or(0))
    }

    /// The sum of a row of the ledger.
    pub(super) fn in_ledger(&self, stage: i64, pending: &Pending, siblings_of: Option<&[u8]>) -> i64 {
        let moving = moving(&[
            (Moving::Stage, stage),
            (Moving::Attempts, pending.attempts.into()),
            (Moving::Tries, pending.tries.into()),
            (Moving::Throttles, pending.throttles.into()),
            (Moving::Runs, pending.runs.into()),
            (Moving::DueAt, pending.due_at.as_millis()),
        ]);
        (self.sum() + moving + siblings(siblings_of)) % MODULUS
    }

    /// The sum of a row of the ledger that is new: accepted, due, and nothing has happened.
    pub(super) fn accepted(&self, due_at: i64) -> i64 {
        (self.sum() + Moving::DueAt.of(due_at)) % MODULUS
    }

    /// The sum of the row of an ended delivery. `end` is that of what it says of its end: state, time,
    /// reason, parts, cause and code, and the last attempt beside them.
    pub(super) fn in_history(&self, attempts: i64, runs: i64, rendered: bool, end: i64) -> i64 {
        let moving = moving(&[
            (Moving::Attempts, attempts),
            (Moving::Runs, runs),
            // The stage of a row that plugins have made requests of, and that of any other.
            (Moving::Stage, rendered.into()),
        ]);
        (self.sum() + moving + end) % MODULUS
    }
}

/// The sum of some values of a row.
pub(super) fn of_columns(row: &Row<'_>, columns: &[usize]) -> rusqlite::Result<i64> {
    let mut hasher = Hasher::new();
    for column in columns {
        hasher.value(row.get_ref(*column)?);
    }
    Ok(hasher.finish())
}

/// SQL for the sum of the row of a delivery that ends, of its one row in the ledger. The expressions are
/// `end` of [`ending`], and how many runs it had. A stage that is another than accepted and rendered ends no
/// such delivery.
pub(super) fn from_ledger(end: &str, runs: &str) -> String {
    let left = sql_of(&Moving::IN_LEDGER_ONLY);
    format!(
        "(sum - ({left}) + {end} + ({runs} - runs) * {}) % {MODULUS}",
        Moving::Runs.weight()
    )
}

/// What the end of a delivery adds to its sum: what it says (state, time, reason, parts, cause and code, and of
/// its last attempt), and one more attempt, if that ended it.
pub(super) const fn ending(said: i64, by_an_attempt: bool) -> i64 {
    said + if by_an_attempt {
        Moving::Attempts.weight()
    } else {
        0
    }
}

/// Whether two sums are the same: SQL's remainder has the sign of what was divided.
pub(super) const fn agree(stored: i64, expected: i64) -> bool {
    stored.rem_euclid(MODULUS) == expected.rem_euclid(MODULUS)
}

/// Gives the rows of a table that fit a condition their sum, whatever they had. For tables whose last column
/// is the sum, and that are written rarely.
pub(super) fn give(
    conn: &Connection,
    table: &str,
    condition: &str,
    values: impl Params,
) -> rusqlite::Result<()> {
    let keys = key_of(conn, table)?;
    let mut query = conn.prepare(&format!("SELECT * FROM {table} WHERE {condition}"))?;
    let sum = query.column_count().saturating_sub(1);
    let places = keys
        .iter()
        .map(|place| query.column_name(*place).map(|name| format!("{name} = ?")))
        .collect::<rusqlite::Result<Vec<_>>>()?
        .join(" AND ");
    let mut given: Vec<Vec<Value>> = Vec::new();
    let mut rows = query.query(values)?;
    while let Some(row) = rows.next()? {
        let mut hasher = Hasher::new();
        for column in 0..sum {
            hasher.value(row.get_ref(column)?);
        }
        let mut with_key = vec![Value::Integer(hasher.finish())];
        for place in &keys {
            with_key.push(row.get(*place)?);
        }
        given.push(with_key);
    }
    drop(rows);
    let mut update = conn.prepare(&format!("UPDATE {table} SET sum = ? WHERE {places}"))?;
    for values in given {
        update.execute(params_from_iter(values))?;
    }
    Ok(())
}

/// Refuses a change of rows that are damaged: their sum would come out right behind it.
pub(super) fn refuse_damaged(
    conn: &Connection,
    table: &str,
    condition: &str,
    values: impl Params,
) -> Result<()> {
    match damaged(conn, table, condition, values)?.pop() {
        None => Ok(()),
        Some(what) => Err(Error::Damaged { what }),
    }
}

/// Names of the rows of a table that fit a condition and not their sum.
pub(super) fn damaged(
    conn: &Connection,
    table: &str,
    condition: &str,
    values: impl Params,
) -> Result<Vec<String>> {
    let keys = key_of(conn, table)?;
    let mut query = conn.prepare(&format!("SELECT * FROM {table} WHERE {condition}"))?;
    let sum = query.column_count().saturating_sub(1);
    let mut rows = query.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if fit(row, sum)? == Fit::Damaged {
            found.push(format!("a row of the table {table} ({})", key_text(row, &keys)?));
        }
    }
    Ok(found)
}

/// What a row is found by, for people.
fn key_text(row: &Row<'_>, keys: &[usize]) -> rusqlite::Result<String> {
    let mut texts = Vec::new();
    for place in keys {
        match row.get_ref(*place)? {
            ValueRef::Integer(number) => texts.push(number.to_string()),
            ValueRef::Text(text) => texts.push(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => {}
        }
    }
    Ok(texts.join(", "))
}

/// The places of the columns by which a table's rows are told apart.
fn key_of(conn: &Connection, table: &str) -> rusqlite::Result<Vec<usize>> {
    let mut query = conn.prepare("SELECT cid FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk")?;
    let places = query.query_map([table], |row| Ok(row.get::<_, u32>(0)? as usize))?;
    places.collect()
}
