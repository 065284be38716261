//! The words that prompts are filled with: vocabulary entries that stay one token each when they
//! are joined by spaces.
//!
//! A vocabulary entry is not such a word by itself: ` ing` may be two tokens though `ing` is an
//! entry, and a server's tokenizer may differ from the one whose entries are offered to it. So the
//! candidates are laid out between copies of one known word, `anchor w1 anchor w2 anchor …`, and
//! tokenized in batches: what lies between two anchors is one candidate's tokens. That takes a few
//! calls for a whole vocabulary, which matters where a call is a request to a server.

use std::collections::HashSet;
use std::sync::Arc;

use tokenizers::Tokenizer;

use super::error::PromptError;
use super::tokenizer::{SpecialTokens, TokenCounter};
use super::word_pool::WordPool;

/// Candidates per tokenized batch; with the anchors about 400 tokens, within any server's limit.
const BATCH: usize = 200;

/// How many candidates are tried as anchor before giving up.
const ANCHOR_TRIES: usize = 256;

/// The words of `counter`, found on first use and kept.
pub(super) fn words_of(counter: &TokenCounter) -> Result<Arc<WordPool>, PromptError> {
    counter.word_pool(|| find(counter))
}

fn find(counter: &TokenCounter) -> Result<WordPool, PromptError> {
    let mut candidates = candidates(counter.vocabulary());
    // Not each prompt will be counted. Punctuation and digits join what follows them, such as line breaks, more often
    // than words of letters do.
    candidates.retain(|word| word.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let anchor = Anchor::find(&candidates, counter)?;
    candidates.retain(|word| *word != anchor.word);
    let mut seen = HashSet::from([anchor.id]);
    let mut words = vec![anchor.word.clone()];
    for batch in candidates.chunks(BATCH) {
        for (word, id) in anchor.single_tokens(batch, counter)? {
            if seen.insert(id) {
                words.push(word.to_owned());
            }
        }
    }
    let openers = openers(&words, counter)?;
    let spans = |entry: &String| spans_words(entry);
    Ok(WordPool {
        joins_freely: !openers.is_empty()
            && !counter.asks_a_server()
            && !counter.vocabulary().get_vocab(true).keys().any(spans),
        openers,
        special_tokens: anchor.special_tokens(counter)?,
        words,
    })
}

/// Vocabulary entries of more than two characters, all of them visible ASCII, without the marker
/// that stands for the space before a word; in order of token id and each once. Tokens added on top
/// of the vocabulary (special ones, tool markers) are left out.
fn candidates(tokenizer: &Tokenizer) -> Vec<String> {
    let added = tokenizer.get_added_tokens_decoder();
    let mut entries: Vec<(u32, String)> = tokenizer
        .get_vocab(false)
        .into_iter()
        .filter(|(_, id)| !added.contains_key(id))
        .filter_map(|(entry, id)| word_of(&entry).map(|word| (id, word.to_owned())))
        .collect();
    entries.sort_unstable();
    let mut seen = HashSet::new();
    entries
        .into_iter()
        .map(|(_, word)| word)
        .filter(|word| seen.insert(word.clone()))
        .collect()
}

/// Whether a vocabulary entry has a letter before a space: such a token may take parts of two words.
fn spans_words(entry: &str) -> bool {
    let pairs = entry.chars().zip(entry.chars().skip(1));
    let mut pairs = pairs.filter(|(before, _)| before.is_ascii_alphabetic());
    pairs.any(|(_, c)| matches!(c, ' ' | 'Ġ' | '▁'))
}

fn word_of(entry: &str) -> Option<&str> {
    // `##` continues a word in WordPiece; `<unk>`, `[UNK]` and `<0x0A>` stand for something else
    // than their letters.
    let stands_for_other = (entry.starts_with('<') && entry.ends_with('>'))
        || (entry.starts_with('[') && entry.ends_with(']'));
    if stands_for_other || entry.starts_with("##") {
        return None;
    }
    // The space before a word is `Ġ` in byte-level BPE, `▁` in SentencePiece; `</w>` ends a word in
    // the oldest BPE vocabularies.
    let word = entry.strip_prefix(['Ġ', '▁']).unwrap_or(entry);
    let word = word.strip_suffix("</w>").unwrap_or(word);
    (word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_graphic())).then_some(word)
}

/// A word that is surely one token after a space.
struct Anchor {
    word: String,
    id: u32,
    /// Whether it is the same token at the start of a text, where no space precedes it.
    same_at_start: bool,
}

impl Anchor {
    fn find(candidates: &[String], counter: &TokenCounter) -> Result<Self, PromptError> {
        // Lower-case words that come early are the most frequent ones, so likely to be single
        // tokens of any tokenizer.
        let is_lower = |word: &&String| word.bytes().all(|byte| byte.is_ascii_lowercase());
        let (likely, others): (Vec<_>, Vec<_>) = candidates.iter().partition(is_lower);
        for word in likely.into_iter().chain(others).take(ANCHOR_TRIES) {
            let ids = counter.token_ids(&[word.as_str(); 4].join(" "), SpecialTokens::None)?;
            // What opens the text may differ from the others, and be several tokens.
            if let [first, .., second, third, fourth] = ids[..]
                && second == third
                && third == fourth
                && ids.iter().filter(|&&id| id == fourth).count() <= 4
            {
                return Ok(Self {
                    word: word.clone(),
                    id: fourth,
                    same_at_start: first == fourth,
                });
            }
        }
        Err(PromptError::NoWords {
            tokenizer: counter.source().clone(),
            candidates: candidates.len(),
        })
    }

