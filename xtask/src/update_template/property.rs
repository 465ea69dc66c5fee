//! Templates at random, with images at known places: only they change, byte for byte.
//!
//! A [`Draft`] writes a template twice at once, before and after. What it writes besides the images is made to be mistaken for them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::images::{self, Found};
use super::splice::{self, Edit};
use super::template;

/// One service for each image, so that none stands twice.
fn service(number: usize) -> String {
    format!("svc_{number}")
}

fn services() -> Vec<String> {
    (0..40).map(service).collect()
}

/// Another one for each service, so that none can take another's.
fn new_pin(service: &str) -> String {
    let digit = service.bytes().last().unwrap_or(b'0');
    format!("@sha256:{}", String::from_utf8(vec![digit; 64]).unwrap())
}

/// How an image is written in a container.
#[derive(Clone, Copy, Debug)]
enum Form {
    Plain,
    Single,
    Double,
    Sub,
    SubSingle,
    LongSub,
    SubList,
    SubVariable,
    Join,
    If,
    Folded,
    Literal,
    Anchored,
    Mapping,
}

const FORMS: [Form; 14] = [
    Form::Plain,
    Form::Single,
    Form::Double,
    Form::Sub,
    Form::SubSingle,
    Form::LongSub,
    Form::SubList,
    Form::SubVariable,
    Form::Join,
    Form::If,
    Form::Folded,
    Form::Literal,
    Form::Anchored,
    Form::Mapping,
];

/// A container.
#[derive(Clone, Debug)]
struct Container {
    form: Form,
    prefix: &'static str,
    pin: String,
    flow: bool,
    comment: String,
    decoy: usize,
}

/// Everything else that is drawn.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn for itself")]
struct Style {
    crlf: bool,
    bom: bool,
    indent: usize,
    mappings_last: bool,
    final_newline: bool,
    head: String,
    per_task: usize,
}

const PREFIXES: [&str; 6] = [
    "",
    "aptrust/",
    "localhost:5000/try/",
    "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/docker-hub/aptrust/",
    "${Prefix}",
    "é✓日𝄞.example.org/x/",
];

/// What stands beside an image and is none. `{}` is the name of a service.
const DECOYS: [&str; 10] = [
    "Name: {}",
    "Command: [/{}, '{}:tag', --health]",
    "Environment: [{Name: IMAGE, Value: 'aptrust/{}:tag'}]",
    "DockerLabels: {Image: 'aptrust/{}:tag'}",
    "Name: !Sub '${A}/{}:tag'",
    "# Image: aptrust/{}:tag",
    "Secrets: [{Name: X, ValueFrom: !Sub 'arn:aws:ssm:x:y:parameter/{}'}]",
    "Description: >-\n  runs aptrust/{}:tag\n  # and Image: {}:tag",
    "WorkingDirectory: \"/{}\\t\\\"\\u00e9\" # 'Image: {}",
    "EntryPoint: ['it''s', '/{}'] # \"{}:tag",
];

/// A text before and after.
#[derive(Default)]
struct Draft {
    before: String,
    after: String,
}

impl Draft {
    fn both(&mut self, text: &str) {
        self.before.push_str(text);
        self.after.push_str(text);
    }

    /// Lines at a depth.
    fn lines(&mut self, depth: usize, text: &str) {
        for line in text.lines() {
            self.both(&format!("{}{line}\n", " ".repeat(depth)));
        }
    }

    /// A text with the image `\0` in it.
    fn image(&mut self, text: &str, prefix: &str, service: &str, pin: &str) {
        self.before.push_str(&text.replace('\0', &format!("{prefix}{service}{pin}")));
        self.after.push_str(&text.replace('\0', &format!("{prefix}{service}{}", new_pin(service))));
    }
}

