/* Input that no connect can be made of: a status, the argument's name, errno and EAI_* as getaddrinfo(3) would give
 * them; nothing is opened, nothing is asked, nothing is left behind. */
#define _GNU_SOURCE
#include "support.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is expected of a connect that is refused. */
struct refusal {
    const char *host, *service;
    happy_options options;
    int status, gai_error, errno_value;
    const char *argument;
};

static void check_message(const struct refusal *refusal)
{
    if (strncmp(happy_error_message(), refusal->argument, strlen(refusal->argument)) != 0)
        fail_msg("the message '%s' does not begin with the argument %s", happy_error_message(), refusal->argument);
}

/* All ways in refuse it alike. */
static void check_refusal(const struct refusal *expected)
{
    struct script script = {.six = {.gai_error = EAI_NONAME}, .four = {.gai_error = EAI_NONAME}};
    happy_options options = expected->options;
    struct roomy_result roomy;
    int descriptors = open_descriptors(), at_work = workers();

    /* Nothing of the caller's is called. */
    options.lookup = script_lookup;
    options.configure_socket = script_configure_socket;
    options.trace = script_trace;
    options.userdata = &script;
    options.userdata_free = script_userdata_free;

    clear_result(&roomy);
    errno = 0;
    assert_int_equal(init_inetsock_happy(expected->host, expected->service, &options, &roomy.result), -1);
    int error = errno;
    check_message(expected);
    if (roomy.result.status != expected->status || roomy.result.gai_error != expected->gai_error ||
        error != expected->errno_value || roomy.result.fd != -1 || roomy.result.argument == NULL ||
        strcmp(roomy.result.argument, expected->argument) != 0)
        fail_msg("host '%s' service '%s': status %d, gai_error %d, errno %d, argument %s; expected %d, %d, %d, %s",
                 expected->host ? expected->host : "NULL", expected->service ? expected->service : "NULL",
                 roomy.result.status, roomy.result.gai_error, error,
                 roomy.result.argument ? roomy.result.argument : "NULL", expected->status, expected->gai_error,
                 expected->errno_value, expected->argument);
    assert_int_equal(roomy.result.attempts_count, 0);
    assert_int_equal(roomy.result.address_length, 0);

    /* A result is not needed. */
    errno = 0;
    assert_int_equal(init_inetsock_happy(expected->host, expected->service, &options, NULL), -1);
    assert_int_equal(errno, expected->errno_value);
    check_message(expected);

    happy_connect *untouched = (happy_connect *)&roomy, *connect = untouched;
    assert_int_equal(happy_connect_new(expected->host, expected->service, &options, &connect, NULL), expected->status);
    assert_ptr_equal(connect, untouched);
    check_message(expected);

    assert_int_equal(script.lookups + script.sockets_configured + script.events + script.userdata_frees, 0);
    check_descriptors(descriptors);
    assert_int_equal(workers(), at_work);
}

static struct refusal refused(const char *host, const char *name, int gai_error, const char *argument)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct refusal refusal = {host, name, options, HAPPY_EINVALID, gai_error, EINVAL, argument};
    return refusal;
}

