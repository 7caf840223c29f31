/* A network without IPv4 whose translator leads to it: 2001:db8:64::/96 is its prefix, and 203.0.113.1 is live behind it.
 *
 * Each test has that network from the program's own namespace, which has loopback alone besides. */
#define _GNU_SOURCE
#include "support.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRANSLATED "2001:db8:64::cb00:7101"

/* The kernel makes an address of IPv6 the host's own on a worker, a moment after it is there and can be bound to: until then what is
 * sent to it is answered as unreachable. */
static bool wait_until_reached(const char *address)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6};
    bool is_reached = false;
    int at = 0, listener = listen_on(address, &at);
    to.sin6_port = htons((uint16_t)at);
    inet_pton(AF_INET6, address, &to.sin6_addr);
    for (double until = now_ms() + PATIENCE_MS; !is_reached && now_ms() < until;) {
        int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        is_reached = connect(probe, (struct sockaddr *)&to, sizeof to) == 0;
        close(probe);
    }
    close(listener);
    return is_reached;
}

static int make_network(void **state)
{
    (void)state;
    if (unshare(CLONE_NEWNET) != 0) return -1;
    if (system("ip link set lo up && ip -6 address add " TRANSLATED "/128 dev lo nodad") != 0) return -1;
    return wait_until_reached(TRANSLATED) ? 0 : -1;
}

/* What the caller's functions have seen. */
struct seen {
    int discoveries;
    int synthesized;
    uint32_t from;
    int families[8];
    int lookups;
};

/* Answers ipv4only.arpa as the network would. */
static int look_up(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_res,
                   void *userdata)
{
    struct seen *seen = userdata;
    __atomic_add_fetch(&seen->discoveries, 1, __ATOMIC_SEQ_CST);
    if (strcmp(node, "ipv4only.arpa.") != 0 || hints->ai_family != AF_INET6) return EAI_FAIL;
    return getaddrinfo("2001:db8:64::192.0.0.170", service, hints, ret_res);
}

static void see(const happy_trace_event *event, void *userdata)
{
    struct seen *seen = userdata;
    if (event->kind == HAPPY_TRACE_ADDRESS_SYNTHESIZED) {
        seen->synthesized += event->synthesized;
        seen->from = event->synthesized_from;
    }
    if (event->kind == HAPPY_TRACE_LOOKUP_STARTED) seen->families[seen->lookups++] = event->family;
}

static void check_translated(const happy_result *result)
{
    assert_string_equal(result_address(result), TRANSLATED);
    assert_int_equal(result->synthesized, 1);
    assert_int_equal(result->synthesized_from, inet_addr("203.0.113.1"));
    assert_int_equal(result->attempts_count, 1);
    assert_int_equal(result->attempts[0].family, AF_INET6);
    assert_int_equal(result->attempts[0].synthesized, 1);
    assert_int_equal(result->attempts[0].synthesized_from, inet_addr("203.0.113.1"));
}

static void a_literal_is_reached_by_a_prefix_that_is_given(void **state)
{
    int port = 0, listener = listen_on(TRANSLATED, &port);
    struct seen seen = {0};
    struct roomy_result roomy;
    happy_options options = HAPPY_OPTIONS_INIT;
    (void)state;
    options.nat64 = "64:ff9b::/96,2001:db8:64::/96";
    options.trace = see;
    options.userdata = &seen;
    clear_result(&roomy);
    int fd = init_inetsock_happy("203.0.113.1", service(port), &options, &roomy.result);
    if (fd < 0)
        fail_msg("%s", happy_error_message());
    check_translated(&roomy.result);
    assert_int_equal(seen.synthesized, 1);
    assert_int_equal(seen.from, inet_addr("203.0.113.1"));
    assert_int_equal(seen.lookups, 0);
    close(fd);
    close(listener);
}

static void the_prefix_is_asked_of_the_callers_function(void **state)
{
    int port = 0, listener = listen_on(TRANSLATED, &port);
    struct seen seen = {0};
    struct roomy_result roomy;
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_connect *connect = NULL;
    (void)state;
    options.nat64 = "discover";
    options.lookup = look_up;
    options.trace = see;
    options.userdata = &seen;
    clear_result(&roomy);
    assert_int_equal(happy_connect_new("203.0.113.1", service(port), &options, &connect, &roomy.result), HAPPY_OK);
    int ready = happy_connect_get_fd(connect);
    assert_true(ready >= 0);
    /* The answer of a worker and the connection are both told by the descriptor. */
    while (happy_connect_dispatch(connect) == HAPPY_EAGAIN) assert_true(wait_readable(ready, 60000));
    int fd = happy_connect_take_result(connect, &roomy.result);
    assert_true(fd >= 0);
    check_translated(&roomy.result);
    assert_int_equal(seen.discoveries, 1);
    assert_int_equal(seen.lookups, 1);
    assert_int_equal(seen.families[0], -1);
    happy_connect_free(connect);
    close(fd);
    close(listener);
}

static void without_it_nothing_is_asked_and_ipv4_cannot_be_reached(void **state)
{
    struct seen seen = {0};
    struct roomy_result roomy;
    happy_options options = HAPPY_OPTIONS_INIT;
    (void)state;
    options.lookup = look_up;
    options.trace = see;
    options.userdata = &seen;
    clear_result(&roomy);
    assert_int_equal(init_inetsock_happy("203.0.113.1", "9", &options, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_ESYSCALL);
    assert_int_equal(roomy.result.sys_errno, ENETUNREACH);
    assert_int_equal(roomy.result.synthesized, 0);
    assert_int_equal(roomy.attempts[0].synthesized, 0);
    assert_int_equal(roomy.attempts[0].synthesized_from, 0);
    assert_int_equal(seen.synthesized, 0);
    assert_int_equal(seen.discoveries, 0);
}

static void a_lookup_of_the_prefix_is_cancelled_like_any_other(void **state)
{
    struct seen seen = {0};
    struct roomy_result roomy;
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_connect *connect = NULL;
    int silent = silent_dns_server();
    (void)state;
    options.nat64 = "discover";
    options.trace = see;
    options.userdata = &seen;
    clear_result(&roomy);
    int before = settled_descriptors();
    assert_int_equal(happy_connect_new("203.0.113.1", "9", &options, &connect, &roomy.result), HAPPY_OK);
    assert_int_equal(happy_connect_dispatch(connect), HAPPY_EAGAIN);
    assert_int_equal(seen.lookups, 1);
    happy_connect_cancel(connect);
    assert_int_equal(happy_connect_wait(connect), HAPPY_OK);
    assert_int_equal(happy_connect_take_result(connect, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_ECANCELLED);
    assert_int_equal(roomy.result.attempts_count, 0);
    happy_connect_free(connect);
    check_descriptors(before);
    close(silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_is_reached_by_a_prefix_that_is_given),
        cmocka_unit_test(the_prefix_is_asked_of_the_callers_function),
        cmocka_unit_test(without_it_nothing_is_asked_and_ipv4_cannot_be_reached),
        cmocka_unit_test(a_lookup_of_the_prefix_is_cancelled_like_any_other),
    };
    return cmocka_run_group_tests(tests, make_network, NULL);
}
