"""Asks moto and the simulator the same questions and compares the answers, without what must differ (ids, times).

Usage: compare.py <endpoint of moto> <endpoint of the simulator>
Prints each difference, and exits with 1 if there is one. README.md says where the two are known to differ.
"""

import json
import os
import sys
import time
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

STACK = "comparison"
ACCOUNT = "123456789012"
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "template.yml"), encoding="utf-8") as file:
    TEMPLATE = file.read()
REQUEST = {
    "TemplateBody": TEMPLATE,
    "Capabilities": ["CAPABILITY_IAM"],
    "Tags": [{"Key": "Environment", "Value": "test"}],
    "Parameters": [{"ParameterKey": "Image", "ParameterValue": "aptrust/a@sha256:2222"}],
}


class Side:
    """One of the two, with its clients."""

    def __init__(self, name, endpoint):
        self.name, self.endpoint, self.clients = name, endpoint, {}

    def __getattr__(self, service):
        service = service.replace("_", "-")
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service, endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id="key",
                aws_secret_access_key="secret", config=Config(retries={"total_max_attempts": 1}),
            )
        return self.clients[service]


def pick(item, *names):
    return {name: item.get(name) for name in names}


def code(call, **arguments):
    """The code of the error that a call ends in."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "no error"


def changes(side):
    """A change set for a stack that is not there yet; not executed, and taken away again."""
    cfn = side.cloudformation
    made = cfn.create_change_set(StackName="reviewed", ChangeSetName="first", ChangeSetType="CREATE", **REQUEST)
    wait(lambda: cfn.describe_change_set(ChangeSetName=made["Id"])["Status"] == "CREATE_COMPLETE", side)
    found = cfn.describe_change_set(ChangeSetName=made["Id"])
    listed = cfn.list_change_sets(StackName="reviewed")["Summaries"]
    status = cfn.describe_stacks(StackName="reviewed")["Stacks"][0]["StackStatus"]
    cfn.delete_stack(StackName="reviewed")
    picked = [pick(change["ResourceChange"], "Action", "LogicalResourceId", "ResourceType") for change in found["Changes"]]
    # moto lists resources whose condition is false as well.
    picked = [change for change in picked if change["LogicalResourceId"] != "OnlyInProd"]
    picked.sort(key=lambda change: change["LogicalResourceId"])
    sets = [pick(item, "ChangeSetName", "Status", "ExecutionStatus") for item in [found, *listed]]
    return status, sets, picked


def create(side):
    """The stack. A stack that moto makes by a change set lacks outputs and resources, so it makes it at once."""
    cfn = side.cloudformation
    if side.name == "moto":
        cfn.create_stack(StackName=STACK, **REQUEST)
    else:
        made = cfn.create_change_set(StackName=STACK, ChangeSetName="first", ChangeSetType="CREATE", **REQUEST)
        wait(lambda: cfn.describe_change_set(ChangeSetName=made["Id"])["Status"] == "CREATE_COMPLETE", side)
        cfn.execute_change_set(ChangeSetName=made["Id"])
    wait(lambda: cfn.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE", side)
    return "created"


def wait(done, side, seconds=60):
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"{side.name}: not done after {seconds} s")
        time.sleep(0.05)


def stack(side):
    found = side.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    answer = pick(found, "StackName", "StackStatus", "Description", "Tags")
    answer["Parameters"] = sorted(((p["ParameterKey"], p["ParameterValue"]) for p in found["Parameters"]))
    outputs = [pick(o, "OutputKey", "OutputValue", "Description", "ExportName") for o in found["Outputs"]]
    answer["Outputs"] = sorted(outputs, key=lambda output: output["OutputKey"])
    return answer


def resources(side):
    found = side.cloudformation.list_stack_resources(StackName=STACK)["StackResourceSummaries"]
    also = side.cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    fields = ("LogicalResourceId", "ResourceType", "ResourceStatus")
    # moto lists a resource without a name for one whose condition is false.
    found, also = ([r for r in each if r.get("LogicalResourceId")] for each in (found, also))
    both = [sorted(tuple(r[field] for field in fields) for r in each) for each in (found, also)]
    assert both[0] == both[1], f"{side.name}: the two listings of resources differ"
    # Only what has a name of its own has the same id on both sides.
    named = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found if r["LogicalResourceId"] in ("Cluster", "Logs", "Definition", "Service")}
    return both[0], sorted(named.items())


def events(side):
    """The stack's own events and the ends of its resources; moto has no steps in between."""
    found = side.cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    times = [event["Timestamp"] for event in found]
    assert times == sorted(times, reverse=True), f"{side.name}: events are not newest first"
    assert len({event["EventId"] for event in found}) == len(found), f"{side.name}: an event id occurs twice"
    ends = {(event["LogicalResourceId"], event["ResourceType"]) for event in found if event["ResourceStatus"] == "CREATE_COMPLETE"}
    return sorted(end for end in ends if end[0] == STACK), found[0]["ResourceStatus"]


