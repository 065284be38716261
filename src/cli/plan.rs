use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::plan::{Architecture, Dtype, Memory, Need, Plan, parse_bytes, parse_parameters};
use crate::report;

const EXAMPLES: &str = "\
Examples:
  servemark plan --model-params 70B --dtype fp16 --gpus 8 --gpu-memory 80GB --context 8192 --concurrency 64
      Llama 3 70B on a machine with eight 80 GB GPUs
  servemark plan --config Qwen2.5-32B/config.json --dtype fp8 --gpus 4 --gpu-memory 80GB
      another model with grouped-query attention, by its own config.json

GB is 10⁹ bytes, GiB 2³⁰. Exits with 1 where no layout fits.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A model by its parameters: 8B and 70B are Llama 3's
    #[arg(
        long,
        value_name = "N",
        required_unless_present = "config",
        conflicts_with = "config"
    )]
    model_params: Option<String>,
    /// A model by its config.json, or the directory that holds it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data type of the weights: fp32, fp16, bf16, fp8, int8, int4
    #[arg(long, default_value = "bf16", value_parser = dtype)]
    dtype: Dtype,
    /// Data type of the KV cache, where it differs from the activations': fp32, fp16, bf16, fp8
    #[arg(long, value_name = "DTYPE", value_parser = dtype)]
    kv_cache_dtype: Option<Dtype>,
    /// Number of GPUs
    #[arg(long, value_name = "N")]
    gpus: NonZeroU64,
    /// Memory of each GPU: 80GB, 141GB, 79GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    gpu_memory: u64,
    /// Tokens of a sequence, prompt and answer together
    #[arg(long, value_name = "TOKENS", default_value = "8192")]
    context: NonZeroU64,
    /// Concurrent sequences, over all replicas
    #[arg(long, value_name = "N", default_value = "64")]
    concurrency: NonZeroU64,
    /// Share of the memory that vLLM may use
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, value_parser = share)]
    gpu_memory_utilization: f64,
    /// Memory of each GPU for activations, CUDA graphs and the driver; an assumption
    #[arg(long, value_name = "SIZE", default_value = "3GB", value_parser = parse_bytes)]
    reserve: u64,
    /// KV cache of each GPU, instead of what the others leave
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    kv_cache_memory: Option<u64>,
}

fn dtype(text: &str) -> Result<Dtype, String> {
    let known = Dtype::ALL.into_iter().find(|dtype| dtype.id() == text);
    known.ok_or_else(|| format!("the types are {}", Dtype::ALL.map(Dtype::id).join(", ")))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share: &f64| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "expected a share above 0 and at most 1".to_owned())
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let model = match (&arguments.config, &arguments.model_params) {
        (Some(path), _) => from_config(path)?,
        (None, Some(text)) => Architecture::of_parameters(parse_parameters(text)?, text)?,
        (None, None) => anyhow::bail!("the model is missing: give --model-params or --config"),
    };
    if let Some(most) = model.max_context
        && arguments.context.get() > most
    {
        anyhow::bail!(
            "--context {} exceeds the model's {most} tokens",
            arguments.context
        );
    }
    let kv_bytes = match arguments.kv_cache_dtype {
        None => arguments.dtype.kv_bytes(),
        Some(dtype) => dtype.bits().div_ceil(8),
    };
    let memory = Memory {
        gpus: arguments.gpus.get(),
        per_gpu: arguments.gpu_memory,
        utilization: arguments.gpu_memory_utilization,
        reserve: arguments.reserve,
        kv_cache: arguments.kv_cache_memory,
    };
    let need = Need {
        context: arguments.context.get(),
        concurrency: arguments.concurrency.get(),
    };
    let plan = Plan::new(model, arguments.dtype, kv_bytes, memory, need);
    print!("{}", report::plan(&plan));
    Ok(match plan.first() {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::from(1),
    })
}

fn from_config(path: &Path) -> anyhow::Result<Architecture> {
    let (file, name) = match path.is_dir() {
        true => (path.join("config.json"), path),
        // vLLM serves the directory of a config.json.
        false => (path.to_owned(), path.parent().unwrap_or(path)),
    };
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let model = Architecture::from_config(&file.display().to_string(), &text)?;
    Ok(Architecture {
        name: name.display().to_string(),
        ..model
    })
}
