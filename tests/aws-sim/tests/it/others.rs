//! STS, SSM, Logs, ECR, Application Auto Scaling, Scheduler and S3.

use serde_json::json;

use super::client::Client;
use super::template::create;

#[test]
fn sts_names_the_account() {
    let client = Client::start("{}");
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let answer = client.send("POST", "/", &[("content-type", "application/x-www-form-urlencoded")], body).unwrap();
    assert_eq!(answer.text("Account"), "111122223333");
}

#[test]
fn ssm_tells_names_and_never_values() {
    let client = Client::start(r#"{"parameters": ["/T/A", "/T/B", "/T/C"], "limits": {"parameter_page": 2}}"#);
    let by_name = json!({"ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": ["/T/B", "/T/X"]}]});
    let found = client.json("ssm", "DescribeParameters", &by_name).json();
    assert_eq!((found["Parameters"].as_array().unwrap().len(), &found["Parameters"][0]["Name"]), (1, &json!("/T/B")));
    let mut below = json!({"ParameterFilters": [{"Key": "Path", "Option": "OneLevel", "Values": ["/T"]}]});
    let first = client.json("ssm", "DescribeParameters", &below).json();
    below["NextToken"] = first["NextToken"].clone();
    let second = client.json("ssm", "DescribeParameters", &below).json();
    assert_eq!((first["Parameters"].as_array().unwrap().len(), second["Parameters"].as_array().unwrap().len()), (2, 1));
    assert_eq!(client.json("ssm", "GetParameters", &json!({"Names": ["/T/A"]})).code(), "AccessDeniedException");
    assert_eq!(client.simulator.counters()["violations"][0]["operation"], "GetParameters");
}

