//! Change sets of small templates that have the shapes of ours.

use super::*;
use crate::clock::Time;
use crate::template::Template;

fn pseudo() -> Pseudo {
    Pseudo {
        account: "111122223333".to_owned(),
        region: "us-east-1".to_owned(),
        stack_name: "s".to_owned(),
        stack_id: "id".to_owned(),
    }
}

fn definition(body: &str, parameters: &[(&str, &str)]) -> Definition {
    Definition {
        body: body.to_owned(),
        template: Template::parse(body).unwrap(),
        parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        tags: Vec::new(),
        capabilities: Vec::new(),
    }
}

/// The resources as a deployment of the definition leaves them.
fn deployed(definition: &Definition) -> BTreeMap<String, Resource> {
    let (pseudo, exports) = (pseudo(), BTreeMap::new());
    let lookup = |name: &str, attribute: Option<&str>| {
        Some(Value::from(attribute.map_or(format!("{name}-id"), |attribute| format!("{name}-{attribute}"))))
    };
    let scope = definition.scope(&pseudo, &exports, &lookup);
    let resource = |(name, declared): (&str, crate::template::Declared<'_>)| {
        let attributes = ["Arn", "Name"].map(|attribute| (attribute.to_owned(), format!("{name}-{attribute}")));
        let resource = Resource {
            logical: name.to_owned(),
            kind: declared.kind().to_owned(),
            physical: format!("{name}-id"),
            attributes: attributes.into(),
            properties: scope.evaluate(declared.properties()).unwrap().unwrap(),
            status: "CREATE_COMPLETE".to_owned(),
            reason: None,
            changed: Time(0),
            needs: declared.needs(),
            kept_on_delete: declared.retains("DeletionPolicy"),
            kept_on_replace: declared.retains("UpdateReplacePolicy"),
        };
        (name.to_owned(), resource)
    };
    definition.template.resources().into_iter().map(resource).collect()
}

fn changes(before: &Definition, after: &Definition) -> BTreeMap<String, Value> {
    let (pseudo, exports, resources) = (pseudo(), BTreeMap::new(), deployed(before));
    let comparison =
        Comparison { before: Some(before), resources: &resources, after, pseudo: &pseudo, exports: &exports };
    let changes = comparison.changes().unwrap();
    changes.iter().map(|change| (change.logical.clone(), change.value(true)["ResourceChange"].clone())).collect()
}

const BEFORE: &str = "
Parameters: {Size: {Type: String, Default: '256'}}
Mappings: {Images: {Release: {A: 'a@sha256:1'}}}
Resources:
  Cluster: {Type: 'AWS::ECS::Cluster', Properties: {ClusterName: c, Setting: old}}
  Definition:
    Type: AWS::ECS::TaskDefinition
    Properties: {Cpu: !Ref Size, ContainerDefinitions: [{Name: x, Image: !FindInMap [Images, Release, A]}]}
  Service:
    Type: AWS::ECS::Service
    Properties: {Cluster: !GetAtt Cluster.Arn, ServiceName: svc, TaskDefinition: !Ref Definition}
  Logs: {Type: 'AWS::Logs::LogGroup', DeletionPolicy: Retain, Properties: {LogGroupName: l}}
";

#[test]
fn a_new_image_replaces_the_task_definition_and_changes_the_service() {
    let before = definition(BEFORE, &[("Size", "256")]);
    let after = definition(&BEFORE.replace("sha256:1", "sha256:2"), &[("Size", "256")]);
    let changes = changes(&before, &after);
    assert_eq!(changes.keys().collect::<Vec<_>>(), ["Definition", "Service"]);
    let definition = &changes["Definition"];
    assert_eq!(definition["Replacement"], "True");
    assert_eq!(definition["PolicyAction"], "ReplaceAndDelete");
    let target = &definition["Details"][0]["Target"];
    assert_eq!(target["Path"], "/Properties/ContainerDefinitions/0/Image");
    assert_eq!((&target["BeforeValue"], &target["AfterValue"]), (&json!("a@sha256:1"), &json!("a@sha256:2")));
    let service = &changes["Service"];
    assert_eq!(service["Replacement"], "False");
    let detail = &service["Details"][0];
    assert_eq!(
        (&detail["ChangeSource"], &detail["CausingEntity"]),
        (&json!("ResourceReference"), &json!("Definition"))
    );
    assert!(service["AfterContext"].as_str().unwrap().contains(LATER));
}

#[test]
fn a_parameter_is_named_as_the_cause() {
    let (before, after) = (definition(BEFORE, &[("Size", "256")]), definition(BEFORE, &[("Size", "512")]));
    let changes = changes(&before, &after);
    let detail = &changes["Definition"]["Details"][0];
    assert_eq!((&detail["ChangeSource"], &detail["CausingEntity"]), (&json!("ParameterReference"), &json!("Size")));
}

#[test]
fn an_attribute_of_a_changed_resource_may_replace_what_uses_it() {
    let before = definition(BEFORE, &[("Size", "256")]);
    let after = definition(&BEFORE.replace("Setting: old", "Setting: new"), &[("Size", "256")]);
    let changes = changes(&before, &after);
    assert_eq!(changes["Cluster"]["Replacement"], "False");
    assert_eq!(changes["Service"]["Replacement"], "Conditional");
    assert_eq!(changes["Service"]["Details"][0]["Evaluation"], "Dynamic");
    assert_eq!(changes["Service"]["Details"][0]["CausingEntity"], "Cluster.Arn");
}

#[test]
fn removals_say_what_becomes_of_the_resource() {
    let before = definition(BEFORE, &[("Size", "256")]);
    let shorter = BEFORE.split("  Logs:").next().unwrap().replace("ServiceName: svc", "ServiceName: other");
    let changes = changes(&before, &definition(&shorter, &[("Size", "256")]));
    assert_eq!((&changes["Logs"]["Action"], &changes["Logs"]["PolicyAction"]), (&json!("Remove"), &json!("Retain")));
    assert_eq!(changes["Service"]["Replacement"], "True");
}

#[test]
fn a_policy_alone_is_a_change_and_the_order_of_creation_is_none() {
    let before = definition(BEFORE, &[("Size", "256")]);
    let policy = BEFORE.replace("DeletionPolicy: Retain", "DeletionPolicy: Retain, UpdateReplacePolicy: Retain");
    let found = changes(&before, &definition(&policy, &[("Size", "256")]));
    assert_eq!(found["Logs"]["Scope"], json!(["UpdateReplacePolicy"]));
    assert_eq!(found["Logs"]["Replacement"], "False");
    let order = BEFORE.replace("Type: AWS::ECS::Service", "Type: AWS::ECS::Service\n    DependsOn: Logs");
    assert!(changes(&before, &definition(&order, &[("Size", "256")])).is_empty());
    assert!(changes(&before, &before).is_empty());
}