fn draft(containers: &[Container], style: &Style) -> (String, String) {
    let mut draft = Draft::default();
    let step = style.indent;
    draft.both(&format!("# {}\nDescription: {:?}\n", style.head, style.head));
    if !style.mappings_last {
        mappings(&mut draft, containers, step);
    }
    draft.both("Resources:\n");
    for (task, group) in containers.chunks(style.per_task).enumerate() {
        draft.lines(step, &format!("Task{task}:"));
        draft.lines(2 * step, "Type: AWS::ECS::TaskDefinition\nProperties:");
        draft.lines(3 * step, "Family: svc_1:tag\nContainerDefinitions:");
        for (index, container) in group.iter().enumerate() {
            write(&mut draft, container, task * style.per_task + index, 3 * step);
        }
    }
    if style.mappings_last {
        mappings(&mut draft, containers, step);
    }
    let finish = |text: String| {
        let text = if style.final_newline { text } else { text.trim_end().to_owned() };
        let text = if style.crlf { text.replace('\n', "\r\n") } else { text };
        if style.bom { format!("\u{feff}{text}") } else { text }
    };
    (finish(draft.before), finish(draft.after))
}

/// The values that containers of [`Form::Mapping`] read, and others that nobody does.
fn mappings(draft: &mut Draft, containers: &[Container], step: usize) {
    draft.both("Mappings:\n");
    draft.lines(step, "Names: {svc_1: {svc_2: svc_3, Image: 'svc_4:tag'}}\nImages:");
    draft.lines(2 * step, "Release:");
    draft.lines(3 * step, "Nobody: svc_1:tag");
    for (number, container) in containers.iter().enumerate() {
        if matches!(container.form, Form::Mapping) {
            let text = format!("{}Svc{number}: '\0' # {}\n", " ".repeat(3 * step), container.comment);
            draft.image(&text, container.prefix, &service(number), &container.pin);
        }
    }
}

fn write(draft: &mut Draft, container: &Container, number: usize, depth: usize) {
    let Container { form, prefix, pin, flow, comment, decoy } = container;
    let (name, pad) = (service(number), " ".repeat(depth));
    let decoy = DECOYS[*decoy].replace("{}", &name);
    let inline = match form {
        Form::Plain | Form::Folded | Form::Literal if *flow => "'\0'".to_owned(),
        Form::Plain => "\0".to_owned(),
        Form::Single => "'\0'".to_owned(),
        Form::Double => "\"\0\"".to_owned(),
        Form::Sub if !*flow => "!Sub \0".to_owned(),
        Form::Sub | Form::SubSingle => "!Sub '\0'".to_owned(),
        Form::LongSub => "{'Fn::Sub': \"\0\"}".to_owned(),
        Form::SubList => "!Sub ['\0', {A: b, Prefix: svc_1, Svc: svc_1}]".to_owned(),
        Form::SubVariable => "!Sub ['${P}${R}', {P: !Ref P, R: '\0'}]".to_owned(),
        Form::Join => "!Join ['/', [!Ref Host, aptrust, '\0']]".to_owned(),
        Form::If => "!If [IsProd, !Sub '\0', !Ref AWS::NoValue]".to_owned(),
        Form::Anchored => format!("&image{number} '\0'"),
        Form::Folded => format!("!Sub >-\n{pad}      \0\n"),
        Form::Literal => format!("|\n{pad}      \0\n\n"),
        Form::Mapping => format!("!FindInMap [Images, Release, Svc{number}]"),
    };
    if *flow {
        draft.image(
            &format!("{pad}- {{Essential: true, Image: {inline}, Name: '{name}'}} # {comment}\n"),
            prefix,
            &name,
            pin,
        );
        return;
    }
    draft.lines(depth, "- Essential: true");
    draft.lines(depth + 2, &decoy);
    let block = inline.ends_with('\n');
    let end = if block { String::new() } else { format!("  # {comment}\n") };
    draft.image(&format!("{pad}  Image: {inline}{end}"), prefix, &name, pin);
    if matches!(form, Form::Anchored) {
        draft.lines(depth, &format!("- {{Image: *image{number}, Name: again}}"));
    }
}

