//! Models that a server does not list, or refuses.

use super::*;

#[test]
fn a_model_missing_from_v1_models_is_measured_if_the_server_accepts_it() {
    let engine = engines::engine(|_| {});
    let pattern = r#"{"data":[{"id":"openai/*"}]}"#;
    for (body, said) in [
        (pattern, r#"lists "openai/*", not the requested model"#),
        (r#"{"data":[]}"#, "lists none, not the requested model"),
        (r#"{"data":null}"#, "lists none, not the requested model"),
        (
            r#"{"data":[{"object":"model"},{"id":null},{"id":7},"x"]}"#,
            "lists none",
        ),
        (
            r#"{"data":[{"id":"other-lora","max_model_len":-1}]}"#,
            r#"lists "other-lora""#,
        ),
        (r#"{"object":"list"}"#, "not a list of models"),
        ("[]", "not a list of models"),
    ] {
        let models = say("200 OK", &[], body);
        let gateway = Gateway::before(&engine, move |path| match path {
            "/v1/models" => models.clone(),
            _ => Answer::Pass,
        });
        let ran = run(&gateway.url(), &named(MODEL));
        assert_eq!(ran.code, Some(0), "{body}: {}", ran.text);
        assert!(ran.text.contains(said), "{body}: {}", ran.text);
        let record = record(ran.here.path());
        assert_eq!(record.model(), MODEL);
        assert!(
            record.endpoints[0]
                .missing
                .iter()
                .any(|m| m.what == "models"),
            "{body}"
        );
    }
    for body in [
        pattern,
        r#"{"data":[]}"#,
        r#"{"data":null}"#,
        "{}",
        "<html>",
    ] {
        let models = say("200 OK", &[], body);
        let gateway = Gateway::before(&engine, move |path| match path {
            "/v1/models" => models.clone(),
            _ => Answer::Pass,
        });
        let ran = run(&gateway.url(), &[]);
        assert_eq!(ran.code, Some(2), "{body}: {}", ran.text);
        assert!(ran.text.contains("Set MODEL_PATH"), "{body}: {}", ran.text);
    }
}

#[test]
fn an_alias_and_an_entry_among_broken_ones_are_listed() {
    let engine = engines::engine(|_| {});
    for body in [
        format!(r#"{{"data":[{{"id":"/models/file.gguf","aliases":["{MODEL}"]}}]}}"#),
        format!(
            r#"{{"data":[null,{{"id":"openai/*"}},{{"id":"{MODEL}","owned_by":5,"max_model_len":"x"}}]}}"#
        ),
    ] {
        let models = say("200 OK", &[], &body);
        let gateway = Gateway::before(&engine, move |path| match path {
            "/v1/models" => models.clone(),
            _ => Answer::Pass,
        });
        let ran = run(&gateway.url(), &named(MODEL));
        assert_eq!(ran.code, Some(0), "{body}: {}", ran.text);
        assert!(
            !ran.text.contains("not answered as expected"),
            "{body}: {}",
            ran.text
        );
    }
}

#[test]
fn a_key_that_the_load_is_refused_with_is_told_at_once() {
    let engine = engines::engine(|_| {});
    for health in [
        say("401 Unauthorized", &[], ""),
        say("404 Not Found", &[], ""),
    ] {
        let gateway = Gateway::before(&engine, move |path| match is_load(path) {
            true => say("401 Unauthorized", &[], "bad key sk-secret"),
            false => health.clone(),
        });
        let ran = run(&gateway.url(), &named("m"));
        assert_eq!(ran.code, Some(2), "{}", ran.text);
        assert!(
            ran.text.contains("HTTP 401") && ran.text.contains("OPENAI_API_KEY"),
            "{}",
            ran.text
        );
        assert!(!ran.text.contains("sk-secret"), "{}", ran.text);
        let posts = gateway
            .asked()
            .iter()
            .filter(|asked| is_load(asked))
            .count();
        assert_eq!(posts, 1, "told at once: {:?}", gateway.asked());
    }
}

#[test]
fn a_model_that_the_server_refuses_is_named_with_the_models_it_lists() {
    let engine = engines::engine(|_| {});
    for health in [Answer::Pass, say("403 Forbidden", &[], "")] {
        let gateway = Gateway::before(&engine, move |path| match path {
            "/health" => health.clone(),
            _ => Answer::Pass,
        });
        let ran = run(&gateway.url(), &named("org/absent"));
        assert_eq!(ran.code, Some(2), "{}", ran.text);
        for said in [
            "a request for the model \"org/absent\" failed",
            "HTTP 404",
            MODEL,
            "MODEL_PATH",
        ] {
            assert!(ran.text.contains(said), "{said}: {}", ran.text);
        }
    }
}

#[test]
fn a_server_that_is_up_and_cannot_answer_says_why_at_once() {
    let engine = engines::engine(|_| {});
    for (answer, said) in [
        (
            say("500 Internal Server Error", &[], "no such deployment"),
            "no such deployment",
        ),
        (
            say("200 OK", &[], "<html>Sign in</html>"),
            "a request for the model \"m\" failed",
        ),
        (
            say("308 Permanent Redirect", &["location: https://other/"], ""),
            "MODEL_ENDPOINTS",
        ),
    ] {
        let gateway = Gateway::before(&engine, move |path| match is_load(path) {
            true => answer.clone(),
            false => Answer::Pass,
        });
        let ran = run(&gateway.url(), &named("m"));
        assert_eq!(ran.code, Some(2), "{}", ran.text);
        assert!(ran.text.contains(said), "{said}: {}", ran.text);
        assert!(
            !ran.text.contains("not ready after"),
            "at once: {}",
            ran.text
        );
    }
}
