//! The architecture of a model, as far as it determines memory.

use serde::Deserialize;

use crate::ids::ids;

/// A Llama-type decoder: grouped-query attention, a gated feed-forward network, RMS norms, no biases.
///
/// The fields are named as in the model's `config.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Its name on the hub, or the path of its `config.json`.
    pub name: String,
    /// `num_hidden_layers`.
    pub layers: u64,
    /// `hidden_size`.
    pub hidden: u64,
    /// `intermediate_size`.
    pub intermediate: u64,
    /// `num_attention_heads`.
    pub heads: u64,
    /// `num_key_value_heads`; the number of heads without this field.
    pub kv_heads: u64,
    /// `head_dim`; hidden ÷ heads without this field.
    pub head_dim: u64,
    /// `vocab_size`.
    pub vocab: u64,
    /// `tie_word_embeddings`: whether the output layer is the embedding.
    pub tied: bool,
    /// `max_position_embeddings`, if given (tokens).
    pub max_context: Option<u64>,
}

/// Data type of weights and KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit floating point.
    Fp32,
    /// 16-bit floating point.
    Fp16,
    /// bfloat16.
    Bf16,
    /// 8-bit floating point.
    Fp8,
    /// 8-bit integers.
    Int8,
    /// 4-bit integers.
    Int4,
}

ids!(Dtype:
    Fp32 = "fp32",
    Fp16 = "fp16",
    Bf16 = "bf16",
    Fp8 = "fp8",
    Int8 = "int8",
    Int4 = "int4",
);

impl Dtype {
    /// Bits of one weight.
    pub fn bits(self) -> u64 {
        match self {
            Dtype::Fp32 => 32,
            Dtype::Fp16 | Dtype::Bf16 => 16,
            Dtype::Fp8 | Dtype::Int8 => 8,
            Dtype::Int4 => 4,
        }
    }

    /// Whether it is a quantization, which does not apply to the embeddings.
    pub fn is_quantized(self) -> bool {
        matches!(self, Dtype::Fp8 | Dtype::Int8 | Dtype::Int4)
    }

    /// Bytes of an element of the KV cache: as in the activations, which have 16 bits with quantized weights.
    pub fn kv_bytes(self) -> u64 {
        match self {
            Dtype::Fp32 => 4,
            _ => 2,
        }
    }
}

/// The architecture of a model is not known.
#[derive(Debug, thiserror::Error)]
pub enum ArchitectureError {
    /// No known model has this number of parameters.
    #[error(
        "the architecture of a model of {0} parameters is not known (known are Llama 3's 8B and 70B): give the model's config.json with --config"
    )]
    Unknown(String),
    /// The file is not the configuration of a Llama-type decoder.
    #[error(
        "{path}: {problem}; expected the config.json of a Llama-type model with num_hidden_layers, hidden_size, intermediate_size, num_attention_heads and vocab_size"
    )]
    Config {
        /// The file.
        path: String,
        /// The problem.
        problem: String,
    },
}

/// The relevant fields of `config.json`.
#[derive(Deserialize)]
struct ModelConfig {
    num_hidden_layers: u64,
    hidden_size: u64,
    intermediate_size: u64,
    num_attention_heads: u64,
    num_key_value_heads: Option<u64>,
    head_dim: Option<u64>,
    vocab_size: u64,
    #[serde(default)]
    tie_word_embeddings: bool,
    max_position_embeddings: Option<u64>,
    num_local_experts: Option<u64>,
    num_experts: Option<u64>,
    kv_lora_rank: Option<u64>,
}

impl Architecture {
    /// Llama 3 8B (`config.json` of <https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct>).
    pub fn llama3_8b() -> Architecture {
        Architecture {
            name: "meta-llama/Llama-3.1-8B-Instruct".to_owned(),
            layers: 32,
            hidden: 4096,
            intermediate: 14336,
            heads: 32,
            kv_heads: 8,
            head_dim: 128,
            vocab: 128_256,
            tied: false,
            max_context: Some(131_072),
        }
    }

    /// Llama 3 70B (`config.json` of <https://huggingface.co/meta-llama/Llama-3.1-70B-Instruct>).
    pub fn llama3_70b() -> Architecture {
        Architecture {
            name: "meta-llama/Llama-3.1-70B-Instruct".to_owned(),
            layers: 80,
            hidden: 8192,
            intermediate: 28672,
            heads: 64,
            kv_heads: 8,
            head_dim: 128,
            vocab: 128_256,
            tied: false,
            max_context: Some(131_072),
        }
    }

    /// The known architecture with about this number of parameters.
    ///
    /// # Errors
    /// [`ArchitectureError::Unknown`], with `text` as the user's input.
    pub fn of_parameters(parameters: u64, text: &str) -> Result<Architecture, ArchitectureError> {
        let known = [Architecture::llama3_8b(), Architecture::llama3_70b()];
        let close = |known: &Architecture| {
            (parameters as f64 / known.parameters() as f64 - 1.0).abs() < 0.02
        };
        let found = known.into_iter().find(close);
        found.ok_or_else(|| ArchitectureError::Unknown(text.to_owned()))
    }

