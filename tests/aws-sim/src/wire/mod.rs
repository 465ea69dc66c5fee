//! How a request of the AWS SDKs becomes a [`Call`], and an [`Answer`] becomes the response that its protocol wants.
//!
//! Page: "Smithy protocols" (awsQuery, awsJson 1.1, restJson1, restXml), and "Signature Version 4: the credential scope",
//! which names the service that a request is for.

mod query;
pub(crate) mod xml;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::input::Input;

pub(crate) type Reply = Response<Full<Bytes>>;

/// The services that are imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    CloudFormation,
    Sts,
    Ecs,
    Ssm,
    Logs,
    Scaling,
    Ecr,
    Scheduler,
    S3,
}

impl Service {
    /// The name in the credential scope, which also names the service in records and scenarios.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CloudFormation => "cloudformation",
            Self::Sts => "sts",
            Self::Ecs => "ecs",
            Self::Ssm => "ssm",
            Self::Logs => "logs",
            Self::Scaling => "application-autoscaling",
            Self::Ecr => "ecr",
            Self::Scheduler => "scheduler",
            Self::S3 => "s3",
        }
    }

    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::CloudFormation => Protocol::Query("http://cloudformation.amazonaws.com/doc/2010-05-15/"),
            Self::Sts => Protocol::Query("https://sts.amazonaws.com/doc/2011-06-15/"),
            Self::Scheduler => Protocol::RestJson,
            Self::S3 => Protocol::RestXml,
            _ => Protocol::Json,
        }
    }

    fn of_target(prefix: &str) -> Option<Self> {
        Some(match prefix {
            "AmazonEC2ContainerServiceV20141113" => Self::Ecs,
            "AmazonSSM" => Self::Ssm,
            "Logs_20140328" => Self::Logs,
            "AnyScaleFrontendService" => Self::Scaling,
            "AmazonEC2ContainerRegistry_V20150921" => Self::Ecr,
            _ => return None,
        })
    }
}

/// How a service wants requests and responses written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// With the XML namespace of the responses.
    Query(&'static str),
    Json,
    RestJson,
    RestXml,
}

/// A request that was read whole.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) method: String,
    /// Still percent-encoded.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Raw {
    pub(crate) fn new(head: &Request<()>, body: Bytes) -> Self {
        Self {
            method: head.method().to_string(),
            path: head.uri().path().to_owned(),
            query: query::pairs(head.uri().query().unwrap_or_default()),
            headers: head.headers().clone(),
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The service of the credential scope: `AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/aws4_request, …`.
    fn scope(&self) -> Option<&str> {
        self.header("authorization")?.split("Credential=").nth(1)?.split(['/', ',']).nth(3)
    }
}

/// One call of one operation.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) operation: String,
    pub(crate) input: Input,
}

/// What an operation answers: its output, or an error.
pub(crate) type Answer = Result<Value, Fault>;

/// An error as a service reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into() }
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// CloudFormation's word for nearly everything that is wrong with a request.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationError", message)
    }

    pub(crate) fn unknown_operation(call: &Call) -> Self {
        let (service, operation) = (call.service.name(), &call.operation);
        Self::new("InvalidAction", format!("{service}:{operation} is not imitated by this simulator"))
    }
}

/// Which service and operation a request is for. S3 is what is left when nothing else claims it.
pub(crate) fn read(raw: &Raw) -> Result<Call, Fault> {
    if let Some(target) = raw.header("x-amz-target") {
        let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
        let service = Service::of_target(prefix)
            .ok_or_else(|| Fault::new("UnknownOperationException", format!("unknown target {target}")))?;
        let input = if raw.body.is_empty() { json!({}) } else { parse_json(&raw.body)? };
        return Ok(Call { service, operation: operation.to_owned(), input: Input(input) });
    }
    let form = raw.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if raw.method == "POST" && raw.path == "/" && (form || raw.scope() == Some("cloudformation")) {
        let pairs = query::pairs(&String::from_utf8_lossy(&raw.body));
        let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let operation = value("Action").ok_or_else(|| Fault::new("MissingAction", "no Action in the request"))?;
        let service =
            if value("Version").as_deref() == Some("2011-06-15") { Service::Sts } else { Service::CloudFormation };
        return Ok(Call { service, operation, input: Input(query::nest(&pairs)) });
    }
    if raw.scope() == Some("scheduler") {
        return Ok(scheduler(raw));
    }
    let operation = crate::s3::operation(raw);
    Ok(Call { service: Service::S3, operation, input: Input(json!({"path": raw.path, "method": raw.method})) })
}

