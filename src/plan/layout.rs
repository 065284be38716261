//! Layouts of replicas × GPUs, and whether they fit a model and its load.

use super::{Architecture, Dtype};

/// Tokens of a block of vLLM's KV cache on a GPU.
const BLOCK: u64 = 16;

/// The available memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// GPUs in all.
    pub gpus: u64,
    /// Memory of each GPU (bytes).
    pub per_gpu: u64,
    /// Share of it that vLLM may use: `--gpu-memory-utilization`.
    pub utilization: f64,
    /// Memory of each GPU for activations, CUDA graphs and the driver (bytes).
    pub reserve: u64,
    /// KV cache of each GPU (bytes), if it is fixed by `--kv-cache-memory-bytes`; otherwise the remaining memory.
    pub kv_cache: Option<u64>,
}

/// The load that a model must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Tokens of a sequence, prompt and answer together.
    pub context: u64,
    /// Concurrent sequences over all replicas. Memory limits concurrency whatever the load, so it is a plain
    /// number.
    pub concurrency: u64,
}

/// A number of replicas, each on a number of GPUs.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedLayout {
    /// Number of replicas.
    pub replicas: u64,
    /// GPUs of each: the tensor-parallel size.
    pub tp: u64,
    /// Bytes of the weights on each GPU.
    pub weights_per_gpu: u64,
    /// Its capacity, or why it does not fit.
    pub fit: Result<Fit, Misfit>,
}

/// The capacity of a layout beside the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Bytes of KV cache on each GPU.
    pub kv_per_gpu: u64,
    /// Bytes of KV cache per token.
    pub kv_per_token: u64,
    /// Capacity of a replica's KV cache (tokens).
    pub tokens_per_replica: u64,
    /// Concurrent sequences of the whole context, over all replicas.
    pub sequences: u64,
}

/// Why a layout does not fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Misfit {
    /// Heads cannot be divided evenly.
    #[error("{heads} attention heads cannot be divided over {tp} GPUs")]
    Heads {
        /// Attention heads.
        heads: u64,
        /// GPUs.
        tp: u64,
    },
    /// KV heads are neither divided nor repeated evenly.
    #[error("{kv_heads} KV heads can neither be divided over nor repeated on {tp} GPUs")]
    KvHeads {
        /// KV heads.
        kv_heads: u64,
        /// GPUs.
        tp: u64,
    },
    /// The weights leave no memory.
    #[error(
        "the weights take {weights:.1} GB per GPU of the {usable:.1} GB that are usable: {short:.1} GB too much"
    )]
    Weights {
        /// Weights on each GPU (GB).
        weights: f64,
        /// Memory × utilization − reserve (GB).
        usable: f64,
        /// Missing memory (GB).
        short: f64,
    },
    /// No sequence fits, so vLLM does not start.
    #[error("a replica's KV cache holds {tokens} tokens, less than one sequence of {context}")]
    Context {
        /// Capacity (tokens).
        tokens: u64,
        /// Tokens of a sequence.
        context: u64,
    },
}

/// All layouts of a model over the GPUs.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The model.
    pub model: Architecture,
    /// Data type of its weights.
    pub dtype: Dtype,
    /// Bytes of an element of the KV cache.
    pub kv_bytes: u64,
    /// The memory.
    pub memory: Memory,
    /// The load.
    pub need: Need,
    /// The layouts that use all GPUs, the most replicas first.
    pub layouts: Vec<PlannedLayout>,
}

const GB: f64 = 1e9;

impl Plan {
    /// Computes the layouts of `model` that divide all GPUs evenly.
    pub fn new(
        model: Architecture,
        dtype: Dtype,
        kv_bytes: u64,
        memory: Memory,
        need: Need,
    ) -> Plan {
        let sizes = (1..=memory.gpus).filter(|tp| memory.gpus.is_multiple_of(*tp));
        let layout = |tp: u64| PlannedLayout {
            replicas: memory.gpus / tp,
            tp,
            weights_per_gpu: model.weight_bytes(dtype).div_ceil(tp),
            fit: fit(&model, dtype, kv_bytes, memory, need, tp),
        };
        Plan {
            layouts: sizes.map(layout).collect(),
            model,
            dtype,
            kv_bytes,
            memory,
            need,
        }
    }

    /// The layout to try first: the layout with the fewest GPUs per replica that holds the load, as
    /// GPUs that work together wait for each other; otherwise the one with the largest capacity. `None` if no
    /// layout fits.
    pub fn first(&self) -> Option<&PlannedLayout> {
        let fitting = || {
            self.layouts
                .iter()
                .filter_map(|l| Some((l, l.fit.as_ref().ok()?)))
        };
        let roomy = fitting().find(|(_, fit)| fit.sequences >= self.need.concurrency);
        let roomiest = || fitting().max_by_key(|(_, fit)| fit.sequences);
        roomy.or_else(roomiest).map(|(layout, _)| layout)
    }
}