def template(side):
    text = side.cloudformation.get_template(StackName=STACK)["TemplateBody"]
    summary = side.cloudformation.get_template_summary(TemplateBody=TEMPLATE)
    parameters = [pick(p, "ParameterKey", "DefaultValue", "ParameterType") for p in summary["Parameters"]]
    return text == TEMPLATE, sorted(parameters, key=lambda p: p["ParameterKey"]), sorted(set(summary["ResourceTypes"]))


def exports(side):
    return [pick(export, "Name", "Value") for export in side.cloudformation.list_exports()["Exports"]]


def ecs(side):
    client, cluster = side.ecs, "ecs-staging"
    service = client.describe_services(cluster=cluster, services=["ecs-a"])["services"][0]
    definition = client.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    # moto makes a task definition without its CPU, network mode and compatibilities, and counts no services.
    fields = ("family", "revision", "status", "memory", "taskDefinitionArn")
    container = definition["containerDefinitions"][0]
    return {
        "clusters": client.list_clusters()["clusterArns"],
        "cluster": pick(client.describe_clusters(clusters=[cluster])["clusters"][0], "clusterArn", "clusterName", "status"),
        "services": client.list_services(cluster=cluster)["serviceArns"],
        "service": pick(service, "serviceArn", "serviceName", "clusterArn", "status", "desiredCount", "taskDefinition", "schedulingStrategy"),
        "primary": pick(service["deployments"][0], "status", "desiredCount", "taskDefinition"),
        "definition": pick(definition, *fields),
        "container": pick(container, "name", "image", "essential", "command", "environment", "secrets", "logConfiguration"),
        "absent": [f["reason"] for f in client.describe_services(cluster=cluster, services=["none"])["failures"]],
        "stopped": client.list_tasks(cluster=cluster, desiredStatus="STOPPED")["taskArns"],
    }


def errors(side):
    """Codes of errors. Not that of an absent change set: moto says ValidationError, AWS ChangeSetNotFound."""
    cfn, ecs_client = side.cloudformation, side.ecs
    return {
        "no stack": code(cfn.describe_stacks, StackName="none"),
        "no cluster": code(ecs_client.describe_services, cluster="none", services=["x"]),
        "no task definition": code(ecs_client.describe_task_definition, taskDefinition="none"),
        "no log group": code(side.logs.filter_log_events, logGroupName="/none"),
        "no schedule": code(side.scheduler.get_schedule, Name="none"),
        "no key": code(side.s3.get_object, Bucket="templates", Key="none"),
        "no bucket": code(side.s3.get_object, Bucket="no-such-bucket", Key="none"),
        "no repository": code(side.ecr.describe_images, repositoryName="none"),
    }


def logs(side):
    return [pick(group, "logGroupName", "retentionInDays", "arn") for group in side.logs.describe_log_groups(logGroupNamePrefix="/ecs/")["logGroups"]]


