//! Errors in vLLM's JSON format.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error response.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    param: Option<Cow<'static, str>>,
    retry_after_s: Option<u32>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> ApiError {
        ApiError {
            status,
            kind,
            message: message.into(),
            param: None,
            retry_after_s: None,
        }
    }

    fn with_param(self, param: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError {
            param: Some(param.into()),
            ..self
        }
    }

    /// 400: a value that cannot be served.
    pub(super) fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "BadRequestError", message)
    }

    /// 400: a body of the wrong form at `location` (such as `body.messages`).
    pub(super) fn invalid_body(location: &str, problem: impl std::fmt::Display) -> ApiError {
        let message = format!("1 validation error:\n  {{'loc': '{location}', 'msg': '{problem}'}}");
        let error = ApiError::new(StatusCode::BAD_REQUEST, "Bad Request", message);
        error.with_param(location.to_owned())
    }

    /// 400: a required field is missing.
    pub(super) fn missing_field(location: &'static str) -> ApiError {
        let message = format!(
            "1 validation error:\n  {{'type': 'missing', 'loc': '{location}', 'msg': 'Field required'}}"
        );
        ApiError::new(StatusCode::BAD_REQUEST, "Bad Request", message).with_param(location)
    }

    /// 400 about one parameter whose value the message does not repeat.
    pub(super) fn bad_parameter(parameter: &'static str, message: &str) -> ApiError {
        let message = format!("{message} (parameter={parameter})");
        ApiError::bad_request(message).with_param(parameter)
    }

    /// 400: one parameter's value cannot be served. vLLM repeats both in the message.
    pub(super) fn bad_value(
        parameter: &'static str,
        value: impl std::fmt::Display,
        message: impl std::fmt::Display,
    ) -> ApiError {
        let message = format!("{message} (parameter={parameter}, value={value})");
        ApiError::bad_request(message).with_param(parameter)
    }

    /// 404: no such record.
    pub(super) fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "NotFoundError", message)
    }

    /// 404: a model that is not served.
    pub(super) fn unknown_model(name: &str, served: &str) -> ApiError {
        let message = format!("The model `{name}` does not exist. Valid aliases: {served}.");
        ApiError::not_found(message).with_param("model")
    }

    /// 429 with `Retry-After`.
    pub(super) fn too_many_requests(retry_after_s: u32) -> ApiError {
        let status = StatusCode::TOO_MANY_REQUESTS;
        ApiError {
            retry_after_s: Some(retry_after_s),
            ..ApiError::new(status, "Too Many Requests", "Injected fault: rate limited")
        }
    }

    /// 500.
    pub(super) fn internal(message: impl Into<String>) -> ApiError {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        ApiError::new(status, "InternalServerError", message)
    }

    /// 503.
    pub(super) fn unavailable(message: impl Into<String>) -> ApiError {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        ApiError::new(status, "Service Unavailable", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.status.as_u16(),
            }
        });
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The error of the web framework for an unknown path.
pub(super) async fn no_route() -> Response {
    let body = Json(json!({ "detail": "Not Found" }));
    (StatusCode::NOT_FOUND, body).into_response()
}

/// The error of the web framework for an unsupported method.
pub(super) async fn no_method() -> Response {
    let body = Json(json!({ "detail": "Method Not Allowed" }));
    (StatusCode::METHOD_NOT_ALLOWED, body).into_response()
}
