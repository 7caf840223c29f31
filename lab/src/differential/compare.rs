//! Whether the library answers as libc does, and the differences that are meant.

use serde::Serialize;

use super::answer::{Answer, Answers};
use super::case::{Asked, Case};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// rb_getaddrinfo_happy and the lookup object against getaddrinfo(3): the same in everything.
    Lookup,
    /// A connect with one family against that family's getaddrinfo(3) and gethostbyname2_r(3): the same code,
    /// the same addresses in any order.
    Family,
    /// A connect with both families has no address that getaddrinfo(3) with AF_UNSPEC would not give.
    Subset,
    /// And has all of those.
    Complete,
    /// The library makes no thread: strace(1) sees no clone(2).
    Clones,
}

impl Check {
    /// How ask.c calls it.
    pub fn letter(self) -> Option<char> {
        match self {
            Check::Lookup => Some('l'),
            Check::Family => Some('f'),
            Check::Subset | Check::Complete => Some('c'),
            Check::Clones => None,
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub check: Check,
    /// The question, as the library's asker calls it.
    pub question: &'static str,
    pub text: String,
    /// The exception that it falls under.
    pub exception: Option<&'static str>,
}

/// A difference that does not make a case fail.
pub struct Exception {
    pub id: &'static str,
    /// Whether the library means to differ. Else it is a known fault, and leaves this list when it is mended.
    pub meant: bool,
    pub reason: &'static str,
    applies: fn(&Asked, libc: &Answer, library: &Answer) -> bool,
}

/// The exception for a question that libc does not survive.
pub const LIBC_CRASHES: &str = "libc-crashes";
/// The exception for addresses that libc takes back.
const TOLD_AT_ONCE: &str = "told-at-once";

/// The exception for a code that follows from the caller's errno.
const ERRNO_LEFT: &str = "errno-left";

/// The exceptions for a server that sends what is no message, and records for another question.
const SHORT_DATAGRAM: &str = "short-datagram";
const OTHER_QUESTION: &str = "other-question";

/// All of them. What is not here is a failure.
pub const EXCEPTIONS: [Exception; 9] = [
    Exception {
        id: "system-enoent",
        meant: true,
        reason: "EAI_SYSTEM with ENOENT (a module of nsswitch.conf that is not there) reads EAI_NONAME",
        applies: |_, libc, library| {
            (libc.code, libc.errno) == (libc::EAI_SYSTEM, libc::ENOENT) && library.code == libc::EAI_NONAME
        },
    },
    Exception {
        id: "service-number",
        meant: true,
        reason: "a numeric service above 65535 or with a sign is EAI_SERVICE; libc takes it modulo 65536",
        applies: |asked, _, library| {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let service = asked.service.as_deref().unwrap_or_default();
            let signed = service.strip_prefix(['-', '+']).is_some_and(digits);
            let large = digits(service) && service.parse::<u16>().is_err();
            library.code == libc::EAI_SERVICE && (signed || large)
        },
    },
    Exception {
        id: "node-refused",
        meant: true,
        reason: "a host that is empty, too long (NI_MAXHOST) or with blanks or control characters is EAI_NONAME",
        applies: |asked, _, library| {
            let node = asked.node.as_deref().unwrap_or("x");
            library.code == libc::EAI_NONAME
                && (node.is_empty() || node.len() >= NI_MAXHOST || has_blank_or_control(node))
        },
    },
    Exception {
        id: "service-refused",
        meant: true,
        reason: "a service that is too long (NI_MAXSERV) or with blanks or control characters is EAI_SERVICE",
        applies: |asked, _, library| {
            let service = asked.service.as_deref().unwrap_or_default();
            library.code == libc::EAI_SERVICE && (service.len() >= NI_MAXSERV || has_blank_or_control(service))
        },
    },
    Exception {
        id: LIBC_CRASHES,
        meant: true,
        reason: "libc crashes (glibc 2.36: a hosts: line without a source); there is nothing to compare with",
        // What has no answer is not compared.
        applies: |_, _, _| false,
    },
    Exception {
        id: TOLD_AT_ONCE,
        meant: true,
        reason: "a server answers one family and fails, or answers with rubbish, at the other: a race has begun with the \
                 first (RFC 8305, section 3), getaddrinfo(3) waits for both and lets the second decide",
        // It takes what the servers were asked to tell.
        applies: |_, _, _| false,
    },
    Exception {
        id: ERRNO_LEFT,
        meant: true,
        reason: "of IPv4 alone, a name that is not known as it is and about which servers then fail in the search list is \
                 EAI_NONAME; libc says so only if errno was 0, and EAI_NODATA else: then its own search for a missing \
                 host.conf is enough",
        // It takes what gethostbyname2_r(3) says.
        applies: |_, _, _| false,
    },
    Exception {
        id: SHORT_DATAGRAM,
        meant: true,
        reason: "beside a datagram shorter than a header libc closes its socket, and whether the answer to the other question \
                 was read before is chance; the library reads it",
        // It takes what the servers were asked to tell, as the next one.
        applies: |_, _, _| false,
    },
    Exception {
        id: OTHER_QUESTION,
        meant: true,
        reason: "records by TCP that answer another question are not taken, the server has failed then; libc looks at the \
                 id alone",
        applies: |_, _, _| false,
    },
];

/// The exception by which the questions to the servers explain a difference.
pub fn explanation(
    case: &Case,
    difference: &Difference,
    library: &Answers,
    questions: &[String],
) -> Option<&'static str> {
    let pair = case.asked.hints.is_none_or(|hints| hints.family == libc::AF_UNSPEC);
    let failed = library.get(difference.question).is_some_and(|answer| answer.code == libc::EAI_AGAIN);
    if is_told_at_once(difference, questions) {
        Some(TOLD_AT_ONCE)
    } else if difference.check == Check::Lookup && pair && !is_serial(case) && is_beside_short(questions) {
        Some(SHORT_DATAGRAM)
    } else if failed && questions.iter().any(|question| question.contains(" TCP ") && question.ends_with(": Mutated")) {
        Some(OTHER_QUESTION)
    } else {
        None
    }
}

/// Whether it depends on the errno that was there before what getaddrinfo(3) says (`gethostbyname3_context`
/// of nss_dns puts it back, and gethostbyname2_r(3) returns it): the name is not known to
/// gethostbyname2_r(3), and a file was missing that libc opens once in a process and not for each name. A
/// missing hosts(5) is opened for each, and the library knows what follows from it.
fn is_errno_left(case: &Case, libc: &Answer, library: &Answer, plain: &Answer) -> bool {
    let only_v4 = case.asked.hints.is_some_and(|hints| hints.family == libc::AF_INET);
    let missing = ["host.conf", "nsswitch.conf"].iter().any(|name| case.etc.text(name).is_none());
    only_v4
        && missing
        && (libc.code, library.code) == (EAI_NODATA, libc::EAI_NONAME)
        && [HOST_NOT_FOUND, NO_RECOVERY].contains(&plain.code)
}

/// Whether a server sent less than a header about one family of a name and something else about the other.
fn is_beside_short(questions: &[String]) -> bool {
    // "192.0.2.1 UDP a.test. A: Short(0)"
    let parts = |question: &str| {
        let (asked, reply) = question.split_once(": ")?;
        let (name, record_type) = asked.rsplit_once(' ')?;
        Some((name.to_owned(), record_type.to_owned(), reply.starts_with("Short(")))
    };
    let asked: Vec<_> = questions.iter().filter_map(|question| parts(question)).collect();
    let mut short = asked.iter().filter(|(.., short)| *short);
    short
        .any(|(name, record_type, _)| asked.iter().any(|other| other.0 == *name && other.1 != *record_type && !other.2))
}

/// Whether resolv.conf(5) has libc ask one question after the other: then nothing overtakes.
fn is_serial(case: &Case) -> bool {
    case.etc.text("resolv.conf").is_some_and(|text| String::from_utf8_lossy(text).contains("single-request"))
}

/// Replies that may take back, in libc, what the other question has brought.
const SPOILING: [&str; 12] = [
    "CutOff",
    "Mutated",
    "Truncated",
    "WrongCount",
    "Short",
    "HeaderOnly",
    "Silence",
    "Code",
    "Aliases",
    "Odd",
    "Lame",
    "FitsPlainUdp",
];

/// Whether what was asked of the servers explains that a race knows an address which getaddrinfo(3) does not.
fn is_told_at_once(difference: &Difference, questions: &[String]) -> bool {
    difference.check == Check::Subset
        && questions.iter().any(|question| SPOILING.iter().any(|reply| question.contains(&format!(": {reply}"))))
}

/// Whether libc does not know what it does: a `hosts:` line without a source leaves it with a pointer that it
/// has not set (glibc 2.36).
pub fn is_undefined(case: &Case) -> bool {
    let Some(text) = case.etc.text("nsswitch.conf") else { return false };
    let text = String::from_utf8_lossy(text);
    let sources =
        |line: &str| line.trim().strip_prefix("hosts").map(|rest| rest.trim().trim_start_matches(':').to_owned());
    text.lines().filter_map(sources).next_back().is_some_and(|sources| sources.trim().is_empty())
}

/// The codes of h_errno, and one of getaddrinfo(3) that is GNU's (netdb.h).
const NETDB_INTERNAL: i32 = -1;
const HOST_NOT_FOUND: i32 = 1;
const TRY_AGAIN: i32 = 2;
const NO_RECOVERY: i32 = 3;
const NO_DATA: i32 = 4;
const EAI_NODATA: i32 = -5;

/// The longest host and service, terminating zero included (netdb.h).
const NI_MAXHOST: usize = 1025;
const NI_MAXSERV: usize = 32;

fn has_blank_or_control(text: &str) -> bool {
    text.bytes().any(|byte| byte <= b' ' || byte == 0x7f)
}

/// Whether a connect came to what getaddrinfo(3) says of the family.
fn is_as_getaddrinfo(connect: &Answer, libc: &Answer) -> bool {
    (connect.code, connect.errno) == (libc.code, libc.errno) && connect.addresses() == libc.addresses()
}

/// Whether a connect came to what gethostbyname2_r(3) says of the family. libc's functions do not always
/// agree: where the last source of nsswitch.conf cannot be loaded, getaddrinfo(3) has EAI_SYSTEM with an
/// errno that was left behind.
fn is_as_gethostbyname(connect: &Answer, libc: &Answer) -> bool {
    match libc.code {
        0 => connect.code == 0 && connect.addresses() == libc.addresses(),
        HOST_NOT_FOUND => connect.code == libc::EAI_NONAME,
        TRY_AGAIN => connect.code == libc::EAI_AGAIN,
        NO_DATA => connect.code == EAI_NODATA,
        // getaddrinfo(3) has no code of its own for it: of an IPv4 address it says this, of an IPv6 address
        // that.
        NO_RECOVERY => [EAI_NODATA, libc::EAI_NONAME].contains(&connect.code),
        NETDB_INTERNAL => connect.code == libc::EAI_SYSTEM,
        _ => false,
    }
}

/// What of `checks` differs between the two askers.
pub fn compare(case: &Case, checks: &[Check], libc: &Answers, library: &Answers) -> Vec<Difference> {
    let nothing = Answer { code: i32::MIN, ..Answer::default() };
    let find = |answers: &Answers, question: &str| answers.get(question).cloned().unwrap_or_else(|| nothing.clone());
    let mut differences = Vec::new();
    let mut judge = |check, question, libc: &Answer, library: &Answer, text: Option<String>, meant| {
        let Some(text) = text else { return };
        let mut exceptions = EXCEPTIONS.iter();
        let found = exceptions.find(|exception| (exception.applies)(&case.asked, libc, library));
        let exception = found.map(|exception| exception.id).or(meant);
        differences.push(Difference { check, question, text, exception });
    };
    for check in checks {
        match check {
            Check::Lookup => {
                let system = find(libc, "lookup");
                for question in ["blocking", "object"] {
                    let ours = find(library, question);
                    let text = (ours != system).then(|| format!("getaddrinfo: {system}\n{question}: {ours}"));
                    let left = is_errno_left(case, &system, &ours, &find(libc, "gethostbyname-4"));
                    judge(*check, question, &system, &ours, text, left.then_some(ERRNO_LEFT));
                }
            }
            Check::Family => {
                for (question, sorted, plain) in [
                    ("connect-4", "getaddrinfo-4", "gethostbyname-4"),
                    ("connect-6", "getaddrinfo-6", "gethostbyname-6"),
                ] {
                    let (ours, sorted, plain) = (find(library, question), find(libc, sorted), find(libc, plain));
                    let equal = is_as_getaddrinfo(&ours, &sorted) || is_as_gethostbyname(&ours, &plain);
                    let text = (!equal)
                        .then(|| format!("getaddrinfo: {sorted}\ngethostbyname2_r: {plain}\n{question}: {ours}"));
                    judge(*check, question, &sorted, &ours, text, None);
                }
            }
            Check::Subset | Check::Complete => {
                let (system, ours) = (find(libc, "getaddrinfo-both"), find(library, "connect-both"));
                let (theirs, known) = (system.addresses(), ours.addresses());
                let (less, more) = if *check == Check::Subset { (&theirs, &known) } else { (&known, &theirs) };
                let unequal: Vec<_> = more.difference(less).copied().collect();
                let word = if *check == Check::Subset { "not in" } else { "only in" };
                let text = (!unequal.is_empty()).then(|| {
                    format!("{word} getaddrinfo's list: {}\ngetaddrinfo: {system}\nconnect: {ours}", unequal.join(" "))
                });
                judge(*check, "connect-both", &system, &ours, text, None);
            }
            Check::Clones => (),
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::super::answer::parse;
    use super::*;

    const ALL: [Check; 4] = [Check::Lookup, Check::Family, Check::Subset, Check::Complete];
    const LIBC: &str = "lookup 0 0 0x2/10/1/6/2001:db8::1/80/0/6100 0x2/2/1/6/203.0.113.1/80/0/-\n\
                        getaddrinfo-4 0 0 0x0/2/1/6/203.0.113.1/9/0/-\n\
                        gethostbyname-4 0 0 203.0.113.1 203.0.113.1\n\
                        getaddrinfo-6 -2 0\n\
                        gethostbyname-6 1 0\n\
                        getaddrinfo-both 0 0 0x0/2/1/6/203.0.113.1/9/0/- 0x0/10/1/6/2001:db8::1/9/0/-\n";
    const LIBRARY: &str = "blocking 0 0 0x2/10/1/6/2001:db8::1/80/0/6100 0x2/2/1/6/203.0.113.1/80/0/-\n\
                           object 0 0 0x2/10/1/6/2001:db8::1/80/0/6100 0x2/2/1/6/203.0.113.1/80/0/-\n\
                           connect-4 0 0 203.0.113.1\n\
                           connect-6 -2 0\n\
                           connect-both 0 0 2001:db8::1 203.0.113.1\n";

    fn differences(service: &str, libc: &str, library: &str) -> Vec<Difference> {
        let mut case = Case::draw(1);
        case.asked.service = Some(service.to_owned());
        compare(&case, &ALL, &parse(libc).unwrap(), &parse(library).unwrap())
    }

    fn questions(libc: &str, library: &str) -> Vec<(Check, &'static str)> {
        let all = differences("80", libc, library);
        assert!(all.iter().all(|difference| difference.exception.is_none()));
        all.into_iter().map(|difference| (difference.check, difference.question)).collect()
    }

    #[test]
    fn equal_answers_are_equal() {
        assert_eq!(questions(LIBC, LIBRARY), []);
    }

    #[test]
    fn every_field_of_an_answer_counts() {
        let object = "object 0 0 0x2/10/1/6/2001:db8::1/80/0/6100 0x2/2/1/6/203.0.113.1/80/0/-";
        for wrong in [
            "object -2 0",
            "object -11 2",
            "object 0 0",
            "object 0 0 0x2/10/1/6/2001:db8::1/80/0/6100",
            // The order, the flags, the family, the type, the protocol, the address, the port, the scope, the
            // name.
            "object 0 0 0x2/2/1/6/203.0.113.1/80/0/- 0x2/10/1/6/2001:db8::1/80/0/6100",
            "object 0 0 0x0/10/1/6/2001:db8::1/80/0/6100 0x2/2/1/6/203.0.113.1/80/0/-",
            "object 0 0 0x2/2/1/6/2001:db8::1/80/0/6100 0x2/2/1/6/203.0.113.1/80/0/-",
            "object 0 0 0x2/10/2/6/2001:db8::1/80/0/6100 0x2/2/1/6/203.0.113.1/80/0/-",
            "object 0 0 0x2/10/1/0/2001:db8::1/80/0/6100 0x2/2/1/6/203.0.113.1/80/0/-",
            "object 0 0 0x2/10/1/6/2001:db8::2/80/0/6100 0x2/2/1/6/203.0.113.1/80/0/-",
            "object 0 0 0x2/10/1/6/2001:db8::1/81/0/6100 0x2/2/1/6/203.0.113.1/80/0/-",
            "object 0 0 0x2/10/1/6/2001:db8::1/80/1/6100 0x2/2/1/6/203.0.113.1/80/0/-",
            "object 0 0 0x2/10/1/6/2001:db8::1/80/0/- 0x2/2/1/6/203.0.113.1/80/0/-",
        ] {
            assert_eq!(questions(LIBC, &LIBRARY.replace(object, wrong)), [(Check::Lookup, "object")], "{wrong}");
        }
    }

    #[test]
    fn a_question_without_an_answer_is_a_difference() {
        let without = |question: &str| {
            LIBRARY
                .lines()
                .filter(|line| !line.starts_with(question))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        };
        assert_eq!(questions(LIBC, &without("blocking")), [(Check::Lookup, "blocking")]);
        assert_eq!(questions(LIBC, &without("connect-6")), [(Check::Family, "connect-6")]);
        assert_eq!(questions(LIBC, &without("connect-both")), [(Check::Complete, "connect-both")]);
    }

    #[test]
    fn a_family_has_its_addresses_in_any_order_and_no_others() {
        for (line, wrong, question) in [
            ("connect-4 0 0 203.0.113.1", "connect-4 0 0 203.0.113.1 203.0.113.2", "connect-4"),
            ("connect-4 0 0 203.0.113.1", "connect-4 0 0 203.0.113.2", "connect-4"),
            ("connect-4 0 0 203.0.113.1", "connect-4 -2 0", "connect-4"),
            ("connect-4 0 0 203.0.113.1", "connect-4 0 0", "connect-4"),
            ("connect-6 -2 0", "connect-6 -5 0", "connect-6"),
            ("connect-6 -2 0", "connect-6 0 0 2001:db8::1", "connect-6"),
        ] {
            assert_eq!(questions(LIBC, &LIBRARY.replace(line, wrong)), [(Check::Family, question)], "{wrong}");
        }
    }

    #[test]
    fn a_family_may_be_as_either_function_of_libc_has_it() {
        let with = |plain: &str, ours: &str| {
            let library = LIBRARY.replace("connect-6 -2 0", ours);
            questions(&LIBC.replace("gethostbyname-6 1 0", plain), &library).is_empty()
        };
        for (plain, ours, equal) in [
            ("gethostbyname-6 1 0", "connect-6 -2 0", true),
            ("gethostbyname-6 2 0", "connect-6 -3 0", true),
            ("gethostbyname-6 2 0", "connect-6 -5 0", false),
            ("gethostbyname-6 3 0", "connect-6 -5 0", true),
            ("gethostbyname-6 3 0", "connect-6 -3 0", false),
            ("gethostbyname-6 4 0", "connect-6 -5 0", true),
            ("gethostbyname-6 4 0", "connect-6 -3 0", false),
            ("gethostbyname-6 -1 5", "connect-6 -11 5", true),
            ("gethostbyname-6 0 0 ::1", "connect-6 0 0 ::1", true),
            ("gethostbyname-6 0 0 ::1", "connect-6 0 0 ::1 ::2", false),
        ] {
            assert_eq!(with(plain, ours), equal, "{plain} {ours}");
        }
    }

    #[test]
    fn a_connect_has_the_addresses_of_getaddrinfo() {
        let with = |items: &str| LIBRARY.replace("connect-both 0 0 2001:db8::1 203.0.113.1", items);
        let more = "connect-both 0 0 2001:db8::1 203.0.113.1 203.0.113.2";
        assert_eq!(questions(LIBC, &with(more)), [(Check::Subset, "connect-both")]);
        assert_eq!(questions(LIBC, &with("connect-both 0 0 203.0.113.1")), [(Check::Complete, "connect-both")]);
    }

    #[test]
    fn a_code_that_hangs_on_errno_is_excused_where_a_file_is_missing_and_nowhere_else() {
        let codes = |family, libc: &str, plain: &str, missing: bool| {
            // A seed whose system has, or lacks, one of the files.
            let files = ["host.conf", "nsswitch.conf"];
            let mut cases = (1..).map(Case::draw);
            let lacks = |case: &Case| files.iter().any(|name| case.etc.text(name).is_none());
            let mut case = cases.find(|case| lacks(case) == missing).expect("there are both");
            case.asked.hints = Some(crate::differential::case::Hints { flags: 0, family, socktype: 1, protocol: 0 });
            let libc = parse(&format!("lookup {libc} 0\ngethostbyname-4 {plain} 0\n")).unwrap();
            let library = parse("blocking -2 0\nobject -2 0\n").unwrap();
            let all = compare(&case, &[Check::Lookup], &libc, &library);
            all.into_iter().map(|difference| difference.exception).collect::<Vec<_>>()
        };
        assert_eq!(codes(libc::AF_INET, "-5", "1", true), [Some(ERRNO_LEFT); 2]);
        assert_eq!(codes(libc::AF_INET, "-5", "3", true), [Some(ERRNO_LEFT); 2]);
        assert_eq!(codes(libc::AF_INET, "-5", "4", true), [None; 2]);
        assert_eq!(codes(libc::AF_INET, "-3", "1", true), [None; 2]);
        assert_eq!(codes(libc::AF_INET6, "-5", "1", true), [None; 2]);
        assert_eq!(codes(libc::AF_INET, "-5", "1", false), [None; 2]);
    }

    #[test]
    fn what_servers_send_explains_no_more_than_it_does() {
        let explained = |family, check, question: &'static str, code: i32, asked: &str| {
            let mut cases = (1..).map(Case::draw);
            let mut case = cases.find(|case| !is_serial(case)).expect("most are not");
            case.asked.hints = Some(crate::differential::case::Hints { flags: 0, family, socktype: 1, protocol: 0 });
            let difference = Difference { check, question, text: String::new(), exception: None };
            let library = parse(&format!("{question} {code} 0\n")).unwrap();
            explanation(&case, &difference, &library, &asked.lines().map(str::to_owned).collect::<Vec<_>>())
        };
        let (beside, by_tcp) = ("192.0.2.1 UDP a.test. AAAA: Fine", "192.0.2.1 TCP a.test. A: Mutated");
        let alone = "192.0.2.1 UDP a.test. A: Short(0)";
        let short = &format!("{alone}\n{beside}");
        let of_both = &format!("{alone}\n192.0.2.1 UDP a.test. AAAA: Short(0)");
        let (both, only) = (libc::AF_UNSPEC, libc::AF_INET6);
        assert_eq!(explained(both, Check::Lookup, "object", -2, short), Some(SHORT_DATAGRAM));
        assert_eq!(explained(both, Check::Lookup, "object", -2, alone), None);
        assert_eq!(explained(both, Check::Lookup, "object", -2, of_both), None);
        assert_eq!(explained(only, Check::Lookup, "object", -2, short), None);
        assert_eq!(explained(both, Check::Family, "connect-6", -2, short), None);
        assert_eq!(explained(both, Check::Lookup, "object", -2, "192.0.2.1 UDP a.test. A: CutOff"), None);
        assert_eq!(explained(both, Check::Family, "connect-4", libc::EAI_AGAIN, by_tcp), Some(OTHER_QUESTION));
        assert_eq!(explained(both, Check::Family, "connect-4", libc::EAI_NONAME, by_tcp), None);
        assert_eq!(explained(both, Check::Family, "connect-4", libc::EAI_AGAIN, &by_tcp.replace("TCP", "UDP")), None);
        assert_eq!(explained(both, Check::Subset, "connect-both", 0, by_tcp), Some(TOLD_AT_ONCE));
        assert_eq!(explained(both, Check::Subset, "connect-both", 0, "192.0.2.1 UDP a.test. A: NoData"), None);
    }

    #[test]
    fn exceptions_are_narrow() {
        let line = "lookup 0 0 0x2/10/1/6/2001:db8::1/80/0/6100 0x2/2/1/6/203.0.113.1/80/0/-";
        let list = "0 0 0x2/10/1/6/2001:db8::1/80/0/6100 0x2/2/1/6/203.0.113.1/80/0/-";
        let ours = &format!("blocking {list}\nobject {list}");
        let found = |service: &str, libc: &str, library: i32| {
            let library = LIBRARY.replace(ours, &format!("blocking {library} 0\nobject {library} 0"));
            let all = differences(service, &LIBC.replace(line, libc), &library);
            all.into_iter().map(|difference| difference.exception).collect::<Vec<_>>()
        };
        assert_eq!(found("80", "lookup -11 2", libc::EAI_NONAME), [Some("system-enoent"); 2]);
        assert_eq!(found("80", "lookup -11 5", libc::EAI_NONAME), [None; 2]);
        assert_eq!(found("80", "lookup -11 2", libc::EAI_AGAIN), [None; 2]);
        for service in ["65536", "-1", "+80", "99999999999999999999"] {
            assert_eq!(found(service, line, libc::EAI_SERVICE), [Some("service-number"); 2], "{service}");
        }
        for service in ["65535", "80", "http", "", "-", "80a"] {
            assert_eq!(found(service, line, libc::EAI_SERVICE), [None; 2], "{service}");
        }
        assert_eq!(found("65536", line, libc::EAI_NONAME), [None; 2]);
        assert_eq!(found("80 ", line, libc::EAI_SERVICE), [Some("service-refused"); 2]);
    }
}
