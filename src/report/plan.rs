//! A plan as text: the table, the formula, commands, and a `DEPLOYMENTS` block.

use serde_json::{Value, json};

use super::grid::grid;
use super::number::{count, thousands};
use crate::plan::{Dtype, Plan, PlannedLayout};

const GB: f64 = 1e9;

/// First port of the ready-made commands.
const FIRST_PORT: u64 = 8000;

/// The layouts that fit, the formula, the first one to try, and the commands for each.
pub fn plan(plan: &Plan) -> String {
    let model = &plan.model;
    let mut text = format!(
        "# {} over {}\n\n{} parameters; {} weights: {:.1} GB; {} attention heads, {} KV heads of {}, {} layers\n\n",
        model.name,
        count(plan.memory.gpus as usize, "GPU"),
        thousands(model.parameters()),
        plan.dtype.id(),
        model.weight_bytes(plan.dtype) as f64 / GB,
        model.heads,
        model.kv_heads,
        model.head_dim,
        model.layers,
    );
    let head = [
        "Replicas × GPUs",
        "Weights per GPU (GB)",
        "KV cache per GPU (GB)",
        "KV bytes per token and GPU",
        "Tokens per replica",
        "Sequences in all",
        "",
    ];
    let rows = plan.layouts.iter().map(|layout| row(plan, layout).to_vec());
    text.push_str(&format!(
        "{}\n\n",
        grid(head.map(String::from).to_vec(), rows, 1)
    ));
    for layout in &plan.layouts {
        if let Err(misfit) = &layout.fit {
            text.push_str(&format!("- {} cannot be: {misfit}\n", shape(layout)));
        }
    }
    text.push_str(&format!("- {}\n\n{}\n", first(plan), formula(plan)));
    let fitting: Vec<&PlannedLayout> = plan.layouts.iter().filter(|l| l.fit.is_ok()).collect();
    if fitting.is_empty() {
        return text;
    }
    text.push_str("\n## By hand\n");
    for layout in &fitting {
        text.push_str(&format!(
            "\n{}:\n\n```sh\n{}```\n",
            shape(layout),
            by_hand(plan, layout)
        ));
    }
    let block: Vec<Value> = fitting
        .iter()
        .map(|layout| deployment(plan, layout))
        .collect();
    let block = serde_json::to_string_pretty(&block).unwrap_or_default();
    text.push_str(&format!(
        "\n## For cargo bench --bench deployments\n\nIn parameters.json:\n\n```json\n\"MODEL_PATH\": {},\n\"DEPLOYMENTS\": {block}\n```\n",
        json!(model.name)
    ));
    text
}

fn row(plan: &Plan, layout: &PlannedLayout) -> [String; 7] {
    let gb = |bytes: u64| format!("{:.1}", bytes as f64 / GB);
    let [kv, per_token, tokens, sequences] = match &layout.fit {
        Err(_) => ["n/a"; 4].map(String::from),
        Ok(fit) => [
            gb(fit.kv_per_gpu),
            thousands(fit.kv_per_token),
            thousands(fit.tokens_per_replica),
            thousands(fit.sequences),
        ],
    };
    let mark = match (&layout.fit, plan.first() == Some(layout)) {
        (_, true) => "try first",
        (Err(_), _) => "cannot be",
        (Ok(_), false) => "",
    };
    [
        shape(layout),
        gb(layout.weights_per_gpu),
        kv,
        per_token,
        tokens,
        sequences,
        mark.to_owned(),
    ]
}

fn shape(layout: &PlannedLayout) -> String {
    format!("{} × {}", layout.replicas, layout.tp)
}

fn name(layout: &PlannedLayout) -> String {
    format!("{}x{}", layout.replicas, layout.tp)
}

/// The layout to try first, with the reason.
fn first(plan: &Plan) -> String {
    let (wanted, context) = (plan.need.concurrency, plan.need.context);
    let Some((layout, Ok(fit))) = plan.first().map(|layout| (layout, &layout.fit)) else {
        return "no layout fits: take more or larger GPUs, weights of fewer bits, or a shorter context".to_owned();
    };
    let asked = format!("{wanted} sequences of {context} tokens");
    match fit.sequences >= wanted {
        true => format!(
            "try {} first: of the layouts with room for {asked} (it has it for {}) it has the fewest GPUs per replica, \
             and GPUs that work together wait for each other at every layer; it gives the most throughput as a rule, \
             while more GPUs per replica answer a single request sooner. Measure both ends",
            shape(layout),
            fit.sequences
        ),
        false => format!(
            "no layout has room for {asked}; {} has the most, {}: further ones wait in the queue or preempt others",
            shape(layout),
            fit.sequences
        ),
    }
}

fn formula(plan: &Plan) -> String {
    let memory = &plan.memory;
    let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / GB);
    let kv_cache = match memory.kv_cache {
        Some(bytes) => format!("KV cache per GPU     = {}, as it was set", gb(bytes)),
        None => format!(
            "KV cache per GPU     = {} × {} − {} reserve − weights per GPU",
            gb(memory.per_gpu),
            memory.utilization,
            gb(memory.reserve)
        ),
    };
    let quantized = match plan.dtype.is_quantized() {
        true => " (embedding and output layer in 16 bits; scales not counted)",
        false => "",
    };
    format!(
        "weights per GPU      = parameters × {} bits ÷ tp{quantized}\n\
         {kv_cache}\n\
         KV bytes per token   = 2 × {} layers × max({} KV heads ÷ tp, 1) × {} × {} bytes, on each GPU\n\
         tokens per replica   = KV cache per GPU ÷ KV bytes per token, in whole blocks of 16\n\
         sequences            = replicas × (tokens per replica ÷ {} tokens)\n\n\
         GB is 10⁹ bytes; nvidia-smi tells a GPU's memory exactly. {} is vLLM's --gpu-memory-utilization. The reserve is for activations, CUDA graphs and the driver: assumed, \
         not computed (--reserve); vLLM measures it when it starts and logs \"GPU KV cache size: … tokens\". Only tensor \
         parallelism is planned, over all GPUs; no pipeline or expert parallelism.",
        plan.dtype.bits(),
        plan.model.layers,
        plan.model.kv_heads,
        plan.model.head_dim,
        plan.kv_bytes,
        plan.need.context,
        memory.utilization,
    )
}

