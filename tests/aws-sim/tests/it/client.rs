//! A small client: HTTP/1.1 over a socket, one connection per request, and just enough of each protocol.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use aws_sim::{Options, Scenario, Simulator};
use serde_json::Value;

pub(crate) struct Client {
    pub(crate) simulator: Simulator,
    host: String,
}

/// A response, read whole.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    /// The text of the first element of that name.
    pub(crate) fn text(&self, element: &str) -> String {
        self.texts(element).into_iter().next().unwrap_or_default()
    }

    /// The texts of all elements of that name that hold no other.
    pub(crate) fn texts(&self, element: &str) -> Vec<String> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let parts = self.body.split(&open).skip(1).filter_map(|rest| rest.split(&close).next());
        parts.map(|text| text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The code of an error, in whichever protocol.
    pub(crate) fn code(&self) -> String {
        if self.body.starts_with('{') {
            let header = self.head.lines().find_map(|line| line.strip_prefix("x-amzn-errortype: "));
            return header.map_or_else(|| self.json()["__type"].as_str().unwrap_or_default().to_owned(), str::to_owned);
        }
        self.text("Code")
    }
}

impl Client {
    pub(crate) fn start(scenario: &str) -> Self {
        let scenario = Scenario::parse(scenario).unwrap();
        Self::with(Simulator::start(Options { scenario, ..Options::default() }).unwrap())
    }

    pub(crate) fn with(simulator: Simulator) -> Self {
        let host = simulator.endpoint().trim_start_matches("http://").to_owned();
        Self { simulator, host }
    }

    /// None if the connection was closed without an answer.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Response> {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.host);
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(head, "content-length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Response { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// A call of the query protocol; the parameters are `Name=value`, with members numbered by the caller.
    pub(crate) fn query(&self, action: &str, parameters: &[(&str, &str)]) -> Response {
        let mut body = format!("Action={action}&Version=2010-05-15");
        for (name, value) in parameters {
            write!(body, "&{name}={}", encode(value)).unwrap();
        }
        self.send("POST", "/", &[("content-type", "application/x-www-form-urlencoded")], &body).unwrap()
    }

    /// A call that must succeed.
    pub(crate) fn ok(&self, action: &str, parameters: &[(&str, &str)]) -> Response {
        let response = self.query(action, parameters);
        assert_eq!(response.status, 200, "{action}: {}", response.body);
        response
    }

    /// A call that must fail; its code and message.
    pub(crate) fn refused(&self, action: &str, parameters: &[(&str, &str)]) -> (String, String) {
        let response = self.query(action, parameters);
        assert_ne!(response.status, 200, "{action} succeeded: {}", response.body);
        (response.code(), response.text("Message"))
    }

    /// A call of a JSON service, such as `ecs` and `DescribeServices`.
    pub(crate) fn json(&self, service: &str, operation: &str, input: &Value) -> Response {
        let target = match service {
            "ecs" => "AmazonEC2ContainerServiceV20141113",
            "ssm" => "AmazonSSM",
            "logs" => "Logs_20140328",
            "application-autoscaling" => "AnyScaleFrontendService",
            "ecr" => "AmazonEC2ContainerRegistry_V20150921",
            other => panic!("no such service: {other}"),
        };
        let target = format!("{target}.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        self.send("POST", "/", &headers, &input.to_string()).unwrap()
    }

    pub(crate) fn ecs(&self, operation: &str, input: &Value) -> Value {
        let response = self.json("ecs", operation, input);
        assert_eq!(response.status, 200, "{operation}: {}", response.body);
        response.json()
    }

    /// A request to the scheduler, which is told from S3 by its signature.
    pub(crate) fn scheduler(&self, path: &str) -> Response {
        self.send("GET", path, &[signed("scheduler")], "").unwrap()
    }

    pub(crate) fn s3(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut all = vec![signed("s3")];
        all.extend_from_slice(headers);
        self.send(method, path, &all, body).unwrap()
    }

    pub(crate) fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let response = self.send(method, &format!("/_sim/{path}"), &[], &body.to_string()).unwrap();
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        response.json()
    }

    /// Lets simulated time pass until nothing is going on, at most half a day.
    pub(crate) fn settle(&self) {
        assert!(self.simulator.settle(std::time::Duration::from_hours(12)), "still not settled after 12 hours");
    }
}

fn signed(service: &str) -> (&'static str, &'static str) {
    match service {
        "scheduler" => {
            ("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/20261124/us-east-1/scheduler/aws4_request, Signature=0")
        }
        _ => ("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/20261124/us-east-1/s3/aws4_request, Signature=0"),
    }
}

pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