static void hosts_and_services(void **state)
{
    static char long_host[301], longer_host[1101], long_service[101];
    (void)state;
    memset(long_host, 'a', 300);
    memset(longer_host, 'a', 1100);
    memset(long_service, '1', 100);
    const struct {
        const char *host, *service;
        int gai_error;
        const char *argument;
    } table[] = {
        {NULL, NULL, EAI_NONAME, "remote_host"},
        {"", "80", EAI_NONAME, "remote_host"},
        {"", NULL, EAI_NONAME, "remote_host"},
        {longer_host, "80", EAI_NONAME, "remote_host"},
        {"dual\001.test", "80", EAI_NONAME, "remote_host"},
        {"dual\033[31m.test", "80", EAI_NONAME, "remote_host"},
        {"dual.test\n", "80", EAI_NONAME, "remote_host"},
        {"127.0.0.1\n", "80", EAI_NONAME, "remote_host"},
        {"dual.test ", "80", EAI_NONAME, "remote_host"},
        {"dual.test\177", "80", EAI_NONAME, "remote_host"},
        {"dual.test", "-1", EAI_SERVICE, "remote_service"},
        {"dual.test", "+80", EAI_SERVICE, "remote_service"},
        {"dual.test", "65536", EAI_SERVICE, "remote_service"},
        {"dual.test", "70000", EAI_SERVICE, "remote_service"},
        {"dual.test", "18446744073709551696", EAI_SERVICE, "remote_service"},
        {"dual.test", " 80", EAI_SERVICE, "remote_service"},
        {"dual.test", "80\n", EAI_SERVICE, "remote_service"},
        {"dual.test", long_service, EAI_SERVICE, "remote_service"},
        {NULL, "65536", EAI_SERVICE, "remote_service"},
        {"127.0.0.1", "65536", EAI_SERVICE, "remote_service"},
        {"::1", "-1", EAI_SERVICE, "remote_service"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct refusal refusal = refused(table[i].host, table[i].service, table[i].gai_error, table[i].argument);
        check_refusal(&refusal);
    }
    /* A label may have 63 bytes: libc's resolver says so without asking anybody. */
    struct roomy_result roomy;
    clear_result(&roomy);
    assert_int_equal(init_inetsock_happy(long_host, "80", NULL, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_ERESOLVE);
    assert_int_equal(roomy.result.gai_error, EAI_NONAME);
    assert_string_equal(roomy.result.argument, "remote_host");
}

/* Names that only the resolver can judge; what it says reaches the caller. */
static void names_that_the_resolver_does_not_know(void **state)
{
    static const struct {
        const char *host, *service;
        const char *argument;
    } table[] = {
        {"127.0.0.1", "nosuch", "remote_service"}, {"127.0.0.1", "80x", "remote_service"},
        {"::1", "80x", "remote_service"},          {"dual.test", "nosuch", "remote_service"},
        {"dual.test", "80x", "remote_service"},    {"d\303\274rst.test", "80", "remote_host"},
        {"\377\376.test", "80", "remote_host"},    {"no.such.test.", "80", "remote_host"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
        struct roomy_result roomy;
        int code = getaddrinfo(table[i].host, table[i].service, &hints, &list);
        assert_int_not_equal(code, 0);
        clear_result(&roomy);
        errno = 0;
        assert_int_equal(init_inetsock_happy(table[i].host, table[i].service, NULL, &roomy.result), -1);
        int error = errno;
        if (roomy.result.status != HAPPY_ERESOLVE || roomy.result.gai_error != code)
            fail_msg("%s %s: status %d, gai_error %d; getaddrinfo says %d", table[i].host, table[i].service,
                     roomy.result.status, roomy.result.gai_error, code);
        assert_int_equal(error, code == EAI_AGAIN ? EAGAIN : ENXIO);
        assert_string_equal(roomy.result.argument, table[i].argument);
        assert_non_null(strstr(happy_error_message(), table[i].argument));
    }
}

/* libc asks a server for such a name or not, depending on the family it is asked for; it is never a number. */
static void a_host_that_looks_like_a_number(void **state)
{
    static const char *const hosts[] = {"300.300.300.300", "1.2.3.4.5", "127.0.0.1.", "0x100000000"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct roomy_result roomy;
        clear_result(&roomy);
        assert_int_equal(init_inetsock_happy(hosts[i], "80", NULL, &roomy.result), -1);
        assert_int_equal(roomy.result.status, HAPPY_ERESOLVE);
        assert_true(roomy.result.gai_error == EAI_NONAME || roomy.result.gai_error == EAI_AGAIN);
        assert_int_equal(roomy.result.attempts_count, 0);
    }
}

static void a_trailing_dot_is_part_of_a_name(void **state)
{
    int port = 0, server = listen_on("127.0.0.1", &port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    struct roomy_result roomy;
    (void)state;
    clear_result(&roomy);
    int code = getaddrinfo("four.test.", service(port), &hints, &list);
    int fd = init_inetsock_happy("four.test.", service(port), NULL, &roomy.result);
    /* As libc reads /etc/hosts. */
    assert_int_equal(fd >= 0, code == 0);
    assert_int_equal(roomy.result.gai_error, code);
    if (fd >= 0)
        close(fd);
    if (list)
        freeaddrinfo(list);
    close(server);
}

static void options_out_of_range(void **state)
{
    struct refusal refusal;
    (void)state;
#define REFUSED(field, value, code)                                                                                    \
    refusal = refused("127.0.0.1", "80", code, #field);                                                                \
    refusal.options.field = value;                                                                                     \
    check_refusal(&refusal)
    REFUSED(family, AF_UNIX, EAI_FAMILY);
    REFUSED(family, -1, EAI_FAMILY);
    REFUSED(flags, 1u << 30, 0);
    REFUSED(flags, 0x80000000u, 0);
    REFUSED(flags, UINT32_MAX, 0);
    REFUSED(resolv_timeout_ms, -2, 0);
    REFUSED(connect_timeout_ms, -2, 0);
    REFUSED(open_timeout_ms, -2, 0);
    REFUSED(open_timeout_ms, INT32_MIN, 0);
    REFUSED(resolution_delay_ms, -1, 0);
    REFUSED(resolution_delay_ms, INT32_MIN, 0);
    REFUSED(connection_attempt_delay_ms, -1, 0);
    REFUSED(first_address_family_count, 0, 0);
    REFUSED(nat64, "", 0);
    REFUSED(nat64, "Discover", 0);
    REFUSED(nat64, "64:ff9b::", 0);
    REFUSED(nat64, "64:ff9b::/95", 0);
    REFUSED(nat64, "64:ff9b::1/96", 0);
    REFUSED(nat64, "64:ff9b::/96,", 0);
    REFUSED(nat64, "1::/96,2::/96,3::/96,4::/96,5::/96,6::/96,7::/96,8::/96,9::/96", 0);
    REFUSED(service, "", 0);
    REFUSED(service, "HTTP", 0);
    REFUSED(service, "\xff", 0);
    REFUSED(service, "_65536._https", 0);
    REFUSED(alpn, "h2", 0);
#undef REFUSED
}

static void a_service_that_cannot_be_followed(void **state)
{
    struct refusal refusal;
    char too_long[257];
    (void)state;
    memset(too_long, 'h', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = 0;
#define REFUSED(at_fault, ids, field, value)                                                                           \
    refusal = refused("127.0.0.1", "80", 0, at_fault);                                                                 \
    refusal.options.service = "https";                                                                                 \
    refusal.options.alpn = ids;                                                                                        \
    refusal.options.field = value;                                                                                     \
    check_refusal(&refusal)
    REFUSED("alpn", "", max_attempts, 0);
    REFUSED("alpn", "h2,", max_attempts, 0);
    REFUSED("alpn", ",h2", max_attempts, 0);
    REFUSED("alpn", too_long, max_attempts, 0);
    REFUSED("service", NULL, nat64, "discover");
    REFUSED("service", NULL, flags, HAPPY_FLAG_NO_FAST_FALLBACK);
#undef REFUSED
}

static void unknown_lookup_flags(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "::1", "dual.test"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        struct roomy_result roomy;
        clear_result(&roomy);
        options.lookup_flags = 1 << 20;
        assert_int_equal(init_inetsock_happy(hosts[i], "80", &options, &roomy.result), -1);
        if (roomy.result.gai_error != EAI_BADFLAGS)
            fail_msg("%s: status %d, gai_error %d", hosts[i], roomy.result.status, roomy.result.gai_error);
    }
}

static void open_timeout_excludes_the_other_limits(void **state)
{
    (void)state;
    for (int which = 1; which <= 3; which++) {
        struct refusal refusal = refused("127.0.0.1", "80", 0, "open_timeout_ms");
        refusal.options.open_timeout_ms = 0;
        if (which & 1)
            refusal.options.resolv_timeout_ms = 1000;
        if (which & 2)
            refusal.options.connect_timeout_ms = 1000;
        check_refusal(&refusal);
    }
}

static void sizes_of_options(void **state)
{
    static const size_t wrong[] = {0, 1, sizeof(size_t) - 1, sizeof(happy_options) - 1, (size_t)-1};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct refusal refusal = refused("127.0.0.1", "80", 0, "options");
        refusal.options.size = wrong[i];
        check_refusal(&refusal);
    }
}

/* A program that was compiled for a later version works as long as it uses nothing that this one does not know. */
static void options_of_a_later_version(void **state)
{
    struct {
        happy_options options;
        uint64_t later[4];
    } grown = {HAPPY_OPTIONS_INIT, {0, 0, 0, 0}};
    int port = 0, server = listen_on("127.0.0.1", &port);
    struct roomy_result roomy;
    (void)state;
    grown.options.size = sizeof grown;
    clear_result(&roomy);
    int fd = init_inetsock_happy("127.0.0.1", service(port), &grown.options, &roomy.result);
    check_socket(fd, false);
    close(fd);
    grown.later[3] = 1;
    clear_result(&roomy);
    assert_int_equal(init_inetsock_happy("127.0.0.1", service(port), &grown.options, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_EINVALID);
    assert_string_equal(roomy.result.argument, "options");
    close(server);
}

static void sizes_of_results(void **state)
{
    static const size_t wrong[] = {0, 1, sizeof(size_t), sizeof(happy_result) - 1};
    int port = 0, server = listen_on("127.0.0.1", &port);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct roomy_result roomy;
        clear_result(&roomy);
        roomy.result.size = wrong[i];
        happy_result before = roomy.result;
        errno = 0;
        assert_int_equal(init_inetsock_happy("127.0.0.1", service(port), NULL, &roomy.result), -1);
        assert_int_equal(errno, EINVAL);
        assert_memory_equal(&roomy.result, &before, sizeof before);
        assert_non_null(strstr(happy_error_message(), "ret_result"));
        /* Nothing was done: nobody knocked. */
        assert_false(is_readable(server));
    }
    close(server);
}

static void a_refused_result_leaves_the_connect_its_own(void **state)
{
    int port = 0, server = listen_on("127.0.0.1", &port);
    happy_connect *connect = NULL;
    struct roomy_result roomy;
    (void)state;
    assert_int_equal(happy_connect_new("127.0.0.1", service(port), NULL, &connect, NULL), HAPPY_OK);
    happy_connect_wait(connect);
    clear_result(&roomy);
    roomy.result.size = 8;
    assert_int_equal(happy_connect_take_result(connect, &roomy.result), -1);
    clear_result(&roomy);
    int fd = happy_connect_take_result(connect, &roomy.result);
    check_socket(fd, false);
    close(fd);
    happy_connect_free(connect);
    close(server);
}

static void local_addresses(void **state)
{
    struct refusal refusal;
    (void)state;
    refusal = refused("127.0.0.1", "80", EAI_SERVICE, "local_service");
    refusal.options.local_service = "65536";
    check_refusal(&refusal);
    refusal.options.local_service = "-1";
    check_refusal(&refusal);
    refusal = refused("127.0.0.1", "80", EAI_NONAME, "local_host");
    refusal.options.local_host = "";
    check_refusal(&refusal);
    refusal.options.local_host = "127.0.0.1\n";
    check_refusal(&refusal);
}

static void an_address_that_does_not_fit_the_family(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct addrinfo hints = {.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM}, *list;
    struct roomy_result roomy;
    (void)state;
    clear_result(&roomy);
    options.family = AF_INET6;
    assert_int_equal(init_inetsock_happy("127.0.0.1", "80", &options, &roomy.result), -1);
    assert_int_equal(roomy.result.gai_error, getaddrinfo("127.0.0.1", "80", &hints, &list));
    assert_string_equal(roomy.result.argument, "remote_host");
}

/* The defaults that HAPPY_OPTIONS_INIT writes are those that the library has where it is given no options: seen by what
 * happens with both. */
static void the_defaults_are_the_same_without_options(void **state)
{
    struct roomy_result given, none;
    happy_options options = HAPPY_OPTIONS_INIT;
    int port = 0, server = listen_on("203.0.113.1", &port);
    (void)state;
    assert_int_equal(options.resolution_delay_ms, 50);
    assert_int_equal(options.connection_attempt_delay_ms, 250);
    assert_int_equal(options.first_address_family_count, 1);
    clear_result(&given);
    clear_result(&none);
    int first = init_inetsock_happy("half.test", service(port), &options, &given.result);
    int second = init_inetsock_happy("half.test", service(port), NULL, &none.result);
    check_socket(first, false);
    check_socket(second, false);
    assert_int_equal(given.result.attempts_count, none.result.attempts_count);
    for (int i = 0; i < 2; i++) {
        const happy_attempt *attempts = i == 0 ? given.attempts : none.attempts;
        double gap = (double)(attempts[1].started_ns - attempts[0].started_ns) / 1e6;
        assert_true(gap >= 250 && gap < 2000);
    }
    close(first);
    close(second);
    close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_and_services),
        cmocka_unit_test(names_that_the_resolver_does_not_know),
        cmocka_unit_test(a_host_that_looks_like_a_number),
        cmocka_unit_test(a_trailing_dot_is_part_of_a_name),
        cmocka_unit_test(options_out_of_range),
        cmocka_unit_test(a_service_that_cannot_be_followed),
        cmocka_unit_test(unknown_lookup_flags),
        cmocka_unit_test(open_timeout_excludes_the_other_limits),
        cmocka_unit_test(sizes_of_options),
        cmocka_unit_test(options_of_a_later_version),
        cmocka_unit_test(sizes_of_results),
        cmocka_unit_test(a_refused_result_leaves_the_connect_its_own),
        cmocka_unit_test(local_addresses),
        cmocka_unit_test(an_address_that_does_not_fit_the_family),
        cmocka_unit_test(the_defaults_are_the_same_without_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
