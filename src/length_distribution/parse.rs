//! The forms in which laws of lengths are written.

use rand::distr::weighted::WeightedIndex;
use rand_distr::Normal;
use serde_json::{Map, Value, json};

use super::{Bucket, LONGEST, Law, LengthDistribution, Limits, PairOfLengths, mass};

/// The least probability of a law between its limits: with less it is not the law that was meant.
pub(super) const LEAST_MASS: f64 = 0.01;

/// The forms of a length.
const FORMS: &str = "a number of tokens, \"N(mean,std)\", {\"uniform\": [least, most]}, {\"normal\": {\"mean\": …, \"std\": …}}, {\"lognormal\": {\"median\": …, \"sigma\": …}} (both also with \"min\" and \"max\") or {\"buckets\": [{\"tokens\": …, \"weight\": …}]}";

type Parsed<T> = Result<T, String>;

impl PairOfLengths {
    /// Parses `"N(480,240)/(300,150)"`, or an object of `input` and `output`: either the laws of both, or numbers with
    /// a `range`, vLLM's `--random-range-ratio`: each length is uniform from (1 − range) to (1 + range) times the
    /// number.
    ///
    /// # Errors
    /// What is invalid.
    pub fn parse(value: &Value) -> Parsed<PairOfLengths> {
        match value {
            Value::String(text) => {
                let (input, output) = text
                    .split_once('/')
                    .ok_or_else(|| format!("{text:?} is not two lengths with a / between them"))?;
                // The second may leave out what kind of law it is.
                let output = output.trim();
                let output = match output.starts_with('(') {
                    true => format!("N{output}"),
                    false => output.to_owned(),
                };
                Ok(PairOfLengths {
                    input: of_text(input)?,
                    output: of_text(&output)?,
                })
            }
            Value::Object(object) => {
                only(object, &["input", "output", "range"])?;
                let range = object.get("range").map(range_ratio).transpose()?;
                let length = |name: &str| {
                    let value = object.get(name).ok_or(format!("{name:?} is missing"))?;
                    let length = match range {
                        Some(range) => around(value, range),
                        None => LengthDistribution::parse(value),
                    };
                    length.map_err(|problem| format!("{name}: {problem}"))
                };
                Ok(PairOfLengths {
                    input: length("input")?,
                    output: length("output")?,
                })
            }
            other => Err(format!("{other} is neither a text nor an object")),
        }
    }

    /// Both laws in their longest form.
    pub fn to_json(&self) -> Value {
        json!({"input": self.input.to_json(), "output": self.output.to_json()})
    }
}

impl LengthDistribution {
    /// Parses one of [`FORMS`].
    ///
    /// # Errors
    /// What is invalid.
    pub fn parse(value: &Value) -> Parsed<LengthDistribution> {
        match value {
            Value::String(text) => of_text(text),
            Value::Object(object) => {
                let mut entries = object.iter();
                match (entries.next(), entries.next()) {
                    (Some((name, value)), None) => of_object(name, value),
                    _ => Err(format!("{value} is not {FORMS}")),
                }
            }
            number => Ok(LengthDistribution(Law::Uniform(Limits::of_one(tokens(
                number,
            )?)))),
        }
    }
}

fn of_object(name: &str, value: &Value) -> Parsed<LengthDistribution> {
    let law = match name {
        "uniform" => Law::Uniform(range(value)?),
        "normal" => {
            let fields = Fields::of(value, ["mean", "std"])?;
            normal(
                fields.number("mean")?,
                fields.number("std")?,
                fields.limits()?,
            )?
        }
        "lognormal" => {
            let fields = Fields::of(value, ["median", "sigma"])?;
            lognormal(
                fields.number("median")?,
                fields.number("sigma")?,
                fields.limits()?,
            )?
        }
        "buckets" => buckets(value)?,
        other => return Err(format!("{other:?} is not a law; a length is {FORMS}")),
    };
    Ok(LengthDistribution(law))
}

/// Parses `128` or `N(480,240)`.
fn of_text(text: &str) -> Parsed<LengthDistribution> {
    let text = text.trim();
    if let Ok(tokens) = text.parse::<u64>() {
        return LengthDistribution::parse(&tokens.into());
    }
    let numbers = || {
        let (mean, std) = text
            .strip_prefix("N(")?
            .strip_suffix(')')?
            .split_once(',')?;
        Some((mean.trim().parse().ok()?, std.trim().parse().ok()?))
    };
    let (mean, std) =
        numbers().ok_or_else(|| format!("{text:?} is neither a number nor N(mean,std)"))?;
    Ok(LengthDistribution(normal(mean, std, Limits::ALL)?))
}

fn normal(mean: f64, std: f64, limits: Limits) -> Parsed<Law> {
    let [from, to] = limits.bounds().map(|x| (x - mean) / std);
    let law = positive(std, "the standard deviation").and_then(|std| {
        enough(mass(from, to), limits)?;
        Normal::new(mean, std).map_err(|error| error.to_string())
    })?;
    Ok(Law::Normal(law, limits))
}