/// vLLM's options except port and parallelism.
fn options(plan: &Plan) -> String {
    let dtype = match plan.dtype {
        Dtype::Fp32 => " --dtype float32",
        Dtype::Fp16 => " --dtype float16",
        Dtype::Bf16 => " --dtype bfloat16",
        Dtype::Fp8 => " --quantization fp8",
        // The quantization is read from the checkpoint.
        Dtype::Int8 | Dtype::Int4 => "",
    };
    let kv = match (plan.kv_bytes, plan.dtype.kv_bytes()) {
        (1, _) => " --kv-cache-dtype fp8",
        _ => "",
    };
    let set = plan
        .memory
        .kv_cache
        .map(|bytes| format!(" --kv-cache-memory-bytes {bytes}"));
    format!(
        "{dtype}{kv} --max-model-len {} --gpu-memory-utilization {}{}",
        plan.need.context,
        plan.memory.utilization,
        set.unwrap_or_default()
    )
}

fn by_hand(plan: &Plan, layout: &PlannedLayout) -> String {
    let command = |replica: u64| {
        let gpus = (replica * layout.tp..(replica + 1) * layout.tp).map(|gpu| gpu.to_string());
        format!(
            "CUDA_VISIBLE_DEVICES={} vllm serve {} --tensor-parallel-size {} --port {}{}{}\n",
            Vec::from_iter(gpus).join(","),
            plan.model.name,
            layout.tp,
            FIRST_PORT + replica,
            options(plan),
            match replica + 1 < layout.replicas {
                true => " &",
                false => "",
            }
        )
    };
    (0..layout.replicas).map(command).collect()
}

fn deployment(plan: &Plan, layout: &PlannedLayout) -> Value {
    json!({
        "name": name(layout),
        "replicas": layout.replicas,
        "gpus_per_replica": layout.tp,
        "command": format!(
            "vllm serve {{model}} --tensor-parallel-size {{tp}} --port {{port}}{}",
            options(plan)
        ),
        "env": {"CUDA_VISIBLE_DEVICES": "{gpus}"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Architecture, Memory, Need};

    fn seventy(need: Need) -> Plan {
        let memory = Memory {
            gpus: 8,
            per_gpu: 80_000_000_000,
            utilization: 0.9,
            reserve: 3_000_000_000,
            kv_cache: None,
        };
        Plan::new(Architecture::llama3_70b(), Dtype::Fp16, 2, memory, need)
    }

    #[test]
    fn the_table_says_what_fits_and_what_to_try_first() {
        let text = plan(&seventy(Need {
            context: 8192,
            concurrency: 64,
        }));
        let line = |of: &str| {
            text.lines()
                .find(|line| line.starts_with(of))
                .unwrap()
                .to_owned()
        };
        let first = line("| 2 × 4");
        for cell in [
            " 35.3 |",
            " 33.7 |",
            " 81,920 |",
            " 411,648 |",
            " 100 |",
            "try first",
        ] {
            assert!(first.contains(cell), "{cell}: {first}");
        }
        assert!(line("| 4 × 2").contains("cannot be"));
        assert!(line("- 4 × 2 cannot be").contains("1.6 GB too much"));
        assert!(line("- try 2 × 4 first").contains("64 sequences of 8192 tokens"));
        assert!(text.contains("CUDA_VISIBLE_DEVICES=4,5,6,7 vllm serve meta-llama/Llama-3.1-70B-Instruct --tensor-parallel-size 4 --port 8001 --dtype float16"), "{text}");
    }

    #[test]
    fn the_block_is_a_configuration_that_can_be_read() {
        let text = plan(&seventy(Need {
            context: 8192,
            concurrency: 64,
        }));
        let block = text.split_once("```json\n").unwrap().1;
        let block = format!("{{{}}}", block.split_once("```").unwrap().0);
        let source = crate::config::ConfigSource::BuiltIn;
        let config = crate::config::Settings::from_parts(source, &block, &|_| None).expect(&block);
        let names: Vec<&str> = config.deployments.iter().map(|d| &*d.name).collect();
        assert_eq!(names, ["2x4", "1x8"]);
        assert_eq!(config.deployments[0].gpus().map(|n| n.get()), Some(8));
    }

    #[test]
    fn a_plan_without_a_fitting_layout_has_a_hint() {
        let plan_of = seventy(Need {
            context: 8192,
            concurrency: 64,
        });
        let memory = Memory {
            gpus: 1,
            ..plan_of.memory
        };
        let none = Plan::new(
            Architecture::llama3_70b(),
            Dtype::Fp16,
            2,
            memory,
            plan_of.need,
        );
        let text = plan(&none);
        assert!(text.contains("no layout fits"), "{text}");
        assert!(!text.contains("vllm serve"), "{text}");
        assert_eq!(thousands(1_253_936), "1,253,936");
    }
}