def ssm(side):
    filters = [{"Key": "Name", "Option": "Equals", "Values": ["/T/URL", "/T/NONE"]}]
    found = side.ssm.describe_parameters(ParameterFilters=filters)["Parameters"]
    return [pick(parameter, "Name", "Type") for parameter in found]


def s3(side):
    client = side.s3
    put = client.put_object(Bucket="templates", Key="a/b c.yml", Body=TEMPLATE.encode(), Metadata={"commit": "abc"})
    got = client.get_object(Bucket="templates", Key="a/b c.yml")
    head = client.head_object(Bucket="templates", Key="a/b c.yml", VersionId=put["VersionId"], ExpectedBucketOwner=ACCOUNT)
    return {
        "same": got["Body"].read().decode() == TEMPLATE,
        "metadata": got["Metadata"],
        "length": head["ContentLength"],
        "versioning": client.get_bucket_versioning(Bucket="templates").get("Status"),
        "location": client.get_bucket_location(Bucket="templates").get("LocationConstraint"),
        "blocked": client.get_public_access_block(Bucket="templates")["PublicAccessBlockConfiguration"],
        "keys": [item["Key"] for item in client.list_objects_v2(Bucket="templates", Prefix="a/")["Contents"]],
        "conditional": code(client.put_object, Bucket="templates", Key="a/b c.yml", Body=b"", IfNoneMatch="*"),
    }


def ecr(side):
    by_tag = side.ecr.batch_get_image(repositoryName="aptrust/a", imageIds=[{"imageTag": "t"}, {"imageTag": "none"}])
    found = side.ecr.describe_images(repositoryName="aptrust/a", imageIds=[{"imageTag": "t"}])["imageDetails"][0]
    return {
        "found": [image["imageId"] for image in by_tag["images"]],
        "failures": [failure["failureCode"] for failure in by_tag["failures"]],
        "details": pick(found, "repositoryName", "imageDigest", "imageTags"),
    }


def identity(side):
    return side.sts.get_caller_identity()["Account"]


def prepare(moto, simulator):
    """What both need before a stack is made."""
    for parameter in ("/T/URL", "/T/OTHER"):
        moto.ssm.put_parameter(Name=parameter, Value="x", Type="SecureString")
    moto.s3.create_bucket(Bucket="templates")
    moto.s3.put_bucket_versioning(Bucket="templates", VersioningConfiguration={"Status": "Enabled"})
    blocked = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    moto.s3.put_public_access_block(Bucket="templates", PublicAccessBlockConfiguration=blocked)
    moto.ecr.create_repository(repositoryName="aptrust/a")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:0", "size": 1}, "layers": []}
    image = moto.ecr.put_image(repositoryName="aptrust/a", imageManifest=json.dumps(manifest), imageTag="t")["image"]
    images = [{"repository": "aptrust/a", "tags": ["t"], "digest": image["imageId"]["imageDigest"]},
              {"repository": "aptrust/a", "digest": "sha256:2222"}]
    scenario = {"parameters": ["/T/URL", "/T/OTHER"], "buckets": [{"name": "templates"}], "images": images}
    request = urllib.request.Request(f"{simulator.endpoint}/_sim/scenario", data=json.dumps(scenario).encode())
    with urllib.request.urlopen(request) as answer:
        answer.read()


def main():
    moto, simulator = Side("moto", sys.argv[1]), Side("simulator", sys.argv[2])
    prepare(moto, simulator)
    differences = 0
    for question in (identity, changes, create, stack, resources, events, template, exports, ecs, errors, logs, ssm, s3, ecr):
        answers = [json.loads(json.dumps(question(side), default=str, sort_keys=True)) for side in (moto, simulator)]
        if answers[0] == answers[1]:
            print(f"{question.__name__}: the same")
            continue
        differences += 1
        print(f"{question.__name__}: different")
        for side, answer in zip(("moto", "simulator"), answers):
            print(f"  {side}: {json.dumps(answer)}")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
