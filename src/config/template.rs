//! Text with blanks in braces, for the command of a deployment.

use super::names::nearest;
use crate::ids::ids;

/// Text whose blanks (`{port}`) are filled in for each replica. Braces around anything but a word in lower case are plain
/// text, as in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Blank(Blank),
}

/// A blank of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blank {
    Model,
    Port,
    Tp,
    Gpus,
    Replica,
    Name,
}

/// The values of the blanks for one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blanks<'a> {
    /// `{model}`: `MODEL_PATH`.
    pub model: &'a str,
    /// `{port}`: the port that it must listen on.
    pub port: u16,
    /// `{tp}`: GPUs of each replica; its tensor-parallel size.
    pub tp: u32,
    /// `{gpus}`: the numbers of its GPUs, separated by commas.
    pub gpus: &'a str,
    /// `{replica}`: its number within the deployment, from 0.
    pub replica: usize,
    /// `{name}`: the deployment's name.
    pub name: &'a str,
}

ids!(Blank:
    Model = "model",
    Port = "port",
    Tp = "tp",
    Gpus = "gpus",
    Replica = "replica",
    Name = "name",
);

impl Template {
    /// Parses a text. The error names an unknown blank.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut plain = String::new();
        while let Some(open) = rest.find('{') {
            let (before, braced) = rest.split_at(open);
            plain.push_str(before);
            let word = braced[1..].split('}').next().unwrap_or_default();
            let closed = braced.len() > word.len() + 1;
            let is_word =
                !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if closed && is_word {
                let blank = named(word)?;
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Blank(blank));
                rest = &braced[word.len() + 2..];
            } else {
                plain.push('{');
                rest = &braced[1..];
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template(pieces))
    }

    pub(super) fn has(&self, blank: Blank) -> bool {
        self.0.contains(&Piece::Blank(blank))
    }

    /// The text, if it has no blank.
    pub(crate) fn plain(&self) -> Option<&str> {
        match &self.0[..] {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with its blanks filled in.
    pub fn fill(&self, blanks: &Blanks<'_>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Blank(Blank::Model) => blanks.model.to_owned(),
            Piece::Blank(Blank::Port) => blanks.port.to_string(),
            Piece::Blank(Blank::Tp) => blanks.tp.to_string(),
            Piece::Blank(Blank::Gpus) => blanks.gpus.to_owned(),
            Piece::Blank(Blank::Replica) => blanks.replica.to_string(),
            Piece::Blank(Blank::Name) => blanks.name.to_owned(),
        };
        self.0.iter().map(piece).collect()
    }
}

fn named(word: &str) -> Result<Blank, String> {
    let known = Blank::ALL.into_iter().find(|blank| blank.id() == word);
    known.ok_or_else(|| {
        let ids = Blank::ALL.map(Blank::id);
        let hint = match nearest(word, ids) {
            Some(id) => format!("did you mean {{{id}}}?"),
            None => format!(
                "the blanks are {}",
                ids.map(|id| format!("{{{id}}}")).join(", ")
            ),
        };
        format!("there is no {{{word}}}; {hint}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLANKS: Blanks<'_> = Blanks {
        model: "org/m",
        port: 8123,
        tp: 4,
        gpus: "4,5,6,7",
        replica: 1,
        name: "2x4",
    };

    #[test]
    fn blanks_are_filled_and_other_braces_stay() {
        for (text, filled) in [
            ("{model} on {port}/{tp}", "org/m on 8123/4"),
            ("{gpus}-{replica}-{name}", "4,5,6,7-1-2x4"),
            (
                "{\"a\": {\"b\": 1}} {} {Port} {port",
                "{\"a\": {\"b\": 1}} {} {Port} {port",
            ),
            ("", ""),
        ] {
            let template = Template::parse(text).expect(text);
            assert_eq!(template.fill(&BLANKS), filled);
        }
    }

    #[test]
    fn an_unknown_blank_names_the_nearest() {
        let error = Template::parse("--port {prot}").expect_err("unknown");
        assert_eq!(error, "there is no {prot}; did you mean {port}?");
        let error = Template::parse("{banana}").expect_err("unknown");
        assert!(error.contains("the blanks are {model}, {port}"), "{error}");
    }
}
