//! Sequences of a few bytes per value: the difference to the previous value, in a variable-length encoding.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::varint;

/// Integers that are mostly close to the previous one.
#[derive(Clone, Debug, Default)]
pub(super) struct Integers {
    bytes: Vec<u8>,
    len: usize,
    last: u64,
}

/// A position in [`Integers`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IntegerAt {
    byte: usize,
    last: u64,
}

impl Integers {
    pub fn push(&mut self, value: u64) {
        put_after(&mut self.bytes, &mut self.last, value);
        self.len += 1;
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The value at `at`, which advances.
    pub fn next(&self, at: &mut IntegerAt) -> u64 {
        let mut rest = self.bytes.get(at.byte..).unwrap_or_default();
        let value = take_after(&mut rest, &mut at.last);
        at.byte = self.bytes.len() - rest.len();
        value.unwrap_or(at.last)
    }
}

/// Appends the difference between `value` and the previous one.
fn put_after(bytes: &mut Vec<u8>, last: &mut u64, value: u64) {
    let difference = value.wrapping_sub(*last) as i64;
    // Small differences of either sign are small numbers (zigzag).
    varint::put(bytes, ((difference << 1) ^ (difference >> 63)) as u64);
    *last = value;
}

/// Removes the value after `last` from `bytes` and returns it; `None` at the end.
fn take_after(bytes: &mut &[u8], last: &mut u64) -> Option<u64> {
    let zigzag = varint::take(bytes)?;
    let difference = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
    *last = last.wrapping_add(difference as u64);
    Some(*last)
}

/// Integers below `u64::MAX`, some of which are missing.
#[derive(Clone, Debug, Default)]
pub(super) struct OptionalIntegers(Integers);

impl OptionalIntegers {
    pub fn push(&mut self, value: Option<u64>) {
        self.0.push(value.unwrap_or(u64::MAX));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub fn next(&self, at: &mut IntegerAt) -> Option<u64> {
        Some(self.0.next(at)).filter(|value| *value != u64::MAX)
    }
}

/// Rows of integers that are mostly close to the previous one in their row.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// For each row its length in bytes, then its numbers.
    bytes: Vec<u8>,
    len: usize,
    /// The unfinished row.
    row: Integers,
}

impl Rows {
    pub fn push(&mut self, numbers: impl Iterator<Item = u64>) {
        numbers.for_each(|number| self.row.push(number));
        self.end_row();
    }

    fn end_row(&mut self) {
        varint::put(&mut self.bytes, self.row.bytes.len() as u64);
        self.bytes.append(&mut self.row.bytes);
        self.row.last = 0;
        self.len += 1;
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The row at `at`, which advances.
    pub fn next(&self, at: &mut usize) -> PackedRow<'_> {
        let mut rest = self.bytes.get(*at..).unwrap_or_default();
        let length = varint::take(&mut rest).unwrap_or(0) as usize;
        let (row, rest) = rest.split_at(length.min(rest.len()));
        *at = self.bytes.len() - rest.len();
        PackedRow {
            bytes: row,
            last: 0,
        }
    }
}

/// The numbers of one row.
pub(super) struct PackedRow<'a> {
    bytes: &'a [u8],
    last: u64,
}

impl Iterator for PackedRow<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        take_after(&mut self.bytes, &mut self.last)
    }
}

/// Names with few different values.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    names: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
    which: Vec<u32>,
}

impl Names {
    pub fn push(&mut self, name: &str) {
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => {
                let number = self.names.len() as u32;
                self.names.push(name.into());
                self.numbers.insert(name.into(), number);
                number
            }
        };
        self.which.push(number);
    }

    pub fn len(&self) -> usize {
        self.which.len()
    }

    /// The name at `position`.
    pub fn get(&self, position: usize) -> &str {
        &self.names[self.which[position] as usize]
    }

    /// The number of these positions that have `name`.
    pub fn count(&self, name: &str, positions: std::ops::Range<usize>) -> usize {
        let Some(number) = self.numbers.get(name) else {
            return 0;
        };
        let which = self.which.get(positions).unwrap_or_default();
        which.iter().filter(|other| *other == number).count()
    }
}

/// Names, some of which are missing.
#[derive(Clone, Debug, Default)]
pub(super) struct OptionalNames(Names);

/// A missing name; no `finish_reason` has this character.
const MISSING: &str = "\0";

