//! Criterion-style throughput benchmarks for OpenAI-compatible LLM servers.
#![warn(missing_docs)]
