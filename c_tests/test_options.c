/* Options: known addresses, local addresses by family, a preferred family; what the caller's functions may
 * answer; and the one descriptor with its timers inside. */
#define _GNU_SOURCE
#include "support.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A node as a caller would make it by hand. */
struct known {
    struct addrinfo node;
    struct sockaddr_storage address;
};

static struct addrinfo *know(struct known *known, const char *text, int port, struct addrinfo *next)
{
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&known->address;
    struct sockaddr_in *four = (struct sockaddr_in *)&known->address;
    memset(known, 0, sizeof *known);
    if (strchr(text, ':')) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
        known->node.ai_addrlen = sizeof *six;
    } else {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        assert_int_equal(inet_pton(AF_INET, text, &four->sin_addr), 1);
        known->node.ai_addrlen = sizeof *four;
    }
    known->node.ai_addr = (struct sockaddr *)&known->address;
    known->node.ai_next = next;
    return &known->node;
}

static void refused_because_of(const happy_options *options, const char *argument)
{
    happy_result result = HAPPY_RESULT_INIT;
    happy_connect *connect = NULL;
    assert_int_equal(happy_connect_new("dual.test", "80", options, &connect, &result), HAPPY_EINVALID);
    assert_string_equal(result.argument, argument);
    assert_null(connect);
}

/* ---- Known addresses ----------------------------------------------------------------------------------- */

static void known_addresses_are_raced_without_a_lookup(void **state)
{
    int port = 0, server = listen_on("203.0.113.1", &port);
    happy_options options = HAPPY_OPTIONS_INIT;
    struct script script = {0};
    struct roomy_result roomy;
    struct known known[3];
    (void)state;
    options.addresses =
        know(&known[0], "203.0.113.1", port, know(&known[1], "2001:db8::77", port, know(&known[2], "192.0.2.77", port, NULL)));
    options.trace = script_trace;
    options.userdata = &script;
    options.connection_attempt_delay_ms = 20;
    clear_result(&roomy);
    int fd = init_inetsock_happy(NULL, NULL, &options, &roomy.result);
    check_socket(fd, false);
    close(fd);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_int_equal(roomy.attempts[0].family, AF_INET6);
    assert_int_equal(roomy.result.fell_back, 1);
    assert_false(script_saw(&script, HAPPY_TRACE_LOOKUP_STARTED));
    /* The host and the service are not looked at. */
    fd = init_inetsock_happy("no.such.test", "nosuch", &options, &roomy.result);
    check_socket(fd, false);
    close(fd);
    /* Without a race they are attempted as they are given. */
    options.flags = HAPPY_FLAG_NO_FAST_FALLBACK;
    clear_result(&roomy);
    fd = init_inetsock_happy(NULL, NULL, &options, &roomy.result);
    check_socket(fd, false);
    close(fd);
    assert_int_equal(roomy.result.attempts_count, 1);
    /* What getaddrinfo(3) gave may be given on. */
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    assert_int_equal(getaddrinfo("203.0.113.1", service(port), &hints, &list), 0);
    options.addresses = list;
    fd = init_inetsock_happy(NULL, NULL, &options, &roomy.result);
    freeaddrinfo(list);
    check_socket(fd, false);
    close(fd);
    close(server);
}

static void the_family_chooses_among_known_addresses(void **state)
{
    int port = 0, server = listen_on("127.0.0.1", &port);
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    struct known known[2];
    (void)state;
    options.addresses = know(&known[0], "::1", port, know(&known[1], "127.0.0.1", port, NULL));
    options.family = AF_INET;
    int fd = init_inetsock_happy(NULL, NULL, &options, &result);
    check_socket(fd, false);
    close(fd);
    assert_int_equal(result.attempts_count, 1);
    known[0].node.ai_next = NULL;
    refused_because_of(&options, "addresses");
    close(server);
}

static void bad_addresses_are_refused(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct known known[2];
    (void)state;
    options.addresses = know(&known[0], "127.0.0.1", 80, know(&known[1], "::1", 80, NULL));
    options.lookup = script_lookup;
    refused_because_of(&options, "addresses");
    options.lookup = NULL;
    known[1].address.ss_family = AF_UNIX;
    refused_because_of(&options, "addresses");
    known[1].address.ss_family = AF_INET6;
    known[1].node.ai_addrlen--;
    refused_because_of(&options, "addresses");
    known[1].node.ai_addr = NULL;
    refused_because_of(&options, "addresses");
    /* One that has no end. */
    known[0].node.ai_next = &known[0].node;
    refused_because_of(&options, "addresses");
}

