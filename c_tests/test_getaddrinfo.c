/* rb_getaddrinfo_happy: the answers of getaddrinfo(3), and a limit. */
#define _GNU_SOURCE
#include "support.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool same_list(const struct addrinfo *left, const struct addrinfo *right)
{
    for (; left && right; left = left->ai_next, right = right->ai_next) {
        if (left->ai_flags != right->ai_flags || left->ai_family != right->ai_family || left->ai_socktype != right->ai_socktype ||
            left->ai_protocol != right->ai_protocol || left->ai_addrlen != right->ai_addrlen ||
            memcmp(left->ai_addr, right->ai_addr, left->ai_addrlen) != 0)
            return false;
        if ((left->ai_canonname == NULL) != (right->ai_canonname == NULL) ||
            (left->ai_canonname && strcmp(left->ai_canonname, right->ai_canonname) != 0))
            return false;
    }
    return left == right;
}

static void compare(const char *node, const char *name, const struct addrinfo *hints, int timeout_ms)
{
    struct addrinfo *theirs = NULL, *ours = NULL;
    int their_code = getaddrinfo(node, name, hints, &theirs);
    int our_code = rb_getaddrinfo_happy(node, name, hints, &ours, timeout_ms);
    if (their_code != our_code || !same_list(theirs, ours))
        fail_msg("node '%s' service '%s' flags %#x family %d socktype %d: getaddrinfo %d, rb_getaddrinfo_happy %d%s",
                 node ? node : "NULL", name ? name : "NULL", hints ? (unsigned)hints->ai_flags : 0,
                 hints ? hints->ai_family : -1, hints ? hints->ai_socktype : -1, their_code, our_code,
                 their_code == our_code ? ", different lists" : "");
    if (theirs)
        freeaddrinfo(theirs);
    if (ours)
        freeaddrinfo(ours);
}

static void gives_the_answers_of_getaddrinfo(void **state)
{
    static const char *const nodes[] = {
        NULL,         "127.0.0.1",        "::1",       "0.0.0.0",    "::",        "127.1",    "0x7f.1",    "1",
        "fe80::1%lo", "::ffff:127.0.0.1", "localhost", "dual.test",  "four.test", "six.test", "DUAL.test", "live.test",
        "dual.test.", "no.such.test",     "300.1.1.1", "1.example:x",
        "fe80::1%nosuch", "::1%nosuch", "127.0.0.1%lo"};
    static const char *const names[] = {NULL, "0", "80", "65535", "http", "nosuch", "080", ""};
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX};
    static const struct {
        int flags, socktype, protocol;
    } kinds[] = {
        {0, 0, 0},
        {0, SOCK_STREAM, 0},
        {0, SOCK_STREAM, IPPROTO_TCP},
        {0, SOCK_DGRAM, 0},
        {0, SOCK_RAW, 0},
        {0, SOCK_STREAM, IPPROTO_UDP},
        {AI_PASSIVE, SOCK_STREAM, 0},
        {AI_NUMERICHOST, SOCK_STREAM, 0},
        {AI_NUMERICSERV, SOCK_STREAM, 0},
        {AI_CANONNAME, SOCK_STREAM, 0},
        {AI_ADDRCONFIG, SOCK_STREAM, 0},
        {AI_V4MAPPED | AI_ALL, SOCK_STREAM, 0},
        {1 << 20, SOCK_STREAM, 0},
    };
    (void)state;
    for (size_t node = 0; node < COUNT_OF(nodes); node++)
        for (size_t name = 0; name < COUNT_OF(names); name++) {
            compare(nodes[node], names[name], NULL, -1);
            compare(nodes[node], names[name], NULL, PATIENCE_MS);
            for (size_t family = 0; family < COUNT_OF(families); family++)
                for (size_t kind = 0; kind < COUNT_OF(kinds); kind++) {
                    struct addrinfo hints = {.ai_flags = kinds[kind].flags,
                                             .ai_family = families[family],
                                             .ai_socktype = kinds[kind].socktype,
                                             .ai_protocol = kinds[kind].protocol};
                    /* With a limit the question goes to a worker, without one it need not. */
                    compare(nodes[node], names[name], &hints, kind % 2 == 0 ? -1 : PATIENCE_MS);
                }
        }
}

