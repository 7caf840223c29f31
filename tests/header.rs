//! The C header: generated from the source, committed, and good for every language standard that it promises.
//!
//! cbindgen writes the declarations in the order of the source files; a reader of the header wants them by
//! noun, between headings. So the header is a template, include/happysock.h.in, whose `@items NAME...@` lines
//! are replaced by the declarations with those names (`NAME*` takes all that begin with NAME).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set (by `make header`) to rewrite the header instead of comparing it.
const WRITE: &str = "HAPPYSOCK_WRITE_HEADER";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// No line of the header is longer.
const WIDTH: usize = 110;

/// One declaration with its comment.
struct Item {
    name: String,
    text: String,
}

/// What cbindgen makes of src/capi, cut into items.
fn declarations() -> Vec<Item> {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    let mut written = Vec::new();
    let builder = cbindgen::Builder::new().with_src(root().join("src/capi/mod.rs")).with_config(config);
    builder.generate().expect("cbindgen").write(&mut written);
    let written = String::from_utf8(written).unwrap();
    // cbindgen puts a blank line between items and none inside of one.
    written.split("\n\n").map(|chunk| chunk.trim_matches('\n')).filter(|chunk| !chunk.is_empty()).map(item).collect()
}

fn item(chunk: &str) -> Item {
    let code = match chunk.strip_prefix("/**").and_then(|rest| rest.split_once("*/")) {
        Some((_, code)) => code.trim_start(),
        None => chunk,
    };
    let before_parameters = code.split(['(', '{', ';']).next().unwrap().trim_end();
    let name = if let Some(define) = code.strip_prefix("#define ") {
        define.split_whitespace().next().unwrap()
    } else if let Some((_, pointer)) = code.split_once("(*").filter(|_| code.starts_with("typedef")) {
        pointer.split(')').next().unwrap()
    } else {
        before_parameters.rsplit([' ', '*']).next().unwrap()
    };
    Item { name: name.to_string(), text: as_c(chunk) }
}

