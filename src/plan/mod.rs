//! Which layouts of a model fit on GPUs, without booting a server.
//!
//! ```text
//! weights per GPU       = bytes of the weights ÷ tp
//! KV cache per GPU      = memory × utilization − reserve − weights per GPU
//! KV bytes per token    = 2 × layers × max(KV heads ÷ tp, 1) × head size × bytes per element   (per GPU)
//! tokens per replica    = KV cache per GPU ÷ KV bytes per token, in whole blocks of 16
//! concurrent sequences  = tokens per replica ÷ context
//! ```
//! The 2 is for keys and values. With grouped-query attention there are fewer KV heads than attention
//! heads; tensor parallelism divides them, and repeats them if there are more GPUs than heads, as vLLM
//! does (`get_num_kv_heads` = max(1, KV heads ÷ tp)). The utilization is vLLM's
//! `--gpu-memory-utilization`. The memory for activations, CUDA graphs and the driver is not
//! computed but reserved; vLLM measures it when it starts, and logs the remaining tokens.

mod architecture;
mod layout;
mod size;

pub use architecture::{Architecture, ArchitectureError, Dtype};
pub use layout::{Fit, Memory, Misfit, Need, Plan, PlannedLayout};
pub use size::{SizeError, parse_bytes, parse_parameters};