fn container() -> impl Strategy<Value = Container> {
    let pin = prop_oneof![
        Just(String::new()),
        "[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}".prop_map(|tag| format!(":{tag}")),
        "[0-9a-f]{64}".prop_map(|digest| format!("@sha256:{digest}")),
        "[0-9a-f]{64}".prop_map(|digest| format!(":tag@sha256:{digest}")),
    ];
    let prefix = proptest::sample::select(PREFIXES.as_slice());
    let form = proptest::sample::select(FORMS.as_slice());
    (form, prefix, pin, any::<bool>(), "[ -~äé✓日𝄞]{0,20}", 0..DECOYS.len())
        .prop_map(|(form, prefix, pin, flow, comment, decoy)| Container { form, prefix, pin, flow, comment, decoy })
}

fn style() -> impl Strategy<Value = Style> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (flags, 1..5_usize, "[a-zäé✓日𝄞:#@ ]{0,20}", 1..5_usize).prop_map(|(flags, indent, head, per_task)| Style {
        crlf: flags.0,
        bom: flags.1,
        mappings_last: flags.2,
        final_newline: flags.3,
        indent,
        head,
        per_task,
    })
}

fn found(text: &str) -> Found {
    let yaml = template::parse(text).unwrap_or_else(|why| panic!("{why}:\n{text}"));
    images::find(text, &yaml, &services(), "aptrust")
}

fn edits(found: &Found) -> Vec<Edit> {
    let stale = found.images.iter().filter(|image| image.pin != new_pin(&image.service));
    stale.map(|image| Edit::new(image, &new_pin(&image.service))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_images_change_and_only_once(containers in vec(container(), 1..12), style in style()) {
        let (before, after) = draft(&containers, &style);
        let in_before = found(&before);
        prop_assert_eq!(&in_before.problems, &[] as &[String], "{}", before);
        prop_assert_eq!(in_before.images.len(), containers.len(), "{}", before);
        let edits_of_before = edits(&in_before);
        let result = splice::splice(&before, &edits_of_before);
        prop_assert_eq!(&result, &after);
        if let Err(error) = splice::prove(&before, &result, &edits_of_before) {
            return Err(TestCaseError::fail(format!("{error:#}\n{before}")));
        }
        prop_assert_eq!(edits(&found(&after)), vec![], "a second time");
    }

    /// Whatever one byte of the result is changed to, the proof sees it.
    #[test]
    fn the_proof_sees_any_other_byte(
        containers in vec(container(), 1..4),
        style in style(),
        at in any::<proptest::sample::Index>(),
        byte in 0x20..0x7f_u8,
    ) {
        let (before, after) = draft(&containers, &style);
        let edits = edits(&found(&before));
        let mut changed = after.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        // A byte within a character: not a text, so it never comes to a proof.
        let Ok(changed) = String::from_utf8(changed) else { return Ok(()) };
        prop_assert!(splice::prove(&before, &changed, &edits).is_err(), "{}", changed);
    }

    /// Texts that nobody would call a template are refused or left as they are; nothing panics.
    #[test]
    fn no_text_is_too_strange(pieces in vec(proptest::sample::select(STRANGE.as_slice()), 0..40)) {
        let text: String = pieces.concat();
        if let Ok(yaml) = template::parse(&text) {
            let found = images::find(&text, &yaml, &services(), "aptrust");
            let edits = edits(&found);
            let result = splice::splice(&text, &edits);
            if splice::prove(&text, &result, &edits).is_ok() {
                prop_assert_eq!(edits.is_empty(), result == text);
            }
        }
    }
}

/// What YAML is made of, and images.
const STRANGE: [&str; 32] = [
    "ContainerDefinitions:",
    "- ",
    "  ",
    "\n",
    "\r\n",
    "Image: ",
    "svc_1:tag",
    "x/svc_2",
    "'",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "&a ",
    "*a",
    "!Sub ",
    "<<: ",
    "|\n",
    ">-\n",
    "# ",
    "\t",
    "---\n",
    "...\n",
    "é",
    "\u{feff}",
    "\\",
    "? ",
    ": ",
    "%TAG",
    "\u{2028}",
];
