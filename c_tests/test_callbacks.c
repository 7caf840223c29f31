/* The caller's functions: lookups, socket options, the trace, and the userdata behind them. */
#define _GNU_SOURCE
#include "servers.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Callbacks ----------------------------------------------------------------------------------------- */

static void every_list_and_the_userdata_are_freed_once(void **state)
{
    struct script script = {.six = {.addresses = {"::1"}}, .four = {.addresses = {"127.0.0.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.connection_attempt_delay_ms = LONGEST_ATTEMPT_DELAY_MS;
    int fd = connect_scripted(&options, &roomy);
    wait_for_running_lookups(0);
    wait_for_userdata_free(&script);
    assert_true(script.lookups >= 1 && script.lookups <= 2);
    assert_int_equal(script.frees, script.lookups);
    assert_int_equal(script.sockets_configured, 1);
    close(fd);
}

static void a_refused_connect_does_not_free_the_userdata(void **state)
{
    struct script script = {.six = {.addresses = {"::1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.resolution_delay_ms = -1;
    assert_int_equal(connect_scripted(&options, &roomy), -1);
    assert_int_equal(roomy.result.status, HAPPY_EINVALID);
    assert_int_equal(script.userdata_frees, 0);
    assert_int_equal(script.lookups, 0);
    assert_int_equal(script.events, 0);
}

static void userdata_outlives_a_lookup_that_was_given_up(void **state)
{
    struct script *script = calloc(1, sizeof *script);
    struct roomy_result roomy;
    (void)state;
    script->six.delay_ms = -1;
    script->six.addresses[0] = "::1";
    script->four.delay_ms = -1;
    script->four.addresses[0] = "127.0.0.1";
    happy_options options = script_options(script);
    /* Time for both lookups to begin. */
    options.open_timeout_ms = 4000;
    clear_result(&roomy);
    assert_int_equal(init_inetsock_happy("written.test", service(port), &options, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_ETIMEOUT);
    wait_for_running_lookups(2);
    assert_int_equal(__atomic_load_n(&script->lookups, __ATOMIC_SEQ_CST), 2);
    assert_int_equal(__atomic_load_n(&script->userdata_frees, __ATOMIC_SEQ_CST), 0);
    script_release();
    wait_for_running_lookups(0);
    wait_for_userdata_free(script);
    assert_int_equal(script->frees, 2);
    free(script);
}

static void lists_without_a_free_function_are_libcs(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    (void)state;
    /* getaddrinfo itself has the shape of the callback, less the userdata. */
    options.lookup = (happy_lookup_fn)(void (*)(void))getaddrinfo;
    clear_result(&roomy);
    int fd = init_inetsock_happy("dual.test", service(port), &options, &roomy.result);
    check_socket(fd, false);
    close(fd);
}

static void configure_socket_sees_each_socket_and_may_fail_an_attempt(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8:1::1"}},
                            .four = {.addresses = {"203.0.113.1"}},
                            .refuse_family = AF_INET6,
                            .refuse_errno = EPERM};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    /* IPv6 goes first, however late its answer comes. */
    options.resolution_delay_ms = NOT_SOON_MS;
    int fd = connect_scripted(&options, &roomy);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_int_equal(script.sockets_configured, 2);
    assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_FAILED);
    assert_int_equal(roomy.attempts[0].sys_errno, EPERM);
    close(fd);
    wait_for_userdata_free(&script);
}

static int set_nodelay(int fd, const struct sockaddr *address, socklen_t length, void *userdata)
{
    int one = 1;
    (void)address, (void)length, (void)userdata;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0 ? 0 : errno;
}

static void configure_socket_sets_options_of_the_winner(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "dual.test"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        int nodelay = 0;
        socklen_t length = sizeof nodelay;
        options.configure_socket = set_nodelay;
        int fd = init_inetsock_happy(hosts[i], service(port), &options, NULL);
        check_socket(fd, false);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &length), 0);
        assert_true(nodelay != 0);
        close(fd);
    }
}

/* Attempts that were started and ended, seen by a trace. */
struct seen {
    int started[8], ended[8], finished;
    uint64_t latest_ns;
};

static void record(const happy_trace_event *event, struct script *script)
{
    struct seen *seen = script->context;
    assert_int_equal(event->size, sizeof *event);
    assert_true(event->time_ns >= seen->latest_ns);
    seen->latest_ns = event->time_ns;
    if (event->kind == HAPPY_TRACE_ATTEMPT_STARTED || event->kind == HAPPY_TRACE_ATTEMPT_ENDED) {
        assert_in_range(event->attempt, 0, 7);
        assert_non_null(event->address);
        assert_true(event->address_length > 0);
        assert_int_equal(event->address->sa_family, event->family);
        (event->kind == HAPPY_TRACE_ATTEMPT_STARTED ? seen->started : seen->ended)[event->attempt]++;
    }
    seen->finished += event->kind == HAPPY_TRACE_FINISHED;
    if (event->kind == HAPPY_TRACE_FINISHED)
        assert_int_equal(event->status, HAPPY_OK);
}

static void every_attempt_of_a_trace_ends_once(void **state)
{
    struct seen seen = {.finished = 0};
    struct script script = {.six = {.addresses = {"2001:db8::77", "2001:db8::78"}},
                            .four = {.addresses = {"192.0.2.77", "203.0.113.1"}},
                            .on_event = record,
                            .context = &seen};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.connection_attempt_delay_ms = 20;
    int fd = connect_scripted(&options, &roomy);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_int_equal(seen.finished, 1);
    assert_int_equal(script.kinds[script.events - 1], HAPPY_TRACE_FINISHED);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(seen.started[i], i < roomy.result.attempts_count);
        assert_int_equal(seen.ended[i], seen.started[i]);
    }
    close(fd);
    wait_for_userdata_free(&script);
}

static void attempts_are_counted_where_there_is_no_room(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8::77", "2001:db8::78"}},
                            .four = {.delay_ms = 20, .addresses = {"203.0.113.1"}}};
    happy_options options = script_options(&script);
    happy_attempt attempts[2] = {{.family = -1}, {.family = -1}};
    happy_result result = HAPPY_RESULT_INIT;
    (void)state;
    options.connection_attempt_delay_ms = 300;
    /* IPv6 goes first, however late its answer comes. */
    options.resolution_delay_ms = NOT_SOON_MS;
    result.attempts = attempts;
    result.attempts_capacity = 1;
    int fd = init_inetsock_happy("written.test", service(port), &options, &result);
    check_socket(fd, false);
    /* A third one may have begun on a slow machine. */
    assert_in_range(result.attempts_count, 2, 3);
    assert_int_equal(attempts[0].family, AF_INET6);
    assert_int_equal(attempts[1].family, -1);
    assert_ptr_equal(result.attempts, attempts);
    assert_int_equal(result.attempts_capacity, 1);
    close(fd);
    wait_for_userdata_free(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE_TEST(every_list_and_the_userdata_are_freed_once),
        RACE_TEST(a_refused_connect_does_not_free_the_userdata),
        RACE_TEST(userdata_outlives_a_lookup_that_was_given_up),
        RACE_TEST(lists_without_a_free_function_are_libcs),
        RACE_TEST(configure_socket_sees_each_socket_and_may_fail_an_attempt),
        RACE_TEST(configure_socket_sets_options_of_the_winner),
        RACE_TEST(every_attempt_of_a_trace_ends_once),
        RACE_TEST(attempts_are_counted_where_there_is_no_room),
    };
    return cmocka_run_group_tests(tests, start_servers, NULL);
}
