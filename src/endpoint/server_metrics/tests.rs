use super::*;

/// In the form of vLLM's V1 engine, two engines behind one address.
const PAGE: &str = r#"# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.75e+09
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="org/m-7B"} 3.0
vllm:num_requests_running{engine="1",model_name="org/m-7B"} 2.0
vllm:num_requests_waiting{engine="0",model_name="org/m-7B"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="org/m-7B"} 0.5
vllm:kv_cache_usage_perc{engine="1",model_name="org/m-7B"} 0.25
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="org/m-7B"} 200.0
vllm:prefix_cache_queries_created{engine="0",model_name="org/m-7B"} 1.75e+09
vllm:prefix_cache_hits_total{engine="0",model_name="org/m-7B"} 50.0
vllm:num_preemptions_total{engine="0",model_name="org/m-7B"} 4.0
vllm:prompt_tokens_total{engine="0",model_name="org/m-7B"} 1000.0
vllm:prompt_tokens_total{engine="1",model_name="org/m-7B"} 500.0
vllm:generation_tokens_total{engine="0",model_name="org/m-7B"} 640.0
vllm:request_success_total{engine="0",finished_reason="stop",model_name="org/m-7B"} 5.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="org/m-7B"} 4.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="org/m-7B"} 2.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="org/m-7B"} 0.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="org/m-7B"} 9.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="org/m-7B"} 9.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="org/m-7B"} 0.45
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="org/m-7B"} 18.0
vllm:e2e_request_latency_seconds_count{engine="0",model_name="org/m-7B"} 9.0
"#;

#[test]
fn figures_are_summed_over_engines() {
    let metrics = ServerMetrics::parse(PAGE).unwrap();
    assert_eq!(metrics.running, Some(5.0));
    assert_eq!(metrics.waiting, Some(1.0));
    assert_eq!(metrics.kv_cache_usage, Some(0.375), "a mean, not a sum");
    assert_eq!(metrics.process_start, Some(1.75e9));
    assert!(metrics.has_vllm);
    let counters = &metrics.counters;
    assert_eq!(counters.prompt_tokens_total, Some(1500.0));
    assert_eq!(counters.generation_tokens_total, Some(640.0));
    assert_eq!(counters.request_success_total, Some(9.0));
    assert_eq!(counters.request_aborted_total, Some(2.0));
    assert_eq!(counters.preemptions, Some(4.0));
    assert_eq!(counters.prefix_cache_hit_rate(), Some(0.25));
    assert_eq!(counters.mean_ttft_ms(), Some(50.0));
    assert_eq!(counters.mean_e2el_ms(), Some(2000.0));
    assert_eq!(counters.mean_itl_ms(), None, "the page does not give it");
}

#[test]
fn old_names_stand_for_the_new_ones() {
    let page = "vllm:gpu_cache_usage_perc{model_name=\"m\"} 0.5\n\
                vllm:gpu_prefix_cache_queries_total{model_name=\"m\"} 10\n\
                vllm:gpu_prefix_cache_hits_total{model_name=\"m\"} 5\n\
                vllm:time_per_output_token_seconds_sum{model_name=\"m\"} 2\n\
                vllm:time_per_output_token_seconds_count{model_name=\"m\"} 100\n";
    let metrics = ServerMetrics::parse(page).unwrap();
    assert_eq!(metrics.kv_cache_usage, Some(0.5));
    assert_eq!(metrics.counters.prefix_cache_hit_rate(), Some(0.5));
    assert_eq!(metrics.counters.mean_itl_ms(), Some(20.0));
}

#[test]
fn non_numeric_values_are_unknown() {
    let metrics = ServerMetrics::parse("vllm:kv_cache_usage_perc{engine=\"0\"} NaN\n").unwrap();
    assert_eq!(metrics.kv_cache_usage, None);
    assert!(metrics.has_vllm);
}

#[test]
fn another_servers_page_has_no_figures() {
    let page =
        "# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\"} 5 1543182234\n";
    assert_eq!(ServerMetrics::parse(page), Some(ServerMetrics::default()));
}

#[test]
fn an_invalid_prometheus_page_is_rejected() {
    for page in [
        "",
        "<html>\n<p>1</p>\n",
        "# only a comment 5\n",
        "{\"detail\": \"no\"}",
    ] {
        assert_eq!(ServerMetrics::parse(page), None, "{page:?}");
    }
}

fn later(replace: &[(&str, &str)]) -> ServerMetrics {
    let page = replace
        .iter()
        .fold(PAGE.to_owned(), |page, (from, to)| page.replace(from, to));
    ServerMetrics::parse(&page).unwrap()
}

#[test]
fn a_difference_is_what_was_counted_in_between() {
    let before = ServerMetrics::parse(PAGE).unwrap();
    let after = later(&[
        (
            "finished_reason=\"stop\",model_name=\"org/m-7B\"} 5",
            "finished_reason=\"stop\",model_name=\"org/m-7B\"} 8",
        ),
        (
            "seconds_sum{engine=\"0\",model_name=\"org/m-7B\"} 0.45",
            "seconds_sum{engine=\"0\",model_name=\"org/m-7B\"} 0.75",
        ),
        (
            "first_token_seconds_count{engine=\"0\",model_name=\"org/m-7B\"} 9",
            "first_token_seconds_count{engine=\"0\",model_name=\"org/m-7B\"} 12",
        ),
    ]);
    let counted = delta(&before, &after).unwrap();
    assert_eq!(counted.request_success_total, Some(3.0));
    assert_eq!(counted.request_aborted_total, Some(0.0));
    assert_eq!(counted.prompt_tokens_total, Some(0.0));
    assert!((counted.mean_ttft_ms().unwrap() - 100.0).abs() < 1e-9);
    assert_eq!(counted.mean_e2el_ms(), None, "nothing counted");
    assert_eq!(counted.itl_count, None);
}

#[test]
fn a_new_label_set_starts_from_zero() {
    let before =
        ServerMetrics::parse("vllm:prompt_tokens_total 0\nvllm:generation_tokens_total 0\n");
    let counted = delta(&before.unwrap(), &ServerMetrics::parse(PAGE).unwrap()).unwrap();
    assert_eq!(counted.request_success_total, Some(9.0));
    let nothing = ServerMetrics::default();
    let counted = delta(&nothing, &ServerMetrics::parse(PAGE).unwrap()).unwrap();
    assert_eq!(
        counted.request_success_total, None,
        "the first reading told nothing"
    );
}

#[test]
fn a_restart_in_between_is_noticed() {
    let before = ServerMetrics::parse(PAGE).unwrap();
    let younger = later(&[("1.75e+09", "1.76e+09")]);
    assert_eq!(delta(&before, &younger), Err(CountersReset));
    let fewer = later(&[("} 640.0", "} 64.0")]);
    assert_eq!(delta(&before, &fewer), Err(CountersReset));
}

#[test]
fn a_record_of_it_is_flat_and_comes_back() {
    let metrics = ServerMetrics::parse(PAGE).unwrap();
    let json = serde_json::to_value(&metrics).unwrap();
    assert_eq!(json["generation_tokens_total"], 640.0);
    assert_eq!(json["running"], 5.0);
    assert_eq!(
        serde_json::from_value::<ServerMetrics>(json).unwrap(),
        metrics
    );
}
