//! The README and the guide from Java exist in English and in Chinese, and say the same; what the book takes from the
//! examples is there to be taken.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between two headings, as far as it is the same in every language.
#[derive(Debug, Default, PartialEq, Eq)]
struct Section {
    level: usize,
    /// Lines of code without their comments.
    code: Vec<String>,
    /// What is set as code within sentences and tables.
    names: BTreeSet<String>,
    links: BTreeSet<String>,
    /// Outside of code, without what divides thousands.
    numbers: BTreeSet<String>,
    table_rows: usize,
}

fn sections(page: &str) -> Vec<Section> {
    let mut all = vec![Section::default()];
    let mut fence: Option<&str> = None;
    let mut text = String::new();
    for line in page.lines() {
        let section = all.last_mut().unwrap();
        if let Some(language) = line.strip_prefix("```") {
            section.code.push(line.to_owned());
            fence = if fence.is_none() { Some(language) } else { None };
            continue;
        }
        if let Some(language) = fence {
            let comment = if ["sh", "toml"].contains(&language) { "# " } else { "// " };
            let code = line.split(comment).next().unwrap_or_default();
            section.code.push(code.trim_end().to_owned());
        } else if line.starts_with('#') {
            finish(section, &mut text);
            let level = line.chars().take_while(|c| *c == '#').count();
            all.push(Section { level, ..Section::default() });
        } else {
            section.table_rows += usize::from(line.starts_with('|'));
            text.push_str(line);
            text.push('\n');
        }
    }
    finish(all.last_mut().unwrap(), &mut text);
    all
}

/// Takes names, links and numbers out of the text before a heading.
fn finish(section: &mut Section, text: &mut String) {
    section.names = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    // A heading's name is translated, and so is the other language's page.
    let page = |target: &str| target.split('#').next().unwrap_or_default().replace(".zh-CN.md", ".md");
    section.links = targets.map(|(target, _)| page(target)).collect();
    let words = text.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let numbers = words.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','));
    let numbers = numbers.map(|number| number.trim_matches(['.', ',']).replace(',', ""));
    section.numbers = numbers.filter(|number| !number.is_empty()).collect();
    text.clear();
}

/// Headings and their levels, code, commands, names, links, numbers and tables are the same in both languages.
#[test]
fn in_step() {
    for name in ["README", "docs/src/from-java"] {
        let page = |end: &str| sections(&read(&Path::new(ROOT).join(format!("{name}{end}"))));
        let (english, chinese) = (page(".md"), page(".zh-CN.md"));
        for (number, (english, chinese)) in english.iter().zip(&chinese).enumerate() {
            assert_eq!(english, chinese, "section {number} of {name}.md and its translation");
        }
        assert_eq!(english.len(), chinese.len(), "headings of {name}.md and its translation");
    }
}

/// Each page that the book lists exists, and so does each file and anchor that a page includes.
#[test]
fn included() {
    let book = Path::new(ROOT).join("docs/src");
    let summary = read(&book.join("SUMMARY.md"));
    let pages = summary.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let mut count = 0;
    for (page, _) in pages {
        let text = read(&book.join(page));
        for (include, _) in text.split("{{#include ").skip(1).filter_map(|rest| rest.split_once("}}")) {
            let (file, anchor) = include.split_once(':').unwrap_or((include, ""));
            let source = read(&book.join(file));
            for mark in ["ANCHOR", "ANCHOR_END"] {
                // In the comment of the file's language.
                let wanted = format!("{mark}: {anchor}");
                let is_mark = |line: &&str| line.trim_matches(['/', '*', '#', ' ']) == wanted;
                assert_eq!(
                    source.lines().filter(is_mark).count(),
                    usize::from(!anchor.is_empty()),
                    "{mark} of {include} in {page}"
                );
            }
            count += 1;
        }
    }
    assert!(count > 0);
}

/// The README's programs in other languages are examples, which the tests of the packages run.
#[test]
fn first_programs_of_packages() {
    let root = Path::new(ROOT);
    let readme = read(&root.join("README.md"));
    for (language, example) in [
        ("python", "bindings/python/examples/first.py"),
        ("js", "bindings/node/examples/first.mjs"),
        ("c", "bindings/c/examples/producer.c"),
    ] {
        let (_, shown) = readme.split_once(&format!("```{language}\n")).unwrap();
        let (shown, _) = shown.split_once("```").unwrap();
        assert!(read(&root.join(example)).ends_with(shown), "{example} and its copy in the README");
    }
}

/// The README's first program is the one that the client's documentation has compiled.
#[test]
fn first_program() {
    let root = Path::new(ROOT);
    let readme = read(&root.join("README.md"));
    let (_, shown) = readme.split_once("```rust\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    assert_eq!(shown.lines().count(), 10);
    let library = read(&root.join("client/src/lib.rs"));
    let (_, compiled) = library.split_once("//! ```no_run\n").unwrap();
    let (compiled, _) = compiled.split_once("//! ```").unwrap();
    let compiled =
        compiled.lines().map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default());
    assert_eq!(shown.lines().collect::<Vec<_>>(), compiled.collect::<Vec<_>>());
}