fn lognormal(median: f64, sigma: f64, limits: Limits) -> Parsed<Law> {
    let (median, sigma) = (positive(median, "the median")?, positive(sigma, "sigma")?);
    let [from, to] = limits.bounds().map(|x| (x / median).ln() / sigma);
    enough(mass(from, to), limits)?;
    Ok(Law::LogNormal {
        median,
        sigma,
        limits,
    })
}

fn positive(number: f64, what: &str) -> Parsed<f64> {
    match number.is_finite() && number > 0.0 {
        true => Ok(number),
        false => Err(format!("{what} must be above 0, not {number}")),
    }
}

/// Of a size that a sum of many is still precise.
fn weight(weight: f64) -> Parsed<f64> {
    match (1e-9..=1e9).contains(&weight) {
        true => Ok(weight),
        false => Err(format!("a weight must be from 1e-9 to 1e9, not {weight}")),
    }
}

fn enough(mass: f64, Limits { least, most }: Limits) -> Parsed<()> {
    match mass >= LEAST_MASS {
        true => Ok(()),
        false => Err(format!(
            "almost no value of the law is from {least} to {most} tokens"
        )),
    }
}

fn buckets(value: &Value) -> Parsed<Law> {
    let list = value.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| format!("buckets: {value} is not a list of buckets"))?;
    let bucket = |value: &Value| {
        let fields = Fields::of(value, ["tokens", "weight"])?;
        let limits = match fields.value("tokens")? {
            list @ Value::Array(_) => range(list)?,
            number => Limits::of_one(tokens(number)?),
        };
        let weight = weight(fields.number("weight")?)?;
        Ok(Bucket { limits, weight })
    };
    let buckets: Vec<Bucket> = list.iter().map(bucket).collect::<Parsed<_>>()?;
    let weights = buckets.iter().map(|bucket| bucket.weight);
    let index = WeightedIndex::new(weights).map_err(|error| format!("weights: {error}"))?;
    Ok(Law::Buckets { buckets, index })
}

/// Parses `[least, most]`.
fn range(value: &Value) -> Parsed<Limits> {
    match value.as_array().map(Vec::as_slice) {
        Some([least, most]) => Limits::new(tokens(least)?, tokens(most)?),
        _ => Err(format!("{value} is not [least, most]")),
    }
}

fn tokens(value: &Value) -> Parsed<u32> {
    let tokens = value.as_u64().and_then(|tokens| u32::try_from(tokens).ok());
    let tokens = tokens.filter(|tokens| (1..=LONGEST).contains(tokens));
    tokens.ok_or_else(|| format!("{value} is not a whole number of tokens from 1 to {LONGEST}"))
}

fn range_ratio(value: &Value) -> Parsed<f64> {
    let range = value.as_f64().filter(|range| (0.0..1.0).contains(range));
    range.ok_or_else(|| format!("range: {value} is not a number from 0 to below 1"))
}

/// Lengths from (1 − range) to (1 + range) times a number, rounded outwards as vLLM does.
fn around(value: &Value, range: f64) -> Parsed<LengthDistribution> {
    let tokens = f64::from(tokens(value)?);
    let least = (tokens * (1.0 - range)).floor().max(1.0) as u32;
    let most = (tokens * (1.0 + range)).ceil() as u32;
    Ok(LengthDistribution(Law::Uniform(Limits::new(
        least,
        most.min(LONGEST),
    )?)))
}

impl Limits {
    fn new(least: u32, most: u32) -> Parsed<Limits> {
        match least <= most {
            true => Ok(Limits { least, most }),
            false => Err(format!(
                "the least length, {least}, is above the greatest, {most}"
            )),
        }
    }

    fn of_one(tokens: u32) -> Limits {
        Limits {
            least: tokens,
            most: tokens,
        }
    }
}

/// The fields of a law that is an object.
struct Fields<'v>(&'v Map<String, Value>);

impl<'v> Fields<'v> {
    /// The fields of `value`: these two, and the limits of the lengths.
    fn of(value: &'v Value, [first, second]: [&str; 2]) -> Parsed<Fields<'v>> {
        let object = value.as_object();
        let object =
            object.ok_or_else(|| format!("{value} is not an object of {first} and {second}"))?;
        only(object, &[first, second, "min", "max"])?;
        Ok(Fields(object))
    }

    fn value(&self, name: &str) -> Parsed<&'v Value> {
        self.0
            .get(name)
            .ok_or_else(|| format!("{name:?} is missing"))
    }

    fn number(&self, name: &str) -> Parsed<f64> {
        let value = self.value(name)?;
        value
            .as_f64()
            .ok_or_else(|| format!("{name}: {value} is not a number"))
    }

    fn limits(&self) -> Parsed<Limits> {
        let limit = |name: &str, or| self.0.get(name).map_or(Ok(or), tokens);
        Limits::new(
            limit("min", Limits::ALL.least)?,
            limit("max", Limits::ALL.most)?,
        )
    }
}

fn only(object: &Map<String, Value>, known: &[&str]) -> Parsed<()> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!("{unknown:?} is not one of {}", known.join(", "))),
        None => Ok(()),
    }
}