fn fit(
    model: &Architecture,
    dtype: Dtype,
    kv_bytes: u64,
    memory: Memory,
    need: Need,
    tp: u64,
) -> Result<Fit, Misfit> {
    let (heads, kv_heads) = (model.heads, model.kv_heads);
    if !heads.is_multiple_of(tp) {
        return Err(Misfit::Heads { heads, tp });
    }
    if !kv_heads.is_multiple_of(tp) && !tp.is_multiple_of(kv_heads) {
        return Err(Misfit::KvHeads { kv_heads, tp });
    }
    let usable = memory.per_gpu as f64 * memory.utilization - memory.reserve as f64;
    let weights = model.weight_bytes(dtype).div_ceil(tp) as f64;
    let left = match memory.kv_cache {
        Some(bytes) => bytes as f64,
        None => usable - weights,
    };
    if left <= 0.0 {
        return Err(Misfit::Weights {
            weights: weights / GB,
            usable: usable / GB,
            short: -left / GB,
        });
    }
    let kv_per_token = model.kv_bytes_per_token(tp, kv_bytes);
    let kv_per_gpu = left as u64;
    let tokens_per_replica = kv_per_gpu / kv_per_token / BLOCK * BLOCK;
    let of_replica = tokens_per_replica / need.context;
    match of_replica {
        0 => Err(Misfit::Context {
            tokens: tokens_per_replica,
            context: need.context,
        }),
        _ => Ok(Fit {
            kv_per_gpu,
            kv_per_token,
            tokens_per_replica,
            sequences: of_replica * (memory.gpus / tp),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIGHT_80GB: Memory = Memory {
        gpus: 8,
        per_gpu: 80_000_000_000,
        utilization: 0.9,
        reserve: 3_000_000_000,
        kv_cache: None,
    };

    const NEED: Need = Need {
        context: 8192,
        concurrency: 64,
    };

    fn plan(model: Architecture, dtype: Dtype, memory: Memory, need: Need) -> Plan {
        Plan::new(model, dtype, dtype.kv_bytes(), memory, need)
    }

    #[test]
    fn seventy_billion_in_16_bits_fit_on_four_gpus_and_not_on_two() {
        let plan = plan(Architecture::llama3_70b(), Dtype::Fp16, EIGHT_80GB, NEED);
        let shapes: Vec<_> = plan
            .layouts
            .iter()
            .map(|l| (l.replicas, l.tp, l.fit.is_ok()))
            .collect();
        assert_eq!(
            shapes,
            [(8, 1, false), (4, 2, false), (2, 4, true), (1, 8, true)]
        );
        let two = plan.layouts[1].fit.as_ref().unwrap_err().to_string();
        // 70,553,706,496 × 2 bytes ÷ 2 = 70.6 GB, and 80 × 0.9 − 3 = 69.0 GB.
        assert_eq!(
            two,
            "the weights take 70.6 GB per GPU of the 69.0 GB that are usable: 1.6 GB too much"
        );
        // (69 − 35.276853248) GB ÷ 81,920 bytes = 411,658 tokens, in whole blocks 411,648.
        let four = plan.layouts[2].fit.as_ref().unwrap();
        assert_eq!(
            (four.kv_per_token, four.tokens_per_replica),
            (81_920, 411_648)
        );
        assert_eq!(four.sequences, 2 * 50);
        // (69 − 17.638426624) GB ÷ 40,960 bytes = 1,253,944.
        let eight = plan.layouts[3].fit.as_ref().unwrap();
        assert_eq!(
            (eight.tokens_per_replica, eight.sequences),
            (1_253_936, 153)
        );
        assert_eq!(plan.first().map(|l| l.tp), Some(4));
    }

    #[test]
    fn more_concurrency_than_replicas_of_few_gpus_hold_takes_more_gpus() {
        let need = Need {
            concurrency: 150,
            ..NEED
        };
        let plan = plan(Architecture::llama3_70b(), Dtype::Fp16, EIGHT_80GB, need);
        assert_eq!(plan.first().map(|l| l.tp), Some(8), "2 × 4 hold 100");
        let need = Need {
            concurrency: 1000,
            ..NEED
        };
        let plan = Plan { need, ..plan };
        assert_eq!(
            plan.first().map(|l| l.tp),
            Some(8),
            "none has room: the most"
        );
    }

    #[test]
    fn a_small_model_is_tried_on_single_gpus_first() {
        let plan = plan(Architecture::llama3_8b(), Dtype::Bf16, EIGHT_80GB, NEED);
        let first = plan.first().unwrap();
        assert_eq!((first.replicas, first.tp), (8, 1));
        // (69 − 16.060522496) GB ÷ 131,072 bytes = 403,896 tokens, in whole blocks 403,888.
        assert_eq!(first.fit.as_ref().unwrap().tokens_per_replica, 403_888);
    }

    #[test]
    fn impossible_layouts_are_reported() {
        let twelve = Memory {
            gpus: 12,
            ..EIGHT_80GB
        };
        let plan = plan(Architecture::llama3_70b(), Dtype::Fp8, twelve, NEED);
        let misfit = |tp: u64| {
            let layout = plan.layouts.iter().find(|l| l.tp == tp).unwrap();
            layout.fit.as_ref().unwrap_err().to_string()
        };
        assert_eq!(
            misfit(3),
            "64 attention heads cannot be divided over 3 GPUs"
        );
        let long = Need {
            context: 131_072,
            concurrency: 1,
        };
        let one = Memory {
            gpus: 1,
            per_gpu: 24_000_000_000,
            ..EIGHT_80GB
        };
        let plan = Plan::new(Architecture::llama3_8b(), Dtype::Bf16, 2, one, long);
        let misfit = plan.layouts[0].fit.as_ref().unwrap_err().to_string();
        assert!(
            misfit.contains("less than one sequence of 131072"),
            "{misfit}"
        );
        assert!(plan.first().is_none());
    }

    #[test]
    fn a_kv_cache_that_is_set_is_taken_at_its_word() {
        let cpu = Memory {
            gpus: 1,
            per_gpu: 4 << 30,
            kv_cache: Some(1 << 30),
            ..EIGHT_80GB
        };
        let tiny = Architecture {
            layers: 2,
            kv_heads: 2,
            head_dim: 64,
            ..Architecture::llama3_8b()
        };
        let plan = plan(tiny, Dtype::Fp32, cpu, NEED);
        assert_eq!(
            plan.layouts[0].fit.as_ref().unwrap().tokens_per_replica,
            524_288
        );
    }
}