/* ---- Local addresses by family ------------------------------------------------------------------------- */

static void each_family_is_bound_to_its_local_address(void **state)
{
    int servers[2], port = 0;
    happy_options options = HAPPY_OPTIONS_INIT;
    struct sockaddr_in four = {.sin_family = AF_INET}, bound = {0};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    socklen_t length = sizeof bound;
    (void)state;
    listen_on_both("127.0.0.1", "::1", servers, &port);
    inet_pton(AF_INET, "127.0.0.99", &four.sin_addr);
    options.local_v4 = &four;
    int fd = init_inetsock_happy("127.0.0.1", service(port), &options, NULL);
    check_socket(fd, false);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &length), 0);
    assert_int_equal(bound.sin_addr.s_addr, four.sin_addr.s_addr);
    close(fd);
    /* The other family is not bound, by name too. */
    options.family = AF_INET6;
    fd = init_inetsock_happy("dual.test", service(port), &options, NULL);
    check_socket(fd, false);
    close(fd);
    /* An address that is not this machine's: only that family fails. */
    options.family = AF_UNSPEC;
    inet_pton(AF_INET6, "2001:db8:77::1", &six.sin6_addr);
    options.local_v6 = &six;
    struct roomy_result roomy;
    clear_result(&roomy);
    fd = init_inetsock_happy(NULL, service(port), &options, &roomy.result);
    check_socket(fd, false);
    close(fd);
    assert_string_equal(result_address(&roomy.result), "127.0.0.1");
    assert_int_equal(roomy.attempts[0].sys_errno, EADDRNOTAVAIL);
    assert_string_equal(roomy.attempts[0].syscall, "bind(2)");
    close(servers[0]);
    close(servers[1]);
}

static void bad_local_addresses_are_refused(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct sockaddr_in four = {.sin_family = AF_INET6};
    struct sockaddr_in6 six = {.sin6_family = AF_INET};
    (void)state;
    options.local_v4 = &four;
    refused_because_of(&options, "local_v4");
    options.local_v4 = NULL;
    options.local_v6 = &six;
    refused_because_of(&options, "local_v6");
    six.sin6_family = AF_INET6;
    options.local_host = "::1";
    refused_because_of(&options, "local_v6");
}

/* ---- A preferred family -------------------------------------------------------------------------------- */

static void the_preferred_family_goes_first(void **state)
{
    int servers[2], port = 0;
    static const int families[] = {AF_INET, AF_INET6};
    (void)state;
    listen_on_both("203.0.113.1", "2001:db8:1::1", servers, &port);
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        struct known known[2];
        happy_result result = HAPPY_RESULT_INIT;
        options.preferred_family = families[i];
        options.connection_attempt_delay_ms = LONGEST_ATTEMPT_DELAY_MS;
        int fd = init_inetsock_happy("live.test", service(port), &options, &result);
        check_socket(fd, false);
        close(fd);
        assert_int_equal(result.address.ss_family, families[i]);
        options.addresses = know(&known[0], "2001:db8:1::1", port, know(&known[1], "203.0.113.1", port, NULL));
        fd = init_inetsock_happy(NULL, NULL, &options, &result);
        check_socket(fd, false);
        close(fd);
        assert_int_equal(result.address.ss_family, families[i]);
        assert_int_equal(result.attempts_count, 1);
    }
    happy_options options = HAPPY_OPTIONS_INIT;
    options.preferred_family = AF_UNIX;
    refused_because_of(&options, "preferred_family");
    close(servers[0]);
    close(servers[1]);
}

/* ---- What the caller's functions answer ---------------------------------------------------------------- */

/* A list without an end, or longer than any that is taken. */
static int endless_lookup(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_res,
                          void *userdata)
{
    static struct addrinfo cycle[2];
    (void)node, (void)service, (void)hints, (void)userdata;
    cycle[0].ai_next = &cycle[1];
    cycle[1].ai_next = &cycle[0];
    *ret_res = cycle;
    return 0;
}

