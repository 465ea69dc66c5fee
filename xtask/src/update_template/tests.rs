//! The rule, the splice and the proof, on texts small enough to read.

use super::images::{self, Found};
use super::splice::{self, Edit};
use super::template;
use super::yaml::Yaml;

/// Long names first: one is the beginning of another, as among the real ones.
const SERVICES: [&str; 4] = ["apt_queue_fixity", "apt_queue", "apt_delete", "apt_fixity"];

/// `@sha256:` and a digest.
fn new_pin() -> String {
    format!("@sha256:{}", "0123456789abcdef".repeat(4))
}

fn found(text: &str) -> Found {
    let yaml = template::parse(text).unwrap_or_else(|why| panic!("{why}:\n{text}"));
    images::find(text, &yaml, &SERVICES.map(str::to_owned), "aptrust")
}

/// Pins every image to [`new_pin`], and proves the result.
fn pinned(text: &str) -> String {
    let found = found(text);
    assert_eq!(found.problems, [""; 0], "{text}");
    let changed = found.images.iter().filter(|image| image.pin != new_pin());
    let edits: Vec<Edit> = changed.map(|image| Edit::new(image, &new_pin())).collect();
    let result = splice::splice(text, &edits);
    splice::prove(text, &result, &edits).unwrap_or_else(|error| panic!("{error:#}\n{text}\n{result}"));
    result
}

/// `:old` is what must change, and nothing else.
#[track_caller]
fn only_old_changes(text: &str) {
    assert!(text.contains(":old"));
    let expected = text.replace(":old", &new_pin());
    assert_eq!(pinned(text), expected);
    assert_eq!(pinned(&expected), expected, "a second time");
}

/// A template with one container of this `Image`.
fn container(image: &str) -> String {
    format!(
        "Resources:\n  Task:\n    Type: AWS::ECS::TaskDefinition\n    Properties:\n      ContainerDefinitions:\n        - Name: x\n          Image: {image}\n"
    )
}

#[track_caller]
fn refuses(text: &str, why: &str) {
    let problems = found(text).problems;
    assert!(problems.iter().any(|problem| problem.contains(why)), "`{why}` is not in {problems:#?}\n{text}");
}

#[test]
fn images_are_found_in_every_form() {
    let ecr = "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/docker-hub/aptrust";
    for image in [
        "aptrust/apt_delete:old".to_owned(),
        "apt_delete:old # the one of ours".to_owned(),
        "'aptrust/apt_delete:old'   # quoted".to_owned(),
        "\"localhost:5000/try/apt_delete:old\" # 'quoted'".to_owned(),
        "&anchor aptrust/apt_delete:old".to_owned(),
        format!("!Sub {ecr}/apt_delete:old"),
        format!("!Sub '{ecr}/apt_delete:old'"),
        format!("!Sub \"ä✓{ecr}/apt_delete:old\""),
        format!("{{'Fn::Sub': '{ecr}/apt_delete:old'}}"),
        format!("\n            Fn::Sub: {ecr}/apt_delete:old"),
        format!("!Sub\n            - '${{Host}}/apt_delete:old'\n            - Host: {ecr}"),
        "!Sub ['${Prefix}${Reference}', {Prefix: !Ref ImagePrefix, Reference: 'apt_delete:old'}]".to_owned(),
        "!Join ['', [!Ref Prefix, 'aptrust/', 'apt_delete:old']]".to_owned(),
        "!Join ['/', [!Ref Prefix, aptrust, !If [A, 'apt_delete:old', 'apt_delete:old']]]".to_owned(),
        "!Sub ['${A}/x/apt_delete:old', {A: apt_queue, B: apt_fixity}]".to_owned(),
        "!Join ['/', [apt_queue, aptrust, 'apt_delete:old']]".to_owned(),
        "!If [IsProd, !Sub 'x/apt_delete:old', 'y/apt_delete:old']".to_owned(),
        format!("!Sub >-\n            {ecr}/apt_delete:old"),
        format!("!Sub |\n            {ecr}/apt_delete:old\n\n        # and a comment"),
        "!Sub ${ImagePrefix}apt_delete:old".to_owned(),
    ] {
        only_old_changes(&container(&image));
        only_old_changes(&format!("\u{feff}{}", container(&image).replace('\n', "\r\n")));
        only_old_changes(&format!("# ä ✓ 日本 𝄞\n{}", container(&image)));
    }
}

#[test]
fn whatever_pin_stands_there_is_replaced() {
    let digest = format!("@sha256:{}", "f".repeat(64));
    for pin in ["", ":a23ba20-master", &digest, &format!(":latest{digest}"), ":_.-X9"] {
        for quote in ["", "'", "\""] {
            let with = |pin: &str| container(&format!("{quote}aptrust/apt_delete{pin}{quote}  # {pin}?"));
            let expected = with(pin).replacen(&format!("apt_delete{pin}"), &format!("apt_delete{}", new_pin()), 1);
            assert_eq!(pinned(&with(pin)), expected);
        }
    }
}

