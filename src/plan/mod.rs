//! Which layouts of a model over GPUs fit, before anything is bought or booted.
//!
//! ```text
//! weights per GPU       = bytes of the weights ÷ tp
//! KV cache per GPU      = memory × utilization − reserve − weights per GPU
//! KV bytes per token    = 2 × layers × max(KV heads ÷ tp, 1) × head size × bytes per element   (per GPU)
//! tokens per replica    = KV cache per GPU ÷ KV bytes per token, in whole blocks of 16
//! concurrent sequences  = tokens per replica ÷ context
//! ```
//! The 2 is for keys and values. With grouped-query attention there are fewer KV heads than attention
//! heads; tensor parallelism divides them, and repeats them where there are more GPUs than heads, as vLLM
//! does (`get_num_kv_heads` = max(1, KV heads ÷ tp)). The utilization is vLLM's
//! `--gpu-memory-utilization`. What activations, CUDA graphs and the driver take is not computed but
//! reserved; vLLM measures it when it starts, and logs the tokens that are left.

mod architecture;
mod layout;
mod size;

pub use architecture::{Architecture, ArchitectureError, Dtype};
pub use layout::{Fit, Layout, Memory, Misfit, Need, Plan};
pub use size::{SizeError, parse_bytes, parse_parameters};