    /// Parses the text of a `config.json`; `path` is its name.
    ///
    /// # Errors
    /// [`ArchitectureError::Config`] for other text, and for models of another kind: mixtures of experts,
    /// latent attention.
    pub fn from_config(path: &str, text: &str) -> Result<Architecture, ArchitectureError> {
        let wrong = |problem: String| ArchitectureError::Config {
            path: path.to_owned(),
            problem,
        };
        let config: ModelConfig =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if config
            .num_local_experts
            .or(config.num_experts)
            .is_some_and(|n| n > 1)
        {
            return Err(wrong("a mixture of experts, which is not supported".into()));
        }
        if config.kv_lora_rank.is_some() {
            return Err(wrong("latent attention, which is not supported".into()));
        }
        let heads = config.num_attention_heads;
        let kv_heads = config.num_key_value_heads.unwrap_or(heads);
        let counts = [
            config.num_hidden_layers,
            config.hidden_size,
            config.intermediate_size,
            heads,
            kv_heads,
            config.vocab_size,
        ];
        if !counts.iter().all(|count| (1..1 << 24).contains(count)) {
            return Err(wrong("a count that is zero or too large".into()));
        }
        let head_dim = config.head_dim.unwrap_or(config.hidden_size / heads);
        if !heads.is_multiple_of(kv_heads) || !(1..1 << 16).contains(&head_dim) {
            return Err(wrong("numbers of heads that do not match".into()));
        }
        Ok(Architecture {
            name: path.to_owned(),
            layers: config.num_hidden_layers,
            hidden: config.hidden_size,
            intermediate: config.intermediate_size,
            heads,
            kv_heads,
            head_dim,
            vocab: config.vocab_size,
            tied: config.tie_word_embeddings,
            max_context: config.max_position_embeddings,
        })
    }

    /// Parameters of the embedding and of the output layer.
    fn embedding(&self) -> u64 {
        let layers = if self.tied { 1 } else { 2 };
        layers * self.vocab * self.hidden
    }

    /// All parameters.
    pub fn parameters(&self) -> u64 {
        let attention = 2 * self.hidden * self.heads * self.head_dim
            + 2 * self.hidden * self.kv_heads * self.head_dim;
        let feed_forward = 3 * self.hidden * self.intermediate;
        let norms = 2 * self.hidden;
        self.embedding() + self.layers * (attention + feed_forward + norms) + self.hidden
    }

    /// Bytes of the weights. Quantization leaves embedding and output layer in 16 bits; its scales, under
    /// 1 % with 8 bits and about 3 % with 4, are not counted.
    pub fn weight_bytes(&self, dtype: Dtype) -> u64 {
        match dtype.is_quantized() {
            true => {
                2 * self.embedding() + (self.parameters() - self.embedding()) * dtype.bits() / 8
            }
            false => self.parameters() * dtype.bits() / 8,
        }
    }

    /// Bytes of the KV cache per token on each of `tp` GPUs.
    pub fn kv_bytes_per_token(&self, tp: u64, bytes_per_element: u64) -> u64 {
        let heads = (self.kv_heads / tp).max(1);
        2 * self.layers * heads * self.head_dim * bytes_per_element
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_3_is_exact() {
        // The parameter counts that the hub gives for the weights' files.
        assert_eq!(Architecture::llama3_8b().parameters(), 8_030_261_248);
        assert_eq!(Architecture::llama3_70b().parameters(), 70_553_706_496);
        // 128 KiB and 320 KiB per token in 16 bits.
        assert_eq!(Architecture::llama3_8b().kv_bytes_per_token(1, 2), 131_072);
        assert_eq!(Architecture::llama3_70b().kv_bytes_per_token(1, 2), 327_680);
    }

    #[test]
    fn tensor_parallelism_divides_kv_heads_and_repeats_them_beyond() {
        let model = Architecture::llama3_70b();
        let per_gpu = [1, 2, 4, 8, 16].map(|tp| model.kv_bytes_per_token(tp, 2));
        assert_eq!(per_gpu, [327_680, 163_840, 81_920, 40_960, 40_960]);
    }

    #[test]
    fn quantization_leaves_the_embeddings_alone() {
        let model = Architecture::llama3_8b();
        let embedding = 2 * 128_256 * 4096;
        let rest = 8_030_261_248 - embedding;
        assert_eq!(model.weight_bytes(Dtype::Bf16), 2 * 8_030_261_248);
        assert_eq!(model.weight_bytes(Dtype::Fp8), 2 * embedding + rest);
        assert_eq!(model.weight_bytes(Dtype::Int4), 2 * embedding + rest / 2);
    }

    #[test]
    fn a_config_file_is_read_with_defaults_for_missing_fields() {
        let tiny = r#"{"num_hidden_layers": 2, "hidden_size": 256, "intermediate_size": 512,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 8192}"#;
        let model = Architecture::from_config("config.json", tiny).unwrap();
        assert_eq!(model.kv_bytes_per_token(1, 4), 2048);
        assert!(!model.tied);
        let plain = tiny.replace(r#""num_key_value_heads": 2, "head_dim": 64, "#, "");
        let model = Architecture::from_config("config.json", &plain).unwrap();
        assert_eq!((model.kv_heads, model.head_dim), (4, 64));
        for (text, words) in [
            ("{}", "missing field `num_hidden_layers`"),
            ("no JSON", "expected ident"),
            (
                &tiny.replace('}', ", \"num_local_experts\": 8}"),
                "a mixture of experts",
            ),
            (
                &tiny.replace("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"),
                "do not match",
            ),
            (&tiny.replace("256", "0"), "a count that is zero"),
        ] {
            let error = Architecture::from_config("c.json", text)
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn known_sizes_are_found_and_others_want_a_config() {
        let of = |text: &str| {
            Architecture::of_parameters(super::super::parse_parameters(text).unwrap(), text)
        };
        assert_eq!(of("70B").unwrap(), Architecture::llama3_70b());
        assert_eq!(of("8B").unwrap(), Architecture::llama3_8b());
        assert!(of("13B").unwrap_err().to_string().contains("--config"));
    }
}