#[test]
fn mappings_are_images_where_an_image_reads_them() {
    let task = |lookup: &str| container(&format!("!Sub ['${{P}}${{R}}', {{P: !Ref P, R: {lookup}}}]"));
    let mappings = "Mappings:\n  Images:\n    Release:\n      AptDelete: apt_delete:old\n      AptQueue: 'apt_queue:keep'\n    Other:\n      AptDelete: apt_delete:keep\n  Names: {Release: {AptDelete: apt_delete}}\n";
    only_old_changes(&format!("{mappings}{}", task("!FindInMap [Images, Release, AptDelete]")));
    only_old_changes(&format!("{}{mappings}", task("{'Fn::FindInMap': [Images, Release, AptDelete]}")));
    // A key that is not literal can be any.
    let all = mappings.replace("apt_delete:keep", "apt_delete:old");
    only_old_changes(&format!("{all}{}", task("!FindInMap [Images, !Ref DNS, AptDelete]")));
    let mentions = found(&format!("{mappings}{}", task("!FindInMap [Images, Release, AptDelete]"))).mentions;
    assert_eq!(
        mentions,
        [
            "line 5: `apt_queue:keep` is the image of no container",
            "line 7: `apt_delete:keep` is the image of no container"
        ]
    );
    assert!(found(mappings).images.is_empty(), "nobody reads them");
}

#[test]
fn what_only_looks_like_an_image_is_left_alone() {
    let text = format!(
        "Description: runs aptrust/apt_delete:keep\nMetadata: {{Image: aptrust/apt_delete:keep}}\nParameters:\n  Image: {{Type: String, Default: 'aptrust/apt_delete:keep'}}\n{}\
         \x20         Command: [/apt_delete, 'apt_delete:keep']\n          HealthCheck: {{Command: [CMD, /apt_delete, --health]}}\n          Environment:\n            - {{Name: apt_delete, Value: 'aptrust/apt_delete:keep'}}\n\
         \x20         DockerLabels: {{Image: 'aptrust/apt_delete:keep'}}\n          # Image: aptrust/apt_delete:keep\n        - Name: apt_delete\n          Image: docker.io/library/nginx:keep\n\
         \x20         Secrets:\n            - {{Name: apt_delete, ValueFrom: !Sub 'arn:aws:ssm:x:y:parameter/apt_delete'}}\n        - Image: docker/apt_delete_sidecar:keep\n  apt_delete:\n    Type: AWS::Lambda::Function\n    Properties: {{Environment: {{Variables: {{Image: 'x/apt_delete:keep'}}}}}}\n",
        container("aptrust/apt_delete:old")
    );
    only_old_changes(&text);
    let mentions = found(&text).mentions;
    assert!(mentions.iter().any(|mention| mention.ends_with("`aptrust/apt_delete:keep` is commented out")));
    assert_eq!(mentions.len(), 7, "{mentions:#?}");
}

#[test]
fn aliases_merges_conditions_and_further_documents() {
    only_old_changes(
        "Metadata:\n  Base: &base {Image: aptrust/apt_delete:old, Essential: true}\nResources:\n  A:\n    Properties:\n      ContainerDefinitions: [*base]\n  B:\n    Properties:\n      ContainerDefinitions:\n        - <<: *base\n          Name: b\n        - !If [C, {Image: apt_queue:old}, !Ref AWS::NoValue]\n---\nResources: {C: {Properties: {ContainerDefinitions: !If [C, [{Image: apt_fixity:old}], []]}}}\n...\n",
    );
    // JSON is YAML, tabs included.
    only_old_changes(
        "{\n\t\"Resources\": {\"T\": {\"Properties\": {\n\t\t\"ContainerDefinitions\": [{\"Image\": {\"Fn::Sub\": \"${P}/apt_delete:old\"}}]\n}}}}\n",
    );
}

#[test]
fn what_cannot_be_pinned_as_a_whole_is_refused() {
    refuses(&container("!Sub 'aptrust/apt_delete:${Tag}'"), "line 7: `:${Tag}`");
    refuses(&container("aptrust/apt_delete@sha256:1234"), "neither a tag nor a digest");
    refuses(&container("!Join [':', ['aptrust/apt_delete', !Ref Tag]]"), "put together from pieces");
    refuses(&container("!Join ['', ['aptrust/apt_delete:', !Ref Tag]]"), "put together from pieces");
    refuses(&container("!Sub ['${P}${Name}:${Tag}', {Name: apt_delete}]"), "put together from pieces");
    refuses(&container("\"aptrust/apt\\x5fdelete:old\""), "written with escapes");
    refuses(&container("\"aptrust/apt_delete:o\\\n            ld\""), "written with escapes or over several lines");
    // Read in two ways, of which one goes on behind it.
    let twice = format!(
        "Mappings: {{M: {{R: {{A: apt_delete}}}}}}\n{}        - Image: !Join ['', [x/, !FindInMap [M, R, A], ':tag']]\n",
        container("!FindInMap [M, R, A]")
    );
    refuses(&twice, "put together from pieces");
}

