//! Token ids and their text.
//!
//! The engine has no model: it draws each output token from the tokenizer's
//! vocabulary, by seed. The k-th token of a sequence depends on the sequence's
//! seed and k alone, so a preempted sequence continues with the same text.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use tokenizers::Tokenizer;

use super::EngineError;

/// The tokens the engine may emit, with the text of each.
pub struct Vocabulary {
    ids: Vec<u32>,
    pieces: Vec<Box<str>>,
    /// `pieces` escaped for a JSON string, so that streaming does not escape each token.
    escaped: Vec<Box<str>>,
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vocabulary({} tokens)", self.ids.len())
    }
}

impl Vocabulary {
    /// Every token of `tokenizer` that is not a special token and decodes, alone, to printable text.
    ///
    /// # Errors
    /// [`EngineError::NoUsableTokens`] when there is none.
    pub fn from_tokenizer(tokenizer: &Tokenizer) -> Result<Vocabulary, EngineError> {
        let special = tokenizer.get_added_tokens_decoder();
        let mut vocab: Vec<(u32, String)> = tokenizer
            .get_vocab(false)
            .into_iter()
            .map(|(token, id)| (id, token))
            .filter(|(id, _)| !special.get(id).is_some_and(|token| token.special))
            .collect();
        // A hash map's order differs from run to run; the engine's text must not.
        vocab.sort_unstable();
        let pieces = vocab
            .into_iter()
            .filter_map(|(id, token)| Some((id, piece_of(tokenizer, id, &token)?)));
        Vocabulary::from_pieces(pieces)
    }

    /// A vocabulary of the given ids and texts.
    ///
    /// # Errors
    /// [`EngineError::NoUsableTokens`] when `pieces` is empty.
    pub fn from_pieces(
        pieces: impl IntoIterator<Item = (u32, String)>,
    ) -> Result<Vocabulary, EngineError> {
        let (ids, pieces): (Vec<u32>, Vec<Box<str>>) = pieces
            .into_iter()
            .map(|(id, piece)| (id, piece.into_boxed_str()))
            .unzip();
        if ids.is_empty() {
            return Err(EngineError::NoUsableTokens);
        }
        let escaped = pieces.iter().map(|piece| escape(piece)).collect();
        Ok(Vocabulary {
            ids,
            pieces,
            escaped,
        })
    }

    /// The number of tokens that may be emitted; at least 1.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// The text of one token; `None` for a token without printable text of its own (a part of
/// a multi-byte character, control characters, nothing).
fn piece_of(tokenizer: &Tokenizer, id: u32, token: &str) -> Option<String> {
    let mut text = tokenizer.decode(&[id], true).ok()?;
    // Decoders of the Metaspace kind strip the space in front of the first token.
    if token.starts_with('\u{2581}') && !text.starts_with(' ') {
        text.insert(0, ' ');
    }
    let printable = |c: char| !c.is_control() && c != char::REPLACEMENT_CHARACTER;
    (!text.is_empty() && text.chars().all(printable)).then_some(text)
}

/// Escapes `text` for a JSON string.
pub fn escape(text: &str) -> Box<str> {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].into()
}

/// The output tokens of one sequence, which depend only on its seed.
#[derive(Clone, Debug)]
pub struct TokenStream {
    seed: u64,
    vocabulary: Arc<Vocabulary>,
}

impl TokenStream {
    /// Creates the stream of `seed`.
    pub fn new(seed: u64, vocabulary: Arc<Vocabulary>) -> TokenStream {
        TokenStream { seed, vocabulary }
    }

    fn draw(&self, index: u32) -> u64 {
        mix(self.seed ^ mix(u64::from(index)))
    }

    fn slot(&self, index: u32) -> usize {
        (self.draw(index) % self.vocabulary.ids.len() as u64) as usize
    }

    /// Id of the `index`-th output token, counted from 0.
    pub fn id(&self, index: u32) -> u32 {
        self.vocabulary.ids[self.slot(index)]
    }