impl OptionalNames {
    pub fn push(&mut self, name: Option<&str>) {
        self.0.push(name.unwrap_or(MISSING));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get(&self, position: usize) -> Option<&str> {
        Some(self.0.get(position)).filter(|name| *name != MISSING)
    }
}

/// A sequence that is read from a JSON array element by element, so that the array is never whole in memory.
trait FromElements: Default {
    type Element: for<'de> Deserialize<'de>;

    fn push_element(&mut self, element: Self::Element);
}

struct Elements<T>(PhantomData<T>);

impl<'de, T: FromElements> Visitor<'de> for Elements<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<T, A::Error> {
        let mut sequence = T::default();
        while let Some(element) = elements.next_element()? {
            sequence.push_element(element);
        }
        Ok(sequence)
    }
}

/// Reads an inner array into the unfinished row.
struct RowOf<'r>(&'r mut Rows);

impl<'de> DeserializeSeed<'de> for RowOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RowOf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of integers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<(), A::Error> {
        while let Some(number) = numbers.next_element()? {
            self.0.row.push(number);
        }
        self.0.end_row();
        Ok(())
    }
}

struct AllRows;

impl<'de> Visitor<'de> for AllRows {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of arrays")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Rows, A::Error> {
        let mut rows = Rows::default();
        while elements.next_element_seed(RowOf(&mut rows))?.is_some() {}
        Ok(rows)
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rows, D::Error> {
        deserializer.deserialize_seq(AllRows)
    }
}

/// Reads a sequence with its `push`.
macro_rules! from_elements {
    ($($packed:ident($element:ident: $type:ty) => $argument:expr;)+) => {$(
        impl FromElements for $packed {
            type Element = $type;

            fn push_element(&mut self, $element: $type) {
                self.push($argument);
            }
        }

        impl<'de> Deserialize<'de> for $packed {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$packed, D::Error> {
                deserializer.deserialize_seq(Elements(PhantomData))
            }
        }
    )+};
}

from_elements!(
    Integers(value: u64) => value;
    OptionalIntegers(value: Option<u64>) => value;
    Names(name: String) => &name;
    OptionalNames(name: Option<String>) => name.as_deref();
);

/// Uses the schema of the plain array.
macro_rules! schema_of {
    ($($packed:ty => $plain:ty),+) => {$(
        impl JsonSchema for $packed {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                <$plain>::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <$plain>::json_schema(generator)
            }
        }
    )+};
}

schema_of!(
    Integers => Vec<u64>,
    OptionalIntegers => Vec<Option<u64>>,
    Rows => Vec<Vec<u64>>,
    Names => Vec<String>,
    OptionalNames => Vec<Option<String>>
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_distance_are_read_back() {
        let values = [0, 5, 3, u64::MAX - 1, 0, 1 << 63, (1 << 63) - 1, 7, 7];
        let mut packed = Integers::default();
        values.iter().for_each(|value| packed.push(*value));
        let mut at = IntegerAt::default();
        let read: Vec<u64> = (0..packed.len()).map(|_| packed.next(&mut at)).collect();
        assert_eq!(read, values);
        let evenly = (0..1_000).fold(Integers::default(), |mut packed, k| {
            packed.push(k * 10_000_000);
            packed
        });
        assert!(evenly.bytes.len() <= 4 * 1_000, "{}", evenly.bytes.len());
    }

    #[test]
    fn missing_values_and_names_stay_missing() {
        let values = [Some(3), None, Some(4)];
        let mut packed = OptionalIntegers::default();
        values.iter().for_each(|value| packed.push(*value));
        let mut at = IntegerAt::default();
        assert_eq!([(); 3].map(|()| packed.next(&mut at)), values);
        let names = [Some("length"), None, Some("stop"), Some("length")];
        let mut packed = OptionalNames::default();
        names.iter().for_each(|name| packed.push(*name));
        assert_eq!([0, 1, 2, 3].map(|at| packed.get(at)), names);
        assert_eq!(packed.0.count("length", 1..4), 1);
    }

    #[test]
    fn rows_are_read_from_json_and_skipped_whole() {
        let rows: Rows = serde_json::from_str("[[1,20000,3],[],[7]]").unwrap();
        assert_eq!(rows.len(), 3);
        let mut at = 0;
        assert_eq!(rows.next(&mut at).collect::<Vec<_>>(), [1, 20_000, 3]);
        assert_eq!(rows.next(&mut at).count(), 0);
        assert_eq!(rows.next(&mut at).collect::<Vec<_>>(), [7]);
        assert_eq!(rows.next(&mut at).count(), 0, "after the end");
        assert!(serde_json::from_str::<Rows>("[[1],2]").is_err());
    }
}