#[test]
fn logs_come_in_pages_and_in_order() {
    let client = Client::start(r#"{"log_groups": ["/g"], "limits": {"log_page": 10}}"#);
    for index in 0..25 {
        client.control(
            "POST",
            "logs",
            &json!({"group": "/g", "stream": format!("s/{}", index % 2), "message": format!("line {index}")}),
        );
    }
    let (mut seen, mut token) = (Vec::new(), serde_json::Value::Null);
    loop {
        let page = client.json("logs", "FilterLogEvents", &json!({"logGroupName": "/g", "nextToken": token})).json();
        seen.extend(
            page["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap().to_owned()),
        );
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, (0..25).map(|index| format!("line {index}")).collect::<Vec<_>>());
    let stream = |token: &str| {
        let asked = json!({"logGroupName": "/g", "logStreamName": "s/1", "startFromHead": true, "limit": 8, "nextToken": token});
        client.json("logs", "GetLogEvents", &asked).json()
    };
    let first = stream("");
    let second = stream(first["nextForwardToken"].as_str().unwrap());
    assert_eq!((first["events"].as_array().unwrap().len(), second["events"].as_array().unwrap().len()), (8, 4));
    let end = second["nextForwardToken"].as_str().unwrap();
    assert_eq!(stream(end)["nextForwardToken"], end);
    assert_eq!(
        client.json("logs", "FilterLogEvents", &json!({"logGroupName": "/x"})).code(),
        "ResourceNotFoundException"
    );
}

#[test]
fn ecr_knows_images_by_tag_and_digest() {
    let client = Client::start(
        r#"{"images": [{"repository": "a/b", "digest": "sha256:i", "tags": ["t"], "platform_digest": "sha256:p"}]}"#,
    );
    let ids = json!({"repositoryName": "a/b", "imageIds": [{"imageTag": "t"}, {"imageDigest": "sha256:x"}]});
    let answer = client.json("ecr", "BatchGetImage", &ids).json();
    assert_eq!(answer["images"][0]["imageId"]["imageDigest"], "sha256:i");
    assert_eq!(answer["failures"][0]["failureCode"], "ImageNotFound");
    assert!(answer["images"][0]["imageManifest"].as_str().unwrap().contains("sha256:p"));
    assert_eq!(client.json("ecr", "DescribeImages", &ids).code(), "ImageNotFoundException");
    let other = json!({"repositoryName": "a/c", "imageIds": [{"imageTag": "t"}]});
    assert_eq!(client.json("ecr", "DescribeImages", &other).code(), "RepositoryNotFoundException");
}

#[test]
fn scaling_and_schedules_are_read_from_the_stack() {
    let client = Client::start("{}");
    create(&client);
    let targets =
        client.json("application-autoscaling", "DescribeScalableTargets", &json!({"ServiceNamespace": "ecs"})).json();
    let target = &targets["ScalableTargets"][0];
    assert_eq!((&target["ResourceId"], &target["MaxCapacity"]), (&json!("service/cluster/svc-b"), &json!(4)));
    let policies =
        client.json("application-autoscaling", "DescribeScalingPolicies", &json!({"ServiceNamespace": "ecs"})).json();
    let policy = &policies["ScalingPolicies"][0];
    assert_eq!((&policy["PolicyName"], &policy["ResourceId"]), (&json!("cpu"), &json!("service/cluster/svc-b")));
    assert_eq!(policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"], 60);
    let schedule = client.scheduler("/schedules/cron?groupName=default").json();
    let target = &schedule["Target"]["EcsParameters"];
    assert_eq!(target["TaskDefinitionArn"], "arn:aws:ecs:us-east-1:111122223333:task-definition/a:1");
    assert_eq!(target["NetworkConfiguration"]["awsvpcConfiguration"]["Subnets"], json!(["s"]));
    assert_eq!(client.scheduler("/schedules").json()["Schedules"][0]["Name"], "cron");
    let missing = client.scheduler("/schedules/none");
    assert_eq!((missing.status, missing.code().as_str()), (404, "ResourceNotFoundException"));
}

#[test]
fn s3_keeps_versions_and_guards_its_buckets() {
    let client = Client::start(
        r#"{"buckets": [{"name": "own"}, {"name": "plain", "versioning": false, "encryption": null,
        "public_access_blocked": false, "region": "eu-west-1"}, {"name": "theirs", "owner": "999999999999"}]}"#,
    );
    let put =
        client.s3("PUT", "/own/a%20b", &[("x-amz-meta-commit", "abc"), ("x-amz-checksum-crc32", "AAAAAA==")], "one");
    let version = put.head.lines().find_map(|line| line.strip_prefix("x-amz-version-id: ")).unwrap().to_owned();
    client.s3("PUT", "/own/a%20b", &[], "two");
    assert_eq!(client.s3("GET", "/own/a%20b", &[], "").body, "two");
    let old = client.s3("GET", &format!("/own/a%20b?versionId={version}"), &[("x-amz-checksum-mode", "ENABLED")], "");
    assert_eq!(old.body, "one");
    assert!(
        old.head.contains("x-amz-meta-commit: abc") && old.head.contains("x-amz-checksum-crc32: AAAAAA=="),
        "{}",
        old.head
    );
    let again = client.s3("PUT", "/own/a%20b", &[("if-none-match", "*")], "three");
    assert_eq!((again.status, again.code().as_str()), (412, "PreconditionFailed"));
    assert_eq!(client.s3("GET", "/own/none", &[], "").code(), "NoSuchKey");
    assert_eq!(client.s3("GET", "/none/x", &[], "").code(), "NoSuchBucket");
    assert_eq!(client.s3("GET", "/theirs/x", &[], "").code(), "AccessDenied");
    let owner = [("x-amz-expected-bucket-owner", "999999999999")];
    assert_eq!(client.s3("GET", "/own/a%20b", &owner, "").code(), "AccessDenied");
    assert_eq!(client.s3("GET", "/own?versioning", &[], "").text("Status"), "Enabled");
    assert_eq!(client.s3("GET", "/plain?versioning", &[], "").text("Status"), "");
    assert_eq!(client.s3("GET", "/own?encryption", &[], "").text("SSEAlgorithm"), "AES256");
    assert_eq!(client.s3("GET", "/plain?encryption", &[], "").code(), "ServerSideEncryptionConfigurationNotFoundError");
    assert_eq!(client.s3("GET", "/own?publicAccessBlock", &[], "").text("BlockPublicAcls"), "true");
    assert_eq!(client.s3("GET", "/plain?publicAccessBlock", &[], "").code(), "NoSuchPublicAccessBlockConfiguration");
    assert!(client.s3("GET", "/plain?location", &[], "").body.contains(">eu-west-1<"));
    assert_eq!(client.s3("HEAD", "/own", &[], "").status, 200);
    let list = client.s3("GET", "/own?list-type=2&prefix=a", &[], "");
    assert_eq!((list.text("KeyCount").as_str(), list.text("Key").as_str()), ("1", "a b"));
}
