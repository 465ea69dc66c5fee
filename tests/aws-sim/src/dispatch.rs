//! From a request to its answer: faults that befall any call, the service that is asked, and the record of both.

use serde_json::json;

use crate::wire::{self, Answer, Call, Fault, Raw, Reply, Service};
use crate::world::World;
use crate::{cfn, ecr, ecs, logs, s3, scaling, ssm};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered(Reply),
    /// The connection is closed without an answer.
    Dropped,
}

pub(crate) fn answer(world: &mut World, raw: &Raw) -> Outcome {
    world.clock.called();
    world.catch_up();
    let request_id = world.dice.uuid();
    let call = match wire::read(raw) {
        Ok(call) => call,
        Err(fault) => {
            return Outcome::Answered(wire::write(Service::CloudFormation, "Unknown", &Err(fault), &request_id));
        }
    };
    world.record.begin();
    if world.scenario.faults.drop_connections.as_ref().is_some_and(|waits| world.applies(waits)) {
        world.record.end(&call, world.now, "dropped");
        return Outcome::Dropped;
    }
    if let Some(fault) = injected(world, &call) {
        let now = world.now;
        world.record.end(&call, now, &fault.code);
        return Outcome::Answered(wire::write(call.service, &call.operation, &Err(fault), &request_id));
    }
    let reply = if call.service == Service::S3 {
        let reply = s3::call(world, raw, &call);
        let answer = reply.as_ref().map(|_| json!({})).map_err(Clone::clone);
        note(world, &call, &answer);
        match reply {
            Ok(mut reply) => {
                if let Ok(id) = hyper::header::HeaderValue::from_str(&request_id) {
                    reply.headers_mut().insert("x-amz-request-id", id);
                }
                reply
            }
            Err(fault) => wire::write(call.service, &call.operation, &Err(fault), &request_id),
        }
    } else {
        let answer = ask(world, &call);
        note(world, &call, &answer);
        wire::write(call.service, &call.operation, &answer, &request_id)
    };
    Outcome::Answered(reply)
}

fn note(world: &mut World, call: &Call, answer: &Answer) {
    let outcome = answer.as_ref().map_or_else(|fault| fault.code.clone(), |_| "ok".to_owned());
    let now = world.now;
    world.record.end(call, now, &outcome);
}

fn ask(world: &mut World, call: &Call) -> Answer {
    match call.service {
        Service::CloudFormation => cfn::call(world, call),
        Service::Sts => sts(world, call),
        Service::Ecs => ecs::call(world, call),
        Service::Ssm => ssm::call(world, call),
        Service::Logs => logs::call(world, call),
        Service::Scaling => scaling::call(world, call),
        Service::Scheduler => scaling::schedules(world, call),
        Service::Ecr => ecr::call(world, call),
        Service::S3 => Err(Fault::unknown_operation(call)),
    }
}

/// Page: "GetCallerIdentity".
fn sts(world: &World, call: &Call) -> Answer {
    if call.operation != "GetCallerIdentity" {
        return Err(Fault::unknown_operation(call));
    }
    Ok(json!({
        "UserId": "AROASIMULATOR:session",
        "Account": world.account,
        "Arn": format!("arn:aws:sts::{}:assumed-role/deployer/session", world.account),
    }))
}

/// The fault of the scenario that befalls this call. Each service has its own words: page "Common errors" of each API.
fn injected(world: &mut World, call: &Call) -> Option<Fault> {
    let faults = &world.scenario.faults;
    let service = call.service;
    let name = format!("{}.{}", service.name(), call.operation);
    if faults.expire_credentials.as_ref().is_some_and(|waits| world.applies(waits)) {
        let text = "The security token included in the request is expired";
        return Some(match service.protocol() {
            wire::Protocol::Query(_) => Fault::new("ExpiredToken", text).with_status(403),
            wire::Protocol::RestXml => Fault::new("ExpiredToken", "The provided token has expired."),
            wire::Protocol::Json => Fault::new("ExpiredTokenException", text),
            wire::Protocol::RestJson => Fault::new("ExpiredTokenException", text).with_status(403),
        });
    }
    if faults.clock_skew_seconds.unsigned_abs() > 300 {
        let text = "Signature expired: the time of the request is too far from that of the service";
        return Some(match service.protocol() {
            wire::Protocol::Query(_) => Fault::new("SignatureDoesNotMatch", text).with_status(403),
            wire::Protocol::RestXml => {
                let text = "The difference between the request time and the current time is too large.";
                Fault::new("RequestTimeTooSkewed", text).with_status(403)
            }
            wire::Protocol::Json => Fault::new("InvalidSignatureException", text),
            wire::Protocol::RestJson => Fault::new("InvalidSignatureException", text).with_status(403),
        });
    }
    if faults.access_denied.contains(&name) || faults.access_denied.iter().any(|denied| denied == service.name()) {
        let arn = format!("arn:aws:sts::{}:assumed-role/deployer/session", world.account);
        let text = format!("User: {arn} is not authorized to perform: {}:{}", service.name(), call.operation);
        return Some(match service.protocol() {
            wire::Protocol::Query(_) | wire::Protocol::RestXml => Fault::new("AccessDenied", text).with_status(403),
            wire::Protocol::Json => Fault::new("AccessDeniedException", text),
            wire::Protocol::RestJson => Fault::new("AccessDeniedException", text).with_status(403),
        });
    }
    let throttle = faults.throttle.as_ref()?;
    let concerned =
        throttle.only.is_empty() || throttle.only.iter().any(|only| *only == name || only == service.name());
    let percent = throttle.percent;
    if !concerned || !world.applies(&throttle.when) || !world.dice.percent(percent) {
        return None;
    }
    Some(match service.protocol() {
        wire::Protocol::Query(_) => Fault::new("Throttling", "Rate exceeded"),
        wire::Protocol::RestXml => Fault::new("SlowDown", "Please reduce your request rate.").with_status(503),
        wire::Protocol::Json => Fault::new("ThrottlingException", "Rate exceeded"),
        wire::Protocol::RestJson => Fault::new("ThrottlingException", "Rate exceeded").with_status(429),
    })
}
