//! The tag of a release: `<short commit>-<branch>`, as operators and deployed templates know it.

use anyhow::Result;

use crate::exit::Exit;
use crate::git::Checkout;
use crate::image::digest;

/// Docker's limit.
const MAX: usize = 128;

/// What is appended to the tag of a release that must not reach demo or prod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) dirty: bool,
    pub(crate) unfinished: bool,
}

/// The tag for a checkout. `asked` is `--branch`; `variable` reads the environment.
pub(crate) fn tag(
    checkout: &Checkout,
    asked: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
    marks: Marks,
) -> Result<String> {
    let ci = from_ci(variable);
    let (branch, pull_request) = match (asked, ci, &checkout.branch) {
        (Some(asked), _, _) => (asked.to_owned(), None),
        (None, Some(ci), _) => ci,
        (None, None, Some(branch)) => (branch.clone(), None),
        (None, None, None) => (String::new(), None),
    };
    if branch.is_empty() && asked.is_some() {
        return Err(Exit::Usage.stop("--branch names no branch", "give it a name, or leave it out"));
    }
    if branch.is_empty() {
        return Err(Exit::Refused.stop(
            "HEAD is detached, so there is no branch for the tag",
            "check out a branch, or name it: --branch <name>",
        ));
    }
    let prefix = pull_request.map(|number| format!("pr{number}-")).unwrap_or_default();
    let suffix = [("-dirty", marks.dirty), ("-unfinished", marks.unfinished)];
    let suffix: String = suffix.into_iter().filter(|(_, set)| *set).map(|(text, _)| text).collect();
    let room = MAX - checkout.short.len() - 1 - prefix.len() - suffix.len();
    Ok(format!("{}-{prefix}{}{suffix}", checkout.short, branch_part(&branch, room)))
}

/// A branch name in a tag's alphabet. `/` becomes `_`, as ever; where more than that had to change, four digits of a hash
/// keep two branches apart.
fn branch_part(branch: &str, room: usize) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let mapped: String = branch.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    let only_slashes = branch.chars().all(|c| allowed(c) || c == '/');
    if only_slashes && mapped.len() <= room {
        return mapped;
    }
    let hash = &digest(branch.as_bytes())["sha256:".len()..][..4];
    format!("{}-{hash}", &mapped[..mapped.len().min(room - 5)])
}

/// The branch that a CI system built, and the pull request's number if it is one: a merge commit of a pull request must not look like
/// its target branch.
fn from_ci(variable: impl Fn(&str) -> Option<String>) -> Option<(String, Option<u64>)> {
    let get = |name: &str| variable(name).filter(|value| !value.is_empty());
    let number = |text: Option<String>| text.and_then(|text| text.parse::<u64>().ok());
    if get("TRAVIS").is_some() {
        let pull_request = number(get("TRAVIS_PULL_REQUEST"));
        let branch = get("TRAVIS_PULL_REQUEST_BRANCH").or_else(|| get("TRAVIS_BRANCH"))?;
        return Some((branch, pull_request));
    }
    if get("GITHUB_ACTIONS").is_some() {
        let reference = get("GITHUB_REF").unwrap_or_default();
        let pull_request =
            reference.strip_prefix("refs/pull/").and_then(|rest| rest.split('/').next()).map(str::to_owned);
        let branch = get("GITHUB_HEAD_REF").or_else(|| get("GITHUB_REF_NAME"))?;
        return Some((branch, number(pull_request)));
    }
    if get("GITLAB_CI").is_some() {
        let branch = get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME").or_else(|| get("CI_COMMIT_BRANCH"))?;
        return Some((branch, number(get("CI_MERGE_REQUEST_IID"))));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout(branch: Option<&str>) -> Checkout {
        Checkout {
            commit: "a23ba20".repeat(6)[..40].to_owned(),
            short: "a23ba20".to_owned(),
            branch: branch.map(str::to_owned),
            differences: Vec::new(),
            published: true,
        }
    }

    fn of_branch(branch: &str) -> String {
        tag(&checkout(Some(branch)), None, |_| None, Marks::default()).unwrap()
    }

    fn is_valid(tag: &str) -> bool {
        tag.len() <= MAX
            && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    }

    #[test]
    fn slashes_become_underscores_as_ever() {
        assert_eq!(of_branch("master"), "a23ba20-master");
        assert_eq!(of_branch("feature/a"), "a23ba20-feature_a");
    }

    #[test]
    fn odd_branches_give_valid_and_distinct_tags() {
        let odd =
            ["a&b#c", "a+b@c", "a%b", "ä/ö", "日本", "a=b,c", "-", "a~", &"x".repeat(200), &"é".repeat(100), "x!y"];
        let mut tags: Vec<String> = odd.iter().map(|branch| of_branch(branch)).collect();
        for tag in &tags {
            assert!(is_valid(tag), "{tag}");
        }
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), odd.len());
        assert_ne!(of_branch(&format!("{}1", "x".repeat(199))), of_branch(&format!("{}2", "x".repeat(199))));
    }

    #[test]
    fn marks_stay_at_the_end_of_the_longest_tag() {
        let marks = Marks { dirty: true, unfinished: true };
        let tag = tag(&checkout(Some(&"x".repeat(300))), None, |_| None, marks).unwrap();
        assert!(is_valid(&tag) && tag.len() == MAX && tag.ends_with("-dirty-unfinished"), "{tag}");
    }

    #[test]
    fn a_detached_head_needs_a_name() {
        let error = tag(&checkout(None), None, |_| None, Marks::default()).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Refused);
        // Said as what it is, also where a branch is checked out.
        let error = tag(&checkout(Some("main")), Some(""), |_| None, Marks::default()).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Usage);
        assert_eq!(tag(&checkout(None), Some("fix/1"), |_| None, Marks::default()).unwrap(), "a23ba20-fix_1");
    }

    #[test]
    fn ci_names_the_branch_and_pull_requests_are_marked() {
        let with = |pairs: &[(&str, &str)]| {
            let find = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            tag(&checkout(None), None, find, Marks::default())
        };
        assert_eq!(with(&[("TRAVIS", "true"), ("TRAVIS_BRANCH", "master")]).unwrap(), "a23ba20-master");
        let travis = [
            ("TRAVIS", "true"),
            ("TRAVIS_BRANCH", "master"),
            ("TRAVIS_PULL_REQUEST", "12"),
            ("TRAVIS_PULL_REQUEST_BRANCH", "fix/1"),
        ];
        assert_eq!(with(&travis).unwrap(), "a23ba20-pr12-fix_1");
        let github = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REF", "refs/pull/7/merge"),
            ("GITHUB_REF_NAME", "7/merge"),
            ("GITHUB_HEAD_REF", "fix"),
        ];
        assert_eq!(with(&github).unwrap(), "a23ba20-pr7-fix");
        // An empty variable names no branch.
        assert_eq!(Exit::of(&with(&[("TRAVIS", "true"), ("TRAVIS_BRANCH", "")]).unwrap_err()), Exit::Refused);
    }
}
