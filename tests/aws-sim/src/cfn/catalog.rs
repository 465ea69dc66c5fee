//! What is known of each resource type: which property changes replace it, how it is named, what it costs in time.
//!
//! Page: "AWS resource and property types reference", the line "Update requires" of each property. A type that is not
//! listed is never replaced and gets a made-up name.

use serde_json::Value;

/// Whether a change of a property makes a new resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recreation {
    Never,
    Always,
}

impl Recreation {
    /// The word of `ResourceTargetDefinition.RequiresRecreation`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Never => "Never",
            Self::Always => "Always",
        }
    }
}

/// A resource type.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    replaced_by: Replaced,
    /// The property that gives a resource a name which no other may have.
    pub(crate) unique_name: Option<&'static str>,
    /// Simulated seconds that a creation or an update takes; half of that a deletion.
    pub(crate) seconds: u64,
}

#[derive(Debug)]
enum Replaced {
    /// By these properties; a dot leads into a property.
    By(&'static [&'static str]),
    /// By all but these.
    ByAllBut(&'static [&'static str]),
}

use Replaced::{By, ByAllBut};

const KINDS: [Kind; 17] = [
    kind("AWS::ECS::Cluster", By(&["ClusterName"]), Some("ClusterName"), 8),
    kind(
        "AWS::ECS::Service",
        By(&["Cluster", "DeploymentController", "LaunchType", "Role", "SchedulingStrategy", "ServiceName"]),
        Some("ServiceName"),
        5,
    ),
    // A revision is immutable, and a family may have any number, so its name is not unique.
    kind("AWS::ECS::TaskDefinition", ByAllBut(&["Tags"]), None, 2),
    kind("AWS::Logs::LogGroup", By(&["LogGroupName"]), Some("LogGroupName"), 5),
    kind(
        "AWS::ServiceDiscovery::Service",
        By(&[
            "HealthCheckCustomConfig",
            "Name",
            "NamespaceId",
            "Type",
            "DnsConfig.NamespaceId",
            "DnsConfig.RoutingPolicy",
        ]),
        None,
        10,
    ),
    kind(
        "AWS::ApplicationAutoScaling::ScalableTarget",
        By(&["ResourceId", "ScalableDimension", "ServiceNamespace"]),
        None,
        4,
    ),
    kind(
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        By(&["PolicyName", "ResourceId", "ScalableDimension", "ScalingTargetId", "ServiceNamespace"]),
        None,
        4,
    ),
    kind("AWS::CloudWatch::Alarm", By(&["AlarmName"]), Some("AlarmName"), 4),
    kind("AWS::Events::Rule", By(&["Name", "EventBusName"]), Some("Name"), 30),
    kind("AWS::IAM::ManagedPolicy", By(&["Description", "ManagedPolicyName", "Path"]), Some("ManagedPolicyName"), 12),
    kind("AWS::IAM::Role", By(&["Path", "RoleName"]), Some("RoleName"), 18),
    kind("AWS::SQS::Queue", By(&["FifoQueue", "QueueName"]), Some("QueueName"), 40),
    kind("AWS::SQS::QueuePolicy", By(&[]), None, 4),
    kind("AWS::Scheduler::Schedule", By(&["Name"]), Some("Name"), 4),
    kind("AWS::S3::Bucket", By(&["BucketName"]), Some("BucketName"), 20),
    kind("AWS::SNS::Topic", By(&["TopicName"]), Some("TopicName"), 10),
    kind("AWS::EC2::SecurityGroup", By(&["GroupName", "GroupDescription", "VpcId"]), None, 10),
];

static OTHER: Kind = kind("", By(&[]), None, 5);

const fn kind(name: &'static str, replaced_by: Replaced, unique_name: Option<&'static str>, seconds: u64) -> Kind {
    Kind { name, replaced_by, unique_name, seconds }
}

/// What is known of a type.
pub(crate) fn of(name: &str) -> &'static Kind {
    static TABLE: [Kind; 17] = KINDS;
    TABLE.iter().find(|kind| kind.name == name).unwrap_or(&OTHER)
}

impl Kind {
    /// What a change of a property means. `before` and `after` are its values.
    pub(crate) fn recreation(&self, property: &str, before: &Value, after: &Value) -> Recreation {
        let always = match &self.replaced_by {
            ByAllBut(others) => !others.contains(&property),
            By(properties) => properties.iter().any(|path| match path.split_once('.') {
                None => *path == property,
                Some((outer, inner)) => outer == property && before.get(inner) != after.get(inner),
            }),
        };
        if always { Recreation::Always } else { Recreation::Never }
    }

    /// The name that its template gives a resource, if the type's names are unique.
    pub(crate) fn given_name<'a>(&self, properties: &'a Value) -> Option<&'a str> {
        properties.get(self.unique_name?)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_replaces_what() {
        let always = |kind: &str, property: &str| {
            of(kind).recreation(property, &json!({"RoutingPolicy": "A"}), &json!({"RoutingPolicy": "B"}))
                == Recreation::Always
        };
        assert!(always("AWS::ECS::TaskDefinition", "ContainerDefinitions"));
        assert!(!always("AWS::ECS::TaskDefinition", "Tags"));
        assert!(!always("AWS::ECS::Service", "TaskDefinition"));
        assert!(always("AWS::ECS::Service", "ServiceName"));
        assert!(always("AWS::ServiceDiscovery::Service", "DnsConfig"));
        assert!(!always("Custom::Thing", "Anything"));
    }
}