static void must_not_be_freed(struct addrinfo *list, void *userdata)
{
    (void)list;
    (*(int *)userdata)++;
}

static void a_list_without_an_end_is_a_failure(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    int freed = 0;
    (void)state;
    options.lookup = endless_lookup;
    options.lookup_free = must_not_be_freed;
    options.userdata = &freed;
    assert_int_equal(init_inetsock_happy("dual.test", "80", &options, &result), -1);
    assert_int_equal(result.status, HAPPY_ERESOLVE);
    assert_int_equal(result.gai_error, EAI_FAIL);
    assert_int_equal(errno, EIO);
    assert_int_equal(freed, 0);
}

static int strange_lookup(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_res,
                          void *userdata)
{
    (void)node, (void)service, (void)hints, (void)ret_res;
    return *(int *)userdata;
}

static void a_number_that_is_no_code_is_a_failure(void **state)
{
    static const int numbers[] = {1, 77, -77, HAPPY_EAGAIN, HAPPY_EINTERNAL, INT32_MIN, INT32_MAX};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        happy_result result = HAPPY_RESULT_INIT;
        int number = numbers[i];
        options.lookup = strange_lookup;
        options.userdata = &number;
        assert_int_equal(init_inetsock_happy("dual.test", "80", &options, &result), -1);
        assert_int_equal(result.status, HAPPY_ERESOLVE);
        assert_int_equal(result.gai_error, EAI_FAIL);
    }
}

static int configure(int fd, const struct sockaddr *address, socklen_t length, void *userdata)
{
    (void)fd, (void)address, (void)length;
    errno = EPERM;
    return *(int *)userdata;
}

static void configure_socket_answers_an_errno(void **state)
{
    static const struct {
        int answer, expected;
    } table[] = {{EACCES, EACCES}, {-1, EPERM}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        happy_result result = HAPPY_RESULT_INIT;
        int answer = table[i].answer;
        options.configure_socket = configure;
        options.userdata = &answer;
        assert_int_equal(init_inetsock_happy("127.0.0.1", "80", &options, &result), -1);
        assert_int_equal(result.status, HAPPY_ESYSCALL);
        assert_int_equal(result.sys_errno, table[i].expected);
        assert_string_equal(result.syscall, "configure_socket");
    }
}

static int bind_it(int fd, const struct sockaddr *address, socklen_t length, void *userdata)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    (void)address, (void)length, (void)userdata;
    inet_pton(AF_INET, "127.0.0.98", &local.sin_addr);
    return bind(fd, (struct sockaddr *)&local, sizeof local);
}

static void configure_socket_may_bind(void **state)
{
    int port = 0, server = listen_on("127.0.0.1", &port);
    happy_options options = HAPPY_OPTIONS_INIT;
    struct sockaddr_in bound = {0};
    socklen_t length = sizeof bound;
    char text[INET_ADDRSTRLEN];
    (void)state;
    options.configure_socket = bind_it;
    int fd = init_inetsock_happy("127.0.0.1", service(port), &options, NULL);
    check_socket(fd, false);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &length), 0);
    assert_string_equal(inet_ntop(AF_INET, &bound.sin_addr, text, sizeof text), "127.0.0.98");
    close(fd);
    close(server);
}

static void refused_options_keep_their_userdata(void **state)
{
    struct script script = {0};
    happy_options options = script_options(&script);
    happy_connect *connect = NULL;
    happy_multi *multi = NULL;
    (void)state;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    assert_int_equal(happy_connect_new("dual.test", "80", &options, NULL, NULL), HAPPY_EINVALID);
    assert_int_equal(happy_connect_new("", "80", &options, &connect, NULL), HAPPY_EINVALID);
    assert_int_equal(happy_multi_add(multi, "dual.test", "80", &options, NULL, NULL, NULL, NULL), HAPPY_EINVALID);
    happy_result unfit = HAPPY_RESULT_INIT;
    unfit.size = 8;
    assert_int_equal(happy_connect_new("dual.test", "80", &options, &connect, &unfit), HAPPY_EINVALID);
    assert_int_equal(init_inetsock_happy("dual.test", "80", &options, &unfit), -1);
    happy_multi_free(multi);
    assert_int_equal(script.userdata_frees, 0);
}

