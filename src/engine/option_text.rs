//! The text form of engine options: `name=value` or `name=value:extra`, separated by commas.

/// One `name=value[:extra]` of an option's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OptionEntry<'a> {
    /// The entry as written, for messages.
    pub(super) text: &'a str,
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// The text after the colon.
    pub(super) extra: Option<&'a str>,
}

/// The text of an option is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option} {entry:?}: {problem}; expected for example \"{example}\"")]
pub struct OptionTextError {
    option: &'static str,
    entry: String,
    problem: String,
    example: &'static str,
}

/// The grammar of one option, with its name and a valid text for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grammar {
    pub(super) option: &'static str,
    pub(super) example: &'static str,
}

impl Grammar {
    /// The error about one entry.
    pub(super) fn error(self, entry: &str, problem: impl Into<String>) -> OptionTextError {
        OptionTextError {
            option: self.option,
            entry: entry.to_owned(),
            problem: problem.into(),
            example: self.example,
        }
    }

    /// The entries of `text`, in order; empty ones are skipped.
    pub(super) fn entries(
        self,
        text: &str,
    ) -> impl Iterator<Item = Result<OptionEntry<'_>, OptionTextError>> {
        let entries = text.split(',').map(str::trim).filter(|e| !e.is_empty());
        entries.map(move |text| {
            let (name, rest) = text
                .split_once('=')
                .ok_or_else(|| self.error(text, "it has no value"))?;
            let (value, extra) = match rest.split_once(':') {
                Some((value, extra)) => (value.trim(), Some(extra.trim())),
                None => (rest.trim(), None),
            };
            Ok(OptionEntry {
                text,
                name: name.trim(),
                value,
                extra,
            })
        })
    }

    /// Parses a finite number of 0 or more from an entry's `text`.
    pub(super) fn number(self, entry: OptionEntry<'_>, text: &str) -> Result<f64, OptionTextError> {
        text.parse()
            .ok()
            .filter(|value: &f64| value.is_finite() && *value >= 0.0)
            .ok_or_else(|| self.error(entry.text, format!("{text:?} is not a number of 0 or more")))
    }

    /// The text after the colon, which is required.
    pub(super) fn extra<'a>(
        self,
        entry: OptionEntry<'a>,
        meaning: &str,
    ) -> Result<&'a str, OptionTextError> {
        entry
            .extra
            .ok_or_else(|| self.error(entry.text, format!("it needs {meaning} after a colon")))
    }

    /// Refuses an entry that has a colon.
    pub(super) fn no_extra(self, entry: OptionEntry<'_>) -> Result<(), OptionTextError> {
        match entry.extra {
            None => Ok(()),
            Some(_) => Err(self.error(entry.text, "it takes nothing after a colon")),
        }
    }
}
