"""Creates a stack from a template and a parameter file in moto, in this process, and prints what came of it as JSON."""

import json
import sys

import boto3
from moto import mock_aws

REGION = "us-east-1"
IMPORTS = ["NameSpace", "PreservSecurityGroup", "UnifiedSecurityGroup", "PublicSubnet0", "PublicSubnet1",
           "PrivateSubnet0", "PrivateSubnet1", "FargateIAMRole", "ECSServiceRole", "AutoScalingRole"]


def exporting_template(environment):
    """A stack that exports what the template imports from others."""
    outputs = {name: {"Value": f"{name.lower()}-0", "Export": {"Name": f"{name}-{environment}"}} for name in IMPORTS}
    topic = {"Type": "AWS::SNS::Topic"}
    return json.dumps({"Resources": {"Nothing": topic}, "Outputs": outputs})


@mock_aws
def main(template_path, parameters_path):
    cloudformation = boto3.client("cloudformation", region_name=REGION)
    with open(parameters_path) as file:
        parameters = json.load(file)
    parameters.append({"ParameterKey": "SearchDomainDigest", "ParameterValue": "sha256:" + "0" * 64})
    cloudformation.create_stack(StackName="others", TemplateBody=exporting_template("staging"))
    # Through S3, as a template of this size must go.
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket="templates")
    s3.upload_file(template_path, "templates", "template.json")
    url = "https://templates.s3.amazonaws.com/template.json"
    cloudformation.create_stack(StackName="preserv-services-staging", TemplateURL=url, Parameters=parameters,
                                Capabilities=["CAPABILITY_IAM"])
    status = cloudformation.describe_stacks(StackName="preserv-services-staging")["Stacks"][0]["StackStatus"]
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName="preserv-services-staging")
    kinds = [resource["ResourceType"] for page in pages for resource in page["StackResourceSummaries"]]
    print(json.dumps({"status": status, "services": kinds.count("AWS::ECS::Service"),
                      "task_definitions": kinds.count("AWS::ECS::TaskDefinition"), "resources": len(kinds)}))


main(*sys.argv[1:])