/// A declaration as a C programmer would have written it.
fn as_c(chunk: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut rest = chunk.lines().peekable();
    let mut in_code = false;
    while let Some(line) = rest.next() {
        // A fence keeps rustdoc from taking the code for Rust; in C the code is indented.
        if line.trim_start().starts_with("* ```") {
            in_code = !in_code;
            continue;
        }
        if let Some((before, code)) = line.split_once("* ").filter(|_| in_code) {
            lines.push(format!("{before}*     {code}"));
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim() == "/**" {
            // A comment of one line stands on one line.
            let first = rest.next().unwrap();
            if rest.peek().is_some_and(|next| next.trim() == "*/") {
                let short = format!("{indent}/** {} */", first.trim().trim_start_matches('*').trim());
                if short.len() <= WIDTH {
                    rest.next();
                    lines.push(short);
                    continue;
                }
            }
            lines.push(line.to_string());
            lines.push(first.trim_end().to_string());
            continue;
        }
        if let Some((define, value)) = line.strip_prefix("#define ").and_then(|define| define.split_once(' ')) {
            // A negative number is one value also after an operator.
            let value = match value.strip_prefix("(1 << ") {
                // A flag is a bit of an unsigned number.
                Some(shift) if define.starts_with("HAPPY_FLAG_") => format!("(1u << {shift}"),
                _ if value.starts_with('-') => format!("({value})"),
                _ => value.to_string(),
            };
            lines.push(format!("#define {define} {value}"));
            continue;
        }
        // `self` is a keyword of Rust. Every struct has a typedef, so the tag is needed only where the struct is
        // defined.
        let line = line.replace("self_", "self");
        let line = if line.starts_with("typedef struct") { line } else { line.replace("struct happy_", "happy_") };
        lines.push(line.trim_end().to_string());
    }
    align(lines).join("\n")
}

/// Parameters of a function stand under the first one; cbindgen aligned them to a longer line.
fn align(lines: Vec<String>) -> Vec<String> {
    let mut column = None;
    lines
        .into_iter()
        .map(|line| {
            let is_comment = line.trim_start().starts_with(['/', '*']);
            match column {
                Some(column) if line.starts_with(' ') && !is_comment => {
                    format!("{}{}", " ".repeat(column), line.trim_start())
                }
                _ => {
                    column = line.rfind('(').filter(|_| !is_comment && line.ends_with(',')).map(|open| open + 1);
                    line
                }
            }
        })
        .collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

fn generate() -> String {
    let items = declarations();
    let mut placed = BTreeSet::new();
    let mut header = String::new();
    let version = env!("CARGO_PKG_VERSION");
    let defaults = happysock::Options::default();
    for line in read("include/happysock.h.in").lines() {
        if let Some(patterns) = line.strip_prefix("@items ").and_then(|rest| rest.strip_suffix('@')) {
            let patterns: Vec<&str> = patterns.split_whitespace().collect();
            let texts: Vec<&str> = items
                .iter()
                .filter(|item| patterns.iter().any(|pattern| matches(pattern, &item.name)))
                .inspect(|item| assert!(placed.insert(item.name.clone()), "{} fits two sections", item.name))
                .map(|item| item.text.as_str())
                .collect();
            header.push_str(&join(&texts));
        } else if let Some(path) = line.strip_prefix("@example ").and_then(|rest| rest.strip_suffix('@')) {
            // The first line says where the example is shown.
            for line in read(path).lines().skip(1) {
                header.push_str(format!(" *     {line}").trim_end());
                header.push('\n');
            }
        } else {
            let line = line
                .replace("@version@", version)
                .replace("@version.major@", env!("CARGO_PKG_VERSION_MAJOR"))
                .replace("@version.minor@", env!("CARGO_PKG_VERSION_MINOR"))
                .replace("@version.patch@", env!("CARGO_PKG_VERSION_PATCH"))
                .replace("@resolution_delay_ms@", &defaults.resolution_delay.as_millis().to_string())
                .replace("@connection_attempt_delay_ms@", &defaults.connection_attempt_delay.as_millis().to_string())
                .replace("@first_address_family_count@", &defaults.first_address_family_count.to_string());
            header.push_str(&line);
            header.push('\n');
        }
    }
    for line in header.lines() {
        assert!(line.chars().count() <= WIDTH, "longer than {WIDTH} columns: {line}");
    }
    for item in &items {
        assert!(placed.contains(&item.name), "{} has no section in include/happysock.h.in", item.name);
    }
    header
}

/// The beginning of a name that the constants of a group have in common.
fn group(text: &str) -> &str {
    let define = text.lines().last().unwrap_or_default().strip_prefix("#define ").unwrap_or_default();
    let name = define.split(' ').next().unwrap_or_default();
    // Statuses have no noun between HAPPY_ and the E.
    name.strip_prefix("HAPPY_").and_then(|rest| rest.split_once('_')).map_or("status", |(noun, _)| noun)
}

/// Constants of a group stand close together, everything else has a blank line around it.
fn join(texts: &[&str]) -> String {
    let is_constant = |text: &str| text.lines().last().is_some_and(|line| line.starts_with("#define "));
    let is_short = |text: &str| is_constant(text) && text.lines().count() <= 2;
    let mut joined = String::new();
    for (index, text) in texts.iter().enumerate() {
        let together = |before: &str| is_short(before) && is_short(text) && group(before) == group(text);
        if index > 0 && !together(texts[index - 1]) {
            joined.push('\n');
        }
        joined.push_str(text);
        joined.push('\n');
    }
    joined
}

#[test]
fn the_committed_header_is_what_the_source_says() {
    let generated = generate();
    let path = root().join("include/happysock.h");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, generated).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = committed.lines().zip(generated.lines()).position(|(left, right)| left != right);
    if committed != generated {
        let line = difference.unwrap_or(committed.lines().count().min(generated.lines().count()));
        panic!(
            "include/happysock.h is not what the source says, from line {} on; run `make header`\n  committed: {}\n  generated: {}",
            line + 1,
            committed.lines().nth(line).unwrap_or("(end)"),
            generated.lines().nth(line).unwrap_or("(end)"),
        );
    }
}

/// A program that needs every declaration of the header.
fn every_name_is_used() -> String {
    let mut program = String::from("#include \"happysock.h\"\n");
    program.push_str("#if HAPPYSOCK_VERSION_MAJOR * 1000 + HAPPYSOCK_VERSION_MINOR < 1\n#error version\n#endif\n");
    program.push_str(
        "typedef void (*any_function)(void);\nextern any_function functions[];\nany_function functions[] = {\n",
    );
    for symbol in read("include/happysock.symbols").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = symbol.split_whitespace().next().unwrap();
        program.push_str(&format!("    (any_function)&{name},\n"));
    }
    program.push_str("};\nint main(void)\n{\n");
    program.push_str(
        "    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    happy_attempt attempts[2];
    happy_lookup *lookup = NULL;
    happy_connect *connect = NULL;
    happy_multi *multi = NULL;
    result.attempts = attempts;
    result.attempts_capacity = 2;
    options.flags = HAPPY_FLAG_NONBLOCKING | HAPPY_FLAG_NO_FAST_FALLBACK;
    return options.size == sizeof(options) && result.size == sizeof(result) && -HAPPY_EAGAIN == 7008
                   && options.userdata_free == NULL && options.local_v6 == NULL && options.flags == 3u
                   && result.attempts_capacity == 2 && result.attempt_size == sizeof(attempts[0])
                   && lookup == NULL && connect == NULL && multi == NULL
               ? 0
               : 1;
}
",
    );
    program
}