fn parse_json(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::new("SerializationException", error.to_string()))
}

/// Page: "EventBridge Scheduler API reference": `GET /schedules/{Name}?groupName=` and `GET /schedules`.
fn scheduler(raw: &Raw) -> Call {
    let mut input = Map::new();
    for (key, value) in &raw.query {
        let name = match key.as_str() {
            "groupName" | "ScheduleGroup" => "GroupName",
            other => other,
        };
        input.insert(name.to_owned(), Value::from(value.as_str()));
    }
    let name = raw.path.strip_prefix("/schedules/").filter(|name| !name.is_empty());
    let operation = match (raw.method.as_str(), name) {
        ("GET", Some(name)) => {
            let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
            input.insert("Name".to_owned(), Value::from(name));
            "GetSchedule".to_owned()
        }
        ("GET", None) if raw.path == "/schedules" => "ListSchedules".to_owned(),
        _ => format!("{} {}", raw.method, raw.path),
    };
    Call { service: Service::Scheduler, operation, input: Input(Value::Object(input)) }
}

/// The response for an answer, in the protocol of the service.
pub(crate) fn write(service: Service, operation: &str, answer: &Answer, request_id: &str) -> Reply {
    let status = answer.as_ref().map_or_else(|fault| fault.status, |_| 200);
    let (kind, body) = match (service.protocol(), answer) {
        (Protocol::Query(namespace), Ok(output)) => {
            let result = xml::element(&format!("{operation}Result"), output);
            let metadata = xml::element("ResponseMetadata", &json!({"RequestId": request_id}));
            let body = format!("<{operation}Response xmlns=\"{namespace}\">{result}{metadata}</{operation}Response>\n");
            ("text/xml", body)
        }
        (Protocol::Query(namespace), Err(fault)) => {
            let kind = if fault.status < 500 { "Sender" } else { "Receiver" };
            let error = json!({"Type": kind, "Code": fault.code, "Message": fault.message});
            let error = xml::element("Error", &error);
            let id = xml::element("RequestId", &Value::from(request_id));
            ("text/xml", format!("<ErrorResponse xmlns=\"{namespace}\">{error}{id}</ErrorResponse>\n"))
        }
        (Protocol::Json, Ok(output)) => ("application/x-amz-json-1.1", output.to_string()),
        (Protocol::Json, Err(fault)) => {
            ("application/x-amz-json-1.1", json!({"__type": fault.code, "message": fault.message}).to_string())
        }
        (Protocol::RestJson, Ok(output)) => ("application/json", output.to_string()),
        (Protocol::RestJson, Err(fault)) => ("application/json", json!({"Message": fault.message}).to_string()),
        (Protocol::RestXml, Ok(_)) => ("application/xml", String::new()),
        (Protocol::RestXml, Err(fault)) => {
            let error = json!({"Code": fault.code, "Message": fault.message, "RequestId": request_id});
            let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
            ("application/xml", format!("{head}{}", xml::element("Error", &error)))
        }
    };
    let mut reply = plain(status, kind, body);
    let headers = reply.headers_mut();
    if let Ok(id) = hyper::header::HeaderValue::from_str(request_id) {
        let name = if service == Service::S3 { "x-amz-request-id" } else { "x-amzn-requestid" };
        headers.insert(name, id);
    }
    if let (Protocol::RestJson, Err(fault)) = (service.protocol(), answer)
        && let Ok(code) = hyper::header::HeaderValue::from_str(&fault.code)
    {
        headers.insert("x-amzn-errortype", code);
    }
    reply
}

pub(crate) fn plain(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(kind));
    reply
}
