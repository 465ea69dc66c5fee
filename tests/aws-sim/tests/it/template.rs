//! The template that most tests use, and the steps that they share: create a stack, change it, look at it.

use super::client::Client;

pub(crate) const STACK: &str = "stack";

/// A cluster with two services, a cron job and what stands around them, as in our template.
pub(crate) const TEMPLATE: &str = "
Parameters:
  Image: {Type: String, Default: 'a/b@sha256:1'}
  Days: {Type: Number, Default: 30}
Resources:
  Cluster: {Type: 'AWS::ECS::Cluster', Properties: {ClusterName: cluster}}
  Logs:
    Type: AWS::Logs::LogGroup
    DeletionPolicy: Retain
    Properties: {LogGroupName: /ecs/test, RetentionInDays: !Ref Days}
  Role: {Type: 'AWS::IAM::Role', Properties: {AssumeRolePolicyDocument: {Statement: []}}}
  ADefinition:
    Type: AWS::ECS::TaskDefinition
    Properties:
      Family: a
      Cpu: 256
      Memory: '512'
      NetworkMode: awsvpc
      ExecutionRoleArn: !GetAtt Role.Arn
      ContainerDefinitions:
        - Name: a
          Image: !Ref Image
          HealthCheck: {Command: [CMD, /a], Interval: 30, Retries: 3, StartPeriod: 60}
          Secrets: [{Name: URL, ValueFrom: !Sub 'arn:aws:ssm:${AWS::Region}:${AWS::AccountId}:parameter/TEST/URL'}]
          LogConfiguration: {LogDriver: awslogs, Options: {awslogs-group: !Ref Logs, awslogs-stream-prefix: a}}
  AService:
    Type: AWS::ECS::Service
    Properties:
      ServiceName: svc-a
      Cluster: !GetAtt Cluster.Arn
      TaskDefinition: !Ref ADefinition
      DeploymentConfiguration: {DeploymentCircuitBreaker: {Enable: true, Rollback: true}}
  BDefinition:
    Type: AWS::ECS::TaskDefinition
    Properties: {Family: b, ContainerDefinitions: [{Name: b, Image: !Ref Image}]}
  BService:
    Type: AWS::ECS::Service
    Properties: {ServiceName: svc-b, Cluster: !GetAtt Cluster.Arn, TaskDefinition: !Ref BDefinition}
  Target:
    Type: AWS::ApplicationAutoScaling::ScalableTarget
    DependsOn: BService
    Properties:
      ServiceNamespace: ecs
      ScalableDimension: ecs:service:DesiredCount
      ResourceId: service/cluster/svc-b
      MinCapacity: 2
      MaxCapacity: '4'
  Policy:
    Type: AWS::ApplicationAutoScaling::ScalingPolicy
    Properties:
      PolicyName: cpu
      PolicyType: TargetTrackingScaling
      ScalingTargetId: !Ref Target
      TargetTrackingScalingPolicyConfiguration: {TargetValue: '60', ScaleInCooldown: 300}
  Schedule:
    Type: AWS::Scheduler::Schedule
    Properties:
      Name: cron
      ScheduleExpression: rate(5 minutes)
      FlexibleTimeWindow: {Mode: 'OFF'}
      Target:
        Arn: !GetAtt Cluster.Arn
        RoleArn: !GetAtt Role.Arn
        EcsParameters:
          TaskDefinitionArn: !Ref ADefinition
          NetworkConfiguration: {AwsvpcConfiguration: {Subnets: [s]}}
Outputs:
  Cluster: {Value: !Ref Cluster, Export: {Name: cluster-name}}
";

const CAPABILITY: (&str, &str) = ("Capabilities.member.1", "CAPABILITY_IAM");

/// Creates the stack and waits for whatever becomes of it.
pub(crate) fn create(client: &Client) -> String {
    create_with(client, &[])
}

pub(crate) fn create_with(client: &Client, more: &[(&str, &str)]) -> String {
    let mut parameters = vec![
        ("StackName", STACK),
        ("ChangeSetName", "create"),
        ("ChangeSetType", "CREATE"),
        ("TemplateBody", TEMPLATE),
        CAPABILITY,
    ];
    parameters.extend_from_slice(more);
    client.ok("CreateChangeSet", &parameters);
    client.settle();
    client.ok("ExecuteChangeSet", &[("StackName", STACK), ("ChangeSetName", "create")]);
    client.settle();
    status(client)
}

/// Prepares an update to another template.
pub(crate) fn prepare(client: &Client, name: &str, body: &str) -> String {
    let parameters = [("StackName", STACK), ("ChangeSetName", name), ("TemplateBody", body), CAPABILITY];
    let id = client.ok("CreateChangeSet", &parameters).text("Id");
    client.settle();
    id
}

/// Updates the stack and waits for whatever becomes of it.
pub(crate) fn update(client: &Client, body: &str) -> String {
    start_update(client, body);
    client.settle();
    status(client)
}

pub(crate) fn start_update(client: &Client, body: &str) {
    let id = prepare(client, "update", body);
    let set = client.ok("DescribeChangeSet", &[("ChangeSetName", &id)]);
    assert_eq!(set.text("ExecutionStatus"), "AVAILABLE", "{}", set.body);
    client.ok("ExecuteChangeSet", &[("ChangeSetName", &id), ("ClientRequestToken", "token-of-update")]);
}

/// The template with another image.
pub(crate) fn with_image(digest: &str) -> String {
    TEMPLATE.replace("sha256:1", digest)
}

pub(crate) fn status(client: &Client) -> String {
    client.ok("DescribeStacks", &[("StackName", STACK)]).text("StackStatus")
}

/// An event: logical id, status, reason.
pub(crate) type Event = (String, String, String);

/// Every event of the stack, oldest first, and each once.
pub(crate) fn events(client: &Client) -> Vec<Event> {
    let (mut events, mut seen) = (Vec::new(), std::collections::HashSet::new());
    let mut token = String::new();
    loop {
        let mut parameters = vec![("StackName", STACK)];
        if !token.is_empty() {
            parameters.push(("NextToken", &token));
        }
        let page = client.query("DescribeStackEvents", &parameters);
        if page.code() == "Throttling" {
            continue;
        }
        for event in page.texts("StackEvents").concat().split("<member>").skip(1) {
            let field = |name: &str| {
                let rest = event.split(&format!("<{name}>")).nth(1);
                rest.and_then(|rest| rest.split("</").next()).unwrap_or_default().to_owned()
            };
            if seen.insert(field("EventId")) {
                events.push((field("LogicalResourceId"), field("ResourceStatus"), field("ResourceStatusReason")));
            }
        }
        token = page.text("NextToken");
        if token.is_empty() {
            break;
        }
    }
    events.reverse();
    events
}

/// Where the first event with that logical id and status is.
pub(crate) fn position(events: &[Event], logical: &str, status: &str) -> usize {
    let found = events.iter().position(|event| event.0 == logical && event.1 == status);
    found.unwrap_or_else(|| panic!("no event {logical} {status} in {events:#?}"))
}
