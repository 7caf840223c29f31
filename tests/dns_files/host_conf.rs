use happysock::dns::host_conf::HostConf;

const OFF: HostConf = HostConf { multi: false, reorder: false };
const MULTI: HostConf = HostConf { multi: true, reorder: false };
const REORDER: HostConf = HostConf { multi: false, reorder: true };

fn parse(text: &str) -> HostConf {
    HostConf::parse(Some(text.as_bytes()))
}

/// No file: multi is off. Debian and Ubuntu ship `multi on`.
#[test]
fn only_multi_and_reorder_act() {
    assert_eq!(HostConf::parse(None), OFF);
    assert_eq!(parse(""), OFF);
    assert_eq!(parse("multi on\n"), MULTI);
    assert_eq!(parse("reorder on\n"), REORDER);
    assert_eq!(parse("order hosts,bind\nnospoof on\nspoofalert on\ntrim .example\nmulti on\n"), MULTI);
}

#[test]
fn words_and_comments() {
    for text in [
        "multi on",
        "  MULTI\tOn  \n",
        "multi on # all of them\n",
        "multi on#\n",
        "multi only\n",
        "multi on garbage\n",
        "multi on\r\n",
    ] {
        assert_eq!(parse(text), MULTI, "{text:?}");
    }
    for text in [
        "# multi on\n",
        "#multi on\n",
        "multi\n",
        "multi # on\n",
        "multi, on\n",
        "multi o\n",
        "multi yes\n",
        "multi 1\n",
        "multi: on\n",
        "multion\n",
        "multi\0 on\n",
        "multis on\n",
    ] {
        assert_eq!(parse(text), OFF, "{text:?}");
    }
}

/// The last line that says it counts; one that cannot be read changes nothing.
#[test]
fn the_last_line_counts() {
    assert_eq!(parse("multi on\nmulti off\n"), OFF);
    assert_eq!(parse("multi off\nmulti on\nmulti perhaps\n"), MULTI);
    assert_eq!(parse("multi on\nmulti offline\n"), OFF);
}

/// fgets(3) with a buffer of 256 bytes: what is beyond 255 of a line is a line of its own.
#[test]
fn long_lines_are_two() {
    let comment = "#".repeat(255);
    assert_eq!(parse(&format!("{comment}multi on\n")), MULTI);
    assert_eq!(parse(&format!("{}multi on\n", &comment[1..])), OFF);
    assert_eq!(parse(&format!("{}multi on\n", "# multi off".repeat(100))), OFF);
}