#[test]
fn one_service_in_two_containers_is_refused_and_one_shared_value_is_not() {
    let two = format!("{}        - Image: aptrust/apt_delete:old\n", container("aptrust/apt_delete:old"));
    refuses(&two, "the containers of lines 6 and 8 all have an image of apt_delete");
    only_old_changes(&format!(
        "Mappings: {{M: {{R: {{A: apt_delete:old}}}}}}\n{}        - Image: !FindInMap [M, R, A]\n",
        container("!FindInMap [M, R, A]")
    ));
}

#[test]
fn images_of_services_that_do_not_exist_are_refused() {
    refuses(
        &container("docker.io/aptrust/apt_deleet:old"),
        "names no service: services/apps/src/bin has no apt_deleet.rs",
    );
    refuses(&container("!Sub '${A}/docker-hub/aptrust/restorer_manualtest:x'"), "restorer_manualtest");
    // Another registry, but written just as the others are.
    let text = format!("{}        - Image: example.org/p/apt_typo:x\n", container("example.org/p/apt_delete:old"));
    refuses(&text, "apt_typo");
    let map = "Mappings: {M: {R: {A: 'apt_delete:old', B: 'apt_typo:old'}}}\n";
    refuses(&format!("{map}{}", container("!Sub ['${P}${R}', {R: !FindInMap [M, R, !Ref Key]}]")), "apt_typo");
    for others in ["nginx:1", "docker.io/docker/ecs-searchdomain-sidecar:latest", "!Sub '${Prefix}:tag'", "!Ref Image"]
    {
        let text = format!("{}        - Image: {others}\n", container("apt_delete:old"));
        assert_eq!(found(&text).problems, [""; 0], "{others}");
    }
}

#[test]
fn the_processor_is_read_where_it_is_literal() {
    let architecture = |platform: &str| {
        let text = format!("A:\n  {platform}\n  ContainerDefinitions: [{{Image: apt_delete:x}}]\n");
        found(&text).images[0].architecture.clone()
    };
    assert_eq!(architecture("Family: x").as_deref(), Some("X86_64"));
    assert_eq!(architecture("RuntimePlatform: {CpuArchitecture: ARM64}").as_deref(), Some("ARM64"));
    assert_eq!(architecture("RuntimePlatform: {CpuArchitecture: !Ref A}"), None);
}

#[test]
fn texts_that_are_no_template_are_refused_with_the_reason() {
    for (text, why) in [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("just words\n", "holds no mapping"),
        ("a: [\n", "is not YAML"),
        ("a: 'b\n", "is not YAML"),
        ("\tx: y\n", "is not YAML"),
        ("a: 123456789012345678901234567890123456789012345\nb: *x\n", "is not YAML"),
        ("M:\n  a: 1\n  b: 2\n  a: 3\n", "has the key `a` twice in one mapping, in lines 2 and 4"),
        (&"[".repeat(100_000), "is not YAML"),
        (&format!("a: {}", "{b: ".repeat(500)), "is not YAML"),
        ("a: &a [*a]\n", "has aliases that make more than"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\n",
            "is not YAML",
        ),
    ] {
        let shown: String = text.chars().take(60).collect();
        let error = template::parse(text).expect_err(&shown);
        assert!(error.contains(why), "{shown}: {error}");
    }
}

#[test]
fn comments_are_told_from_scalars() {
    let text = "# one\na: 'x # no' # two\nb: x#no\nc: |\n  # no\nd: \"#no\" # three\r\n  # four\ne: {f: g} # five\n";
    let yaml = Yaml::parse(text).unwrap();
    let comments: Vec<(usize, &str)> =
        yaml.comments().iter().map(|comment| (comment.line, comment.text.as_str())).collect();
    assert_eq!(comments, [(1, "one"), (2, "two"), (6, "three"), (7, "four"), (8, "five")]);
}

#[test]
fn the_proof_sees_every_other_difference() {
    let text = format!("{}          Value: aptrust/apt_delete:old\n", container("aptrust/apt_delete:old # note"));
    let found = found(&text);
    let edits = [Edit::new(&found.images[0], &new_pin())];
    let good = splice::splice(&text, &edits);
    splice::prove(&text, &good, &edits).unwrap();
    for (what, bad) in [
        ("another comment", good.replace("note", "nope")),
        ("another value", good.replace("Name: x", "Name: y")),
        ("another key", good.replace("Name", "Nome")),
        ("the same change elsewhere", good.replace(":old", &new_pin())),
        ("no change", text.clone()),
        ("something at the end", format!("{good}\n")),
        ("another document", format!("{good}---\na: b\n")),
        ("something cut off", good[..good.len() - 1].to_owned()),
        ("nothing", String::new()),
    ] {
        splice::prove(&text, &bad, &edits).expect_err(what);
    }
    // An edit that is no pin, though the bytes agree with it.
    let mut wrong = edits[0].clone();
    wrong.pin = ":x # and a comment".to_owned();
    splice::prove(&text, &splice::splice(&text, &[wrong.clone()]), &[wrong]).unwrap_err();
    let mut wrong = edits[0].clone();
    wrong.pin = ": {a: b}".to_owned();
    splice::prove(&text, &splice::splice(&text, &[wrong.clone()]), &[wrong]).unwrap_err();
}