/* ---- The one descriptor -------------------------------------------------------------------------------- */

/* Drives a connect by nothing but its descriptor; how often it was readable. */
static int drive_by_descriptor(happy_connect *connect)
{
    struct pollfd descriptor = {happy_connect_get_fd(connect), POLLIN, 0};
    int turns = 0;
    assert_true(descriptor.fd >= 0);
    do {
        assert_int_equal(poll(&descriptor, 1, PATIENCE_MS), 1);
        turns++;
    } while (happy_connect_dispatch(connect) == HAPPY_EAGAIN);
    /* Finished: it stays readable, and is the same. */
    assert_true(is_readable(descriptor.fd));
    assert_int_equal(happy_connect_get_fd(connect), descriptor.fd);
    assert_int_equal(happy_connect_get_timeout_ms(connect), 0);
    return turns;
}

static void a_connect_needs_nothing_but_its_descriptor(void **state)
{
    int port = 0, server = listen_on("203.0.113.1", &port);
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    happy_connect *connect = NULL;
    (void)state;
    options.connection_attempt_delay_ms = 100;
    assert_int_equal(happy_connect_new("half.test", service(port), &options, &connect, NULL), HAPPY_OK);
    int turns = drive_by_descriptor(connect);
    /* Lookups, the delay, the connection; not a loop that spins. */
    assert_true(turns < 30);
    clear_result(&roomy);
    int fd = happy_connect_take_result(connect, &roomy.result);
    check_socket(fd, false);
    close(fd);
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_true(roomy.attempts[1].started_ns - roomy.attempts[0].started_ns >= 100000000);
    /* Its result is taken: there is nothing to dispatch any more. */
    assert_int_equal(happy_connect_get_timeout_ms(connect), -1);
    assert_int_equal(happy_connect_get_fd(connect), -1);
    assert_int_equal(errno, EINVAL);
    happy_connect_free(connect);
    close(server);
}

static void a_limit_makes_the_descriptor_readable(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    happy_connect *connect = NULL;
    (void)state;
    options.open_timeout_ms = 120;
    double began = now_ms();
    assert_int_equal(happy_connect_new("192.0.2.77", "80", &options, &connect, NULL), HAPPY_OK);
    int turns = drive_by_descriptor(connect);
    assert_true(now_ms() - began >= 120);
    assert_true(turns < 30);
    assert_int_equal(happy_connect_take_result(connect, &result), -1);
    assert_int_equal(result.limit, HAPPY_LIMIT_OPEN);
    happy_connect_free(connect);
}

/* The descriptor may be asked for in the middle, and the wait goes on with it there. */
static void the_descriptor_may_come_late(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    happy_connect *connect = NULL;
    (void)state;
    options.open_timeout_ms = 4000;
    assert_int_equal(happy_connect_new("192.0.2.77", "80", &options, &connect, NULL), HAPPY_OK);
    assert_int_equal(happy_connect_dispatch(connect), HAPPY_EAGAIN);
    int fd = happy_connect_get_fd(connect);
    assert_false(is_readable(fd));
    assert_true(wait_readable(fd, PATIENCE_MS));
    assert_int_equal(happy_connect_wait(connect), HAPPY_OK);
    assert_int_equal(happy_connect_take_result(connect, &result), -1);
    assert_int_equal(result.status, HAPPY_ETIMEOUT);
    happy_connect_free(connect);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_addresses_are_raced_without_a_lookup),
        cmocka_unit_test(the_family_chooses_among_known_addresses),
        cmocka_unit_test(bad_addresses_are_refused),
        cmocka_unit_test(each_family_is_bound_to_its_local_address),
        cmocka_unit_test(bad_local_addresses_are_refused),
        cmocka_unit_test(the_preferred_family_goes_first),
        cmocka_unit_test(a_list_without_an_end_is_a_failure),
        cmocka_unit_test(a_number_that_is_no_code_is_a_failure),
        cmocka_unit_test(configure_socket_answers_an_errno),
        cmocka_unit_test(configure_socket_may_bind),
        cmocka_unit_test(refused_options_keep_their_userdata),
        cmocka_unit_test(a_connect_needs_nothing_but_its_descriptor),
        cmocka_unit_test(a_limit_makes_the_descriptor_readable),
        cmocka_unit_test(the_descriptor_may_come_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
