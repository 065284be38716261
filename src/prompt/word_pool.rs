use rand::{Rng, RngExt};

/// Words of exactly one token each, in order of token id; never empty.
#[derive(Debug)]
pub(super) struct WordPool {
    /// Words that are one token after a space.
    pub words: Vec<String>,
    /// Words that are one token at the start of a text; empty if no such word was found.
    pub openers: Vec<String>,
    /// Whether a text of these words has one token for each, by a local tokenizer's vocabulary.
    pub joins_freely: bool,
    /// How many special tokens the tokenizer adds to a text.
    pub special_tokens: usize,
}

impl WordPool {
    /// The words that can start a text (all if none was found that can), or that can follow a space; never empty.
    pub fn list(&self, starts_text: bool) -> &[String] {
        match starts_text && !self.openers.is_empty() {
            true => &self.openers,
            false => &self.words,
        }
    }

    /// A word of [`WordPool::list`] drawn at random.
    pub fn draw(&self, starts_text: bool, rng: &mut impl Rng) -> &str {
        let list = self.list(starts_text);
        &list[rng.random_range(0..list.len())]
    }
}