    /// The candidates of `batch` that are one token between two anchors, with that token.
    fn single_tokens<'w>(
        &self,
        batch: &'w [String],
        counter: &TokenCounter,
    ) -> Result<Vec<(&'w str, u32)>, PromptError> {
        let anchor = self.word.as_str();
        let mut text = anchor.to_owned();
        for word in [anchor]
            .into_iter()
            .chain(batch.iter().flat_map(|word| [word.as_str(), anchor]))
        {
            text.push(' ');
            text.push_str(word);
        }
        let ids = counter.token_ids(&text, SpecialTokens::None)?;
        let between: Vec<&[u32]> = ids.split(|&id| id == self.id).collect();
        // Before the candidates stands what opens the text, and an empty gap if that was an anchor.
        let first = 1 + usize::from(self.same_at_start);
        // After the last anchor stands nothing.
        if between.len() == first + batch.len() + 1 {
            let single = |(word, tokens): (&'w String, &&[u32])| match tokens {
                [id] => Some((word.as_str(), *id)),
                _ => None,
            };
            return Ok(batch
                .iter()
                .zip(&between[first..])
                .filter_map(single)
                .collect());
        }
        // A candidate swallowed or produced an anchor: narrow down which, and drop it.
        if batch.len() <= counter.smallest_batch() {
            return Ok(Vec::new());
        }
        let (left, right) = batch.split_at(batch.len() / 2);
        let mut found = self.single_tokens(left, counter)?;
        found.extend(self.single_tokens(right, counter)?);
        Ok(found)
    }

    fn special_tokens(&self, counter: &TokenCounter) -> Result<usize, PromptError> {
        let with = counter.count(&self.word, SpecialTokens::Added)?;
        let without = counter.count(&self.word, SpecialTokens::None)?;
        Ok(with.saturating_sub(without))
    }
}

/// The words among `words` that are one token at the start of a text. A sample spread over all
/// words is tried, as many as the counter's budget allows.
fn openers(words: &[String], counter: &TokenCounter) -> Result<Vec<String>, PromptError> {
    let step = words.len().div_ceil(counter.probe_budget()).max(1);
    let tried: Vec<&str> = words.iter().step_by(step).map(String::as_str).collect();
    let mut seen = HashSet::new();
    let mut openers = Vec::new();
    for (word, ids) in tried
        .iter()
        .zip(counter.token_ids_of_each(&tried, SpecialTokens::None))
    {
        if let [id] = ids?[..]
            && seen.insert(id)
        {
            openers.push((*word).to_owned());
        }
    }
    Ok(openers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::testing;

    #[test]
    fn entries_become_words_without_their_markers() {
        for (entry, word) in [
            ("Ġhello", Some("hello")),
            ("▁hello", Some("hello")),
            ("hello</w>", Some("hello")),
            ("abc", Some("abc")),
            ("Ġab", None),
            ("ab", None),
            ("##ing", None),
            ("<0x0A>", None),
            ("[UNK]", None),
            ("<unk>", None),
            ("caf\u{e9}", None),
            ("ĠĠĠĠ", None),
        ] {
            assert_eq!(word_of(entry), word, "{entry}");
        }
    }

    #[test]
    fn tokens_that_span_words_are_recognised() {
        for (entry, spans) in [
            ("Ġhello", false),
            ("▁▁", false),
            ("a▁b", true),
            ("ofĠthe", true),
            ("x", false),
        ] {
            assert_eq!(spans_words(entry), spans, "{entry}");
        }
    }

    #[test]
    fn words_are_one_token_each_wherever_they_stand() {
        for counter in testing::counters() {
            let pool = words_of(&counter).unwrap();
            let text = pool.list(false).join(" ");
            let extra = counter.count(&text, SpecialTokens::None).unwrap() - pool.list(false).len();
            assert!(extra <= 2, "only the first word may be more than one token");
            for opener in pool.list(true).iter().take(50) {
                assert_eq!(counter.count(opener, SpecialTokens::None).unwrap(), 1);
            }
        }
    }

    #[test]
    fn words_are_ascii_longer_than_two_characters_and_distinct() {
        let pool = words_of(&TokenCounter::shipped().unwrap()).unwrap();
        assert!(pool.list(false).len() > 1000, "{}", pool.list(false).len());
        assert!(pool.list(true).len() > 100, "{}", pool.list(true).len());
        assert_eq!(pool.special_tokens, 1);
        let distinct: HashSet<_> = pool.list(false).iter().collect();
        assert_eq!(distinct.len(), pool.list(false).len());
        for word in pool.list(false) {
            assert!(
                word.is_ascii() && word.len() > 2 && !word.contains("<|"),
                "{word}"
            );
        }
    }

    #[test]
    fn a_tokenizer_without_words_is_a_clear_error() {
        let error = words_of(&testing::single_letters()).unwrap_err();
        assert!(error.to_string().contains("no word"), "{error}");
    }
}