    /// Text of the `index`-th output token.
    pub fn piece(&self, index: u32) -> &str {
        &self.vocabulary.pieces[self.slot(index)]
    }

    /// Text of the `index`-th output token, escaped for a JSON string.
    pub fn escaped_piece(&self, index: u32) -> &str {
        &self.vocabulary.escaped[self.slot(index)]
    }

    /// Text of the output tokens in `range`.
    pub fn text(&self, range: Range<u32>) -> String {
        range.map(|index| self.piece(index)).collect()
    }

    /// Texts and log probabilities of the `index`-th output token and of its likeliest
    /// alternatives, each of which has half of the remaining probability.
    pub fn candidates(&self, index: u32) -> impl Iterator<Item = (&str, f64)> {
        let (slot, count) = (self.slot(index), self.vocabulary.len());
        // A probability from 0.2 to 1, by seed.
        let chosen = 0.2 + 0.8 * (mix(self.draw(index)) >> 11) as f64 / (1_u64 << 53) as f64;
        let mut left = 1.0 - chosen;
        (0..count).map(move |step| {
            let probability = match step {
                0 => chosen,
                _ => {
                    left /= 2.0;
                    left
                }
            };
            // JSON needs a number even if no probability is left.
            let logprob = probability.max(f64::MIN_POSITIVE).ln();
            (&*self.vocabulary.pieces[(slot + step) % count], logprob)
        })
    }
}

/// Spreads the bits of `value` (the finaliser of SplitMix64, Steele et al., OOPSLA 2014).
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Tokens 0 to 99, written " w0" to " w99".
    pub fn small_vocabulary() -> Arc<Vocabulary> {
        let pieces = (0..100).map(|id| (id, format!(" w{id}")));
        Arc::new(Vocabulary::from_pieces(pieces).expect("a hundred tokens"))
    }

    #[test]
    fn a_stream_is_reproducible_and_differs_by_seed() {
        let words = small_vocabulary();
        let ids = |seed| {
            let stream = TokenStream::new(seed, words.clone());
            (0..64).map(|k| stream.id(k)).collect::<Vec<_>>()
        };
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
    }

    #[test]
    fn candidates_start_with_the_token_and_share_its_probability() {
        let stream = TokenStream::new(7, small_vocabulary());
        for index in 0..50 {
            let candidates: Vec<_> = stream.candidates(index).take(20).collect();
            assert_eq!(candidates[0].0, stream.piece(index));
            let total: f64 = candidates.iter().map(|(_, logprob)| logprob.exp()).sum();
            assert!(total <= 1.0 + 1e-9, "{total}");
            let mut pieces: Vec<_> = candidates.iter().map(|(piece, _)| piece).collect();
            pieces.sort_unstable();
            pieces.dedup();
            assert_eq!(pieces.len(), 20);
        }
    }

    #[test]
    fn pieces_are_escaped_for_json() {
        assert_eq!(&*escape("a\"b\\c\n é"), "a\\\"b\\\\c\\n é");
    }

    #[test]
    fn special_tokens_and_broken_characters_are_never_emitted() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/tokenizer/tokenizer.json"
        );
        let tokenizer = Tokenizer::from_file(path).expect("the shipped tokenizer");
        let vocabulary = Vocabulary::from_tokenizer(&tokenizer).expect("it has text tokens");
        assert!(vocabulary.ids.len() > 5_000, "{vocabulary:?}");
        let eot = tokenizer
            .token_to_id("<|eot_id|>")
            .expect("a special token");
        assert!(!vocabulary.ids.contains(&eot));
        assert!(vocabulary.pieces.iter().any(|piece| piece.starts_with(' ')));
        assert!(
            vocabulary
                .pieces
                .iter()
                .all(|piece| !piece.contains('\u{fffd}'))
        );
    }

    #[test]
    fn an_empty_vocabulary_is_an_error() {
        let none = Vocabulary::from_pieces(Vec::new());
        assert!(matches!(none, Err(EngineError::NoUsableTokens)));
    }
}
