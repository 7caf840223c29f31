//! Names and sentences for what the library and the system say in numbers.

use happysock::race::{Family, HOST, Limit, LookupError, Operation, Question, QuestionKind, Rule};
use nix::errno::Errno;

/// netdb.h of glibc; the libc crate has no name for it.
const EAI_ADDRFAMILY: i32 = -9;

/// The name of an `EAI_*` code and what it means, in the words of gai_strerror(3).
pub fn gai_error(code: i32) -> (&'static str, &'static str) {
    match code {
        libc::EAI_BADFLAGS => ("EAI_BADFLAGS", "a lookup flag that there is not"),
        libc::EAI_NONAME => ("EAI_NONAME", "the name is not known"),
        libc::EAI_AGAIN => ("EAI_AGAIN", "the name servers did not answer, or not now"),
        libc::EAI_FAIL => ("EAI_FAIL", "the name servers could not answer, and will not"),
        libc::EAI_NODATA => ("EAI_NODATA", "the name has no address"),
        libc::EAI_FAMILY => ("EAI_FAMILY", "the family is not supported"),
        libc::EAI_SOCKTYPE => ("EAI_SOCKTYPE", "the kind of socket is not supported"),
        libc::EAI_SERVICE => ("EAI_SERVICE", "the port is not known"),
        libc::EAI_MEMORY => ("EAI_MEMORY", "out of memory"),
        libc::EAI_SYSTEM => ("EAI_SYSTEM", "a system call failed"),
        libc::EAI_OVERFLOW => ("EAI_OVERFLOW", "the name is too long"),
        EAI_ADDRFAMILY => ("EAI_ADDRFAMILY", "the name has no address of this family"),
        _ => ("EAI_?", "the lookup failed"),
    }
}

/// Why a lookup failed, as a person reads it.
pub fn lookup_error(error: LookupError) -> String {
    if error.gai_error == libc::EAI_SYSTEM && error.sys_errno != 0 {
        return errno_text(error.sys_errno).to_owned();
    }
    gai_error(error.gai_error).1.to_owned()
}

/// `ECONNREFUSED`.
pub fn errno_name(number: i32) -> String {
    format!("{:?}", Errno::from_raw(number))
}

/// What strerror(3) says.
pub fn errno_text(number: i32) -> &'static str {
    Errno::from_raw(number).desc()
}

/// A failure in a word or two.
pub fn errno_short(number: i32) -> String {
    match number {
        libc::ECONNREFUSED => "refused".to_owned(),
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EAFNOSUPPORT => "no route".to_owned(),
        libc::ETIMEDOUT => "no answer".to_owned(),
        libc::EACCES | libc::EPERM => "forbidden".to_owned(),
        number => errno_name(number),
    }
}

/// The system call of a step, as section 2 of the manual has it.
pub fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Socket => "socket(2)",
        Operation::Configure => "configure_socket",
        Operation::Bind => "bind(2)",
        Operation::Connect => "connect(2)",
        Operation::Wait => "epoll_ctl(2)",
        Operation::Confirm => "TLS handshake",
        Operation::HandOver => "ioctl(2)",
    }
}

pub fn family(family: Family) -> &'static str {
    match family {
        Family::V6 => "IPv6",
        Family::V4 => "IPv4",
    }
}

/// Why a destination stands behind the one before it.
pub fn rule(rule: Rule) -> &'static str {
    match rule {
        Rule::Usable => "there is no way there",
        Rule::Answered => "its network does not answer",
        Rule::MatchingScope => "its source has another scope",
        Rule::NotDeprecated => "its source address is deprecated",
        Rule::HomeAddress => "its source is no home address",
        Rule::MatchingLabel => "its source has another label",
        Rule::HigherPrecedence => "lower precedence",
        Rule::NativeTransport => "it goes through a tunnel",
        Rule::SmallerScope => "wider scope",
        Rule::RoundTrip => "it was slower before",
        Rule::UsedBefore => "it was not used before",
        Rule::LongestPrefix => "less in common with its source",
        Rule::Unchanged => "as the answer has it",
    }
}

/// A question, as dig(1) would name it; of which target of a service, where it is not of the host.
pub fn question(question: Question) -> String {
    let kind = match question.kind {
        QuestionKind::Aaaa => "AAAA",
        QuestionKind::A => "A",
        QuestionKind::Both => "both",
        QuestionKind::Local => "local",
        QuestionKind::Nat64Prefix => "nat64-prefix",
        QuestionKind::Service => "service",
    };
    if question.name == HOST { kind.to_owned() } else { format!("{kind} of target {}", question.name.0) }
}

/// The flag that sets a limit.
pub fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Resolve => "resolv-timeout",
        Limit::Connect => "connect-timeout",
        Limit::Open => "timeout",
    }
}

/// The argument on the command line that an argument of the library comes from.
pub fn argument(argument: happysock::Argument) -> &'static str {
    use happysock::Argument as A;
    match argument {
        A::RemoteHost => "HOST",
        A::RemoteService => "PORT",
        A::LocalHost => "--local-host",
        A::LocalService => "--local-port",
        A::LocalV4 => "--local-v4",
        A::LocalV6 => "--local-v6",
        A::Addresses => "--address",
        A::Family => "-4 or -6",
        A::PreferredFamily => "--prefer",
        A::Flags => "--lookup-flag",
        A::ResolvTimeout => "--resolv-timeout",
        A::ConnectTimeout => "--connect-timeout",
        A::OpenTimeout => "--timeout",
        A::ResolutionDelay => "--resolution-delay",
        A::ConnectionAttemptDelay => "--attempt-delay",
        A::FirstAddressFamilyCount => "--first-family-count",
        A::Service => "--service",
        A::Alpn => "--alpn",
        _ => "the arguments",
    }
}

/// What a plan was refused for, in the words of the command line.
pub fn refusal(invalid: &happysock::Invalid) -> String {
    let reason = invalid.reason.to_string_lossy();
    // The library speaks of its own fields.
    let reason = reason
        .replace("resolv_timeout_ms", "--resolv-timeout")
        .replace("connect_timeout_ms", "--connect-timeout")
        .replace("local_host", "--local-host")
        .replace("local_service", "--local-port");
    format!("{}: {reason}", argument(invalid.argument))
}

/// `12.3 ms`, `1.20 s`: three digits that count.
pub fn duration_ms(ms: f64) -> String {
    match ms {
        ms if ms >= 99_950.0 => format!("{:.0} s", ms / 1e3),
        ms if ms >= 9_995.0 => format!("{:.1} s", ms / 1e3),
        ms if ms >= 999.5 => format!("{:.2} s", ms / 1e3),
        ms if ms >= 99.95 => format!("{ms:.0} ms"),
        ms if ms >= 9.995 => format!("{ms:.1} ms"),
        ms => format!("{ms:.2} ms"),
    }
}

/// `1 address`, `2 addresses`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
