//! The table of all configuration keys: the one place that holds their defaults.

/// One key of `parameters.json`.
#[derive(Debug)]
pub struct Key {
    /// Its name; the variable `SERVEMARK_<name>` overrides it.
    pub name: &'static str,
    /// The value it has if it is not given, as JSON. `null`, `[]` and `{}` mark keys that may be
    /// left empty.
    pub default: &'static str,
    /// What a value must be, in words.
    pub expected: &'static str,
    /// A right value, as JSON.
    pub example: &'static str,
    /// How the text of a variable is taken apart.
    pub(super) form: Form,
}

/// How a variable's text becomes JSON where it is not JSON already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As one string.
    Single,
    /// As numbers between commas.
    Numbers,
    /// As strings between commas.
    Strings,
}

impl Key {
    /// Whether an empty string means that the key is not given.
    pub fn may_be_empty(&self) -> bool {
        matches!(self.default, "null" | "[]" | "{}")
    }

    /// The environment variable that overrides the key.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

/// What the names of all overriding variables start with.
pub const PREFIX: &str = "SERVEMARK_";

/// `SERVEMARK_*` variables that are no key.
pub const RESERVED: [&str; 5] = [
    "SERVEMARK_CONFIG",
    "SERVEMARK_REAL_VLLM",
    "SERVEMARK_AB",
    "SERVEMARK_RANKS",
    "SERVEMARK_RANKS_DIR",
];

macro_rules! keys {
    ($($name:ident $form:ident $default:literal, $expected:literal, $example:literal;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`: ", $expected, ".")]
            pub static $name: Key = Key {
                name: stringify!($name),
                default: $default,
                expected: $expected,
                example: $example,
                form: Form::$form,
            };
        )*
        /// Every key, in the order of the documentation.
        pub static ALL: &[&Key] = &[$(&$name),*];
    };
}

keys! {
    MAX_NEW_TOKENS Single "32", "a whole number of tokens from 1 to 1000000", "256";
    CONCURRENT_LEVELS Numbers "[1, 8, 32]",
        "a list of different whole numbers from 1 to 100000", "[1, 8, 32]";
    MODEL_PATH Single "null", "the model's name as the server lists it, or \"\" to ask the server",
        "\"meta-llama/Llama-3.1-8B-Instruct\"";
    MODEL_HEADERS Single "{}", "an object of header names and string values",
        "{\"Content-Type\": \"application/json\"}";
    SAFE_CHECK Single "false", "true or false", "false";
    THRESHOLD_TPS Single "7", "a number of tokens per second from 0 to 1000000", "7";
    RANDOM_PROMPT_LENGTH Single "1000", "a whole number of tokens from 1 to 10000000", "1000";
    TEMPERATURE Single "0.6", "a number from 0 to 100", "0.6";
    TOP_P Single "0.9", "a number above 0 and at most 1", "0.9";
    MODEL_ENDPOINTS Strings "[]",
        "a list of http:// or https:// addresses, or [] for the embedded simulated engine",
        "[\"http://localhost:8000/v1/chat/completions\"]";
    BALANCING Single "\"round_robin\"", "\"round_robin\" or \"least_outstanding\"",
        "\"least_outstanding\"";
    DEPLOYMENTS Single "[]",
        "a list of objects, each with a name and either a command or endpoints (docs/deployments.md)",
        "[{\"name\": \"2x4\", \"replicas\": 2, \"gpus_per_replica\": 4, \"command\": \"vllm serve meta-llama/Llama-3.1-70B-Instruct --tensor-parallel-size {tp} --port {port}\"}]";
    TOKENIZER_PATH Single "null",
        "the path of a tokenizer.json or of a directory that holds one, or \"\"",
        "\"../tokenizer\"";
    NUM_GPU Single "null", "a whole number of GPUs from 1 to 100000, or null if unknown", "8";
    INPUT_FILE Single "null", "the path of a file of questions, or \"\"", "\"input.jsonl\"";
    PROMPT_KEYS Strings "null", "a list of different keys of the input file, or null for all",
        "[\"25\", \"1k\"]";
    STREAM Single "true", "true or false", "true";
    LOAD_SHAPE Single "\"steady\"", "\"steady\" or \"wave\"", "\"steady\"";
    PREFIX_CACHE Single "\"bust\"", "\"bust\", \"allow\" or the shared fraction, a number from 0 to 1",
        "\"bust\"";
    FIXED_OUTPUT_LENGTH Single "\"auto\"", "\"auto\", true or false", "\"auto\"";
    EXTRA_BODY Single "{}",
        "an object of request fields other than stream, messages, prompt and n; null leaves a field out",
        "{\"top_k\": 20}";
    CA_FILE Single "null", "the path of a file of certificates in PEM form, or \"\"",
        "\"company-ca.pem\"";
    INSECURE Single "false", "true or false", "false";
    SEED Single "null", "a whole number from 0 to 18446744073709551615, or null to draw one", "42";
    REQUEST_TIMEOUT Single "600", "a number of seconds above 0 and at most 604800", "600";
    READY_TIMEOUT Single "300", "a number of seconds above 0 and at most 604800", "300";
    METRICS Strings "[\"output_tok_s\", \"rps\", \"ttft\", \"tpot\", \"e2el\"]",
        "a list of different names out of output_tok_s, rps, ttft, tpot, e2el",
        "[\"output_tok_s\", \"rps\"]";
    SLO Single "{}",
        "an object of limits in ms, any of ttft, tpot, itl and e2el, each above 0",
        "{\"ttft\": 200, \"tpot\": 50}";
    RUNS Single "1", "a whole number of runs from 1 to 100", "3";
    PRECISION Single "null", "a share above 0 and below 1 such as \"1%\" or 0.01, or null", "\"1%\"";
    PRECISION_BUDGET Single "60", "a number of seconds above 0 and at most 604800", "60";
    SAFETY_BACKEND Single "\"auto\"", "\"auto\", \"simulated\" or \"azure\"", "\"auto\"";
    SAFETY_DELAY_MS Numbers "[300, 400]",
        "two numbers of milliseconds from 0 to 600000, the lesser first", "[300, 400]";
    SAFETY_SEVERITY Single "4", "a whole number from 1 to 6", "4";
}

/// The known name closest to `name`, if one is close enough to be what was meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_ascii_uppercase();
    known
        .into_iter()
        .map(|known| {
            (
                strsim::jaro_winkler(&wanted, &known.to_ascii_uppercase()),
                known,
            )
        })
        .filter(|(likeness, known)| {
            let edits = strsim::damerau_levenshtein(&wanted, &known.to_ascii_uppercase());
            *likeness >= 0.8 && edits <= 1 + known.len() / 3
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_the_key_that_was_meant() {
        let names = || ALL.iter().map(|key| key.name);
        for (slip, meant) in [
            ("MAX_NEW_TOKEN", "MAX_NEW_TOKENS"),
            ("max_new_tokens", "MAX_NEW_TOKENS"),
            ("MAX_TOKENS", "MAX_NEW_TOKENS"),
            ("CONCURRENT_LEVEL", "CONCURRENT_LEVELS"),
            ("CONCURRENCY_LEVELS", "CONCURRENT_LEVELS"),
            ("MODEL_ENDPOINT", "MODEL_ENDPOINTS"),
            ("NUM_GPUS", "NUM_GPU"),
            ("TOPP", "TOP_P"),
            ("STREAMS", "STREAM"),
        ] {
            assert_eq!(nearest(slip, names()), Some(meant), "{slip}");
        }
        for stranger in ["HOME", "COMMENT", "BENCH_HOST", "X"] {
            assert_eq!(nearest(stranger, names()), None, "{stranger}");
        }
    }
}