/// A compiler of this machine, if it is there.
fn compiler(program: &str) -> Option<cc::Tool> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let mut build = cc::Build::new();
    build
        .compiler(program)
        .cpp(program.ends_with("++"))
        .target(&target)
        .host(&target)
        .opt_level(0)
        .cargo_metadata(false);
    found.then(|| build.try_get_compiler().expect("a compiler that runs"))
}

/// A program that includes nothing but the header compiles without a warning in every standard, strict and
/// GNU, with every compiler that is installed. No feature macro is defined: the header needs none.
#[test]
fn compiles_as_every_standard_with_all_warnings_as_errors() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("header");
    std::fs::create_dir_all(&directory).unwrap();
    let program = every_name_is_used();
    let c = ["89", "99", "11", "17", "2x"];
    let cpp = ["++98", "++11", "++14", "++17", "++20", "++23"];
    let mut compiled = 0;
    for (suffix, compilers, standards) in [("c", ["gcc", "clang"], &c[..]), ("cc", ["g++", "clang++"], &cpp[..])] {
        let path = directory.join(format!("every_name.{suffix}"));
        std::fs::write(&path, &program).unwrap();
        for name in compilers {
            let Some(tool) = compiler(name) else {
                println!("{name} is not installed: not compiled with it");
                continue;
            };
            for standard in
                standards.iter().flat_map(|standard| [format!("-std=c{standard}"), format!("-std=gnu{standard}")])
            {
                let supported = Command::new(tool.path())
                    .args([
                        standard.as_str(),
                        "-x",
                        if suffix == "c" { "c" } else { "c++" },
                        "-fsyntax-only",
                        "/dev/null",
                    ])
                    .output()
                    .is_ok_and(|output| output.status.success());
                if !supported {
                    println!("{name} does not know {standard}: not compiled with it");
                    continue;
                }
                let warnings = "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wmissing-field-initializers -Werror";
                let output = Command::new(tool.path())
                    .arg(&standard)
                    .args(warnings.split(' '))
                    .args(["-fsyntax-only", "-I"])
                    .args([root().join("include"), path.clone()])
                    .output()
                    .unwrap();
                let errors = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{name} {standard}\n{errors}");
                compiled += 1;
            }
        }
    }
    assert!(compiled > 0, "no C compiler is installed; scripts/install-packages test installs them");
}