/* Where libc takes what no caller means, or asks a server for what is no name, the answer is fixed instead. */
static void refuses_what_no_resolver_should_be_asked(void **state)
{
    static char long_host[301], longer_host[1101], long_service[40];
    memset(long_host, 'a', 300);
    memset(longer_host, 'a', 1100);
    memset(long_service, '1', 39);
    const struct {
        const char *node, *name;
        int code;
    } table[] = {
        {NULL, NULL, EAI_NONAME},
        {"", "80", EAI_NONAME},
        {long_host, "80", EAI_NONAME},
        {longer_host, "80", EAI_NONAME},
        {"dual\001.test", "80", EAI_NONAME},
        {"dual.test\n", "80", EAI_NONAME},
        {"dual.test\r\n", "80", EAI_NONAME},
        {"127.0.0.1\n", "80", EAI_NONAME},
        {"127.0.0.1 ", "80", EAI_NONAME},
        {" dual.test", "80", EAI_NONAME},
        {"dual.test\t", "80", EAI_NONAME},
        {"dual.test\177", "80", EAI_NONAME},
        {"127.0.0.1", "-1", EAI_SERVICE},
        {"127.0.0.1", "+80", EAI_SERVICE},
        {"127.0.0.1", "65536", EAI_SERVICE},
        {"127.0.0.1", "4294967376", EAI_SERVICE},
        {"127.0.0.1", long_service, EAI_SERVICE},
        {"127.0.0.1", "80x", EAI_SERVICE},
        {"127.0.0.1", " 80", EAI_SERVICE},
        {"127.0.0.1", "80\n", EAI_SERVICE},
        {"127.0.0.1", "nosuch", EAI_SERVICE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        for (int timeout_ms = -1; timeout_ms <= PATIENCE_MS; timeout_ms += PATIENCE_MS + 1) {
            struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
            struct addrinfo *untouched = (struct addrinfo *)&hints, *list = untouched;
            int code = rb_getaddrinfo_happy(table[i].node, table[i].name, &hints, &list, timeout_ms);
            if (code != table[i].code || list != untouched)
                fail_msg("row %zu: %d (%s), %s", i, code, gai_strerror(code), list == untouched ? "" : "and it wrote");
        }
}

static void passes_bytes_that_are_no_ascii_to_the_resolver(void **state)
{
    static const char *const nodes[] = {"d\303\274rst.test", "\377\376.test", "xn--drst-0ra.test"};
    struct addrinfo *list = NULL;
    (void)state;
    /* No such name anywhere, and no server: what libc says, and nothing worse. */
    for (size_t i = 0; i < COUNT_OF(nodes); i++) {
        compare(nodes[i], "80", NULL, -1);
        int code = rb_getaddrinfo_happy(nodes[i], "80", NULL, &list, PATIENCE_MS);
        assert_true(code == EAI_NONAME || code == EAI_AGAIN);
    }
}

static void rejects_bad_arguments(void **state)
{
    struct addrinfo *list = (struct addrinfo *)state;
    errno = 0;
    assert_int_equal(rb_getaddrinfo_happy("dual.test", "80", NULL, &list, -2), EAI_SYSTEM);
    assert_int_equal(errno, EINVAL);
    assert_ptr_equal(list, state);
    assert_non_null(strstr(happy_error_message(), "timeout_ms"));
    errno = 0;
    assert_int_equal(rb_getaddrinfo_happy("dual.test", "80", NULL, NULL, -1), EAI_SYSTEM);
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(happy_error_message(), "ret_res"));
}

static void a_limit_ends_a_lookup_that_hangs(void **state)
{
    struct addrinfo *list = (struct addrinfo *)state;
    int dns = silent_dns_server();
    double began = now_ms();
    errno = 0;
    assert_int_equal(rb_getaddrinfo_happy("hangs.test", "80", NULL, &list, 60), EAI_SYSTEM);
    double took = now_ms() - began;
    assert_int_equal(errno, ETIMEDOUT);
    assert_ptr_equal(list, state);
    /* That it was the limit, and not the silence, errno says. */
    assert_true(took >= 60);
    close(dns);
    wait_for_workers_to_leave();
}

static void a_limit_of_0_is_over_at_once(void **state)
{
    struct addrinfo *list = NULL;
    (void)state;
    errno = 0;
    assert_int_equal(rb_getaddrinfo_happy("dual.test", "80", NULL, &list, 0), EAI_SYSTEM);
    assert_int_equal(errno, ETIMEDOUT);
    assert_null(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_answers_of_getaddrinfo),
        cmocka_unit_test(refuses_what_no_resolver_should_be_asked),
        cmocka_unit_test(passes_bytes_that_are_no_ascii_to_the_resolver),
        cmocka_unit_test(rejects_bad_arguments),
        cmocka_unit_test(a_limit_ends_a_lookup_that_hangs),
        cmocka_unit_test(a_limit_of_0_is_over_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
