/* The race, with answers that the test writes: who wins, and when.
 *
 * Addresses: ::1 and 127.0.0.1 are loopback; 2001:db8:1::1 and 203.0.113.1 are live; 2001:db8::77 and 192.0.2.77
 * swallow what they are sent. */
#define _GNU_SOURCE
#include "servers.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void the_fastest_family_wins(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8:1::1"}}, .four = {.delay_ms = -1}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    int fd = connect_scripted(&options, &roomy);
    assert_string_equal(result_address(&roomy.result), "2001:db8:1::1");
    assert_true(started_ms(&roomy, 0) < NOT_SOON_MS);
    close(fd);
    script_release();
    wait_for_running_lookups(0);
    wait_for_userdata_free(&script);
}

static void an_aaaa_that_never_comes_costs_one_resolution_delay(void **state)
{
    struct script script = {.six = {.delay_ms = -1}, .four = {.addresses = {"203.0.113.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.resolution_delay_ms = 80;
    int fd = connect_scripted(&options, &roomy);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_true(started_ms(&roomy, 0) >= 80);
    assert_true(script_saw(&script, HAPPY_TRACE_RESOLUTION_DELAY_EXPIRED));
    assert_true(script_saw(&script, HAPPY_TRACE_LOOKUP_ABANDONED));
    close(fd);
    script_release();
    wait_for_running_lookups(0);
    wait_for_userdata_free(&script);
}

static void a_loopback_answer_pays_no_resolution_delay(void **state)
{
    struct script script = {.six = {.delay_ms = -1}, .four = {.addresses = {"127.0.0.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.resolution_delay_ms = NOT_SOON_MS;
    int fd = connect_scripted(&options, &roomy);
    assert_string_equal(result_address(&roomy.result), "127.0.0.1");
    assert_true(started_ms(&roomy, 0) < NOT_SOON_MS / 2);
    close(fd);
    script_release();
    wait_for_running_lookups(0);
    wait_for_userdata_free(&script);
}

static void an_aaaa_within_the_resolution_delay_goes_first(void **state)
{
    struct script script = {.six = {.delay_ms = 30, .addresses = {"2001:db8:1::1"}},
                            .four = {.addresses = {"203.0.113.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.resolution_delay_ms = NOT_SOON_MS;
    options.connection_attempt_delay_ms = LONGEST_ATTEMPT_DELAY_MS;
    int fd = connect_scripted(&options, &roomy);
    assert_string_equal(result_address(&roomy.result), "2001:db8:1::1");
    assert_int_equal(roomy.result.attempts_count, 1);
    close(fd);
    wait_for_userdata_free(&script);
}

static void a_dead_ipv6_costs_one_connection_attempt_delay(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8::77"}}, .four = {.addresses = {"203.0.113.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    /* The IPv6 answer may come long after the other one. */
    options.resolution_delay_ms = NOT_SOON_MS;
    /* Long enough for the IPv4 answer to come before it is over: otherwise there is no timer to fire. */
    options.connection_attempt_delay_ms = LONGEST_ATTEMPT_DELAY_MS;
    int fd = connect_scripted(&options, &roomy);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_int_equal(roomy.attempts[0].family, AF_INET6);
    assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_ABANDONED);
    assert_int_equal(roomy.attempts[1].outcome, HAPPY_OUTCOME_CONNECTED);
    double gap = started_ms(&roomy, 1) - started_ms(&roomy, 0);
    assert_true(gap >= LONGEST_ATTEMPT_DELAY_MS && gap < NOT_SOON_MS);
    assert_true(script_saw(&script, HAPPY_TRACE_NEXT_ATTEMPT_TIMER_FIRED));
    close(fd);
    wait_for_userdata_free(&script);
}

static void the_same_with_libcs_resolver(void **state)
{
    struct roomy_result roomy;
    (void)state;
    clear_result(&roomy);
    int fd = init_inetsock_happy("half.test", service(port), NULL, &roomy.result);
    check_socket(fd, false);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    double gap = started_ms(&roomy, 1) - started_ms(&roomy, 0);
    assert_true(gap >= 250 && gap < NOT_SOON_MS);
    close(fd);
}

static void a_failure_pulls_the_next_attempt_forward(void **state)
{
    int closed = closed_port();
    struct script script = {.six = {.addresses = {"2001:db8:1::1"}}, .four = {.addresses = {"203.0.113.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.connection_attempt_delay_ms = LONGEST_ATTEMPT_DELAY_MS;
    clear_result(&roomy);
    assert_int_equal(init_inetsock_happy("written.test", service(closed), &options, &roomy.result), -1);
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_false(script_saw(&script, HAPPY_TRACE_NEXT_ATTEMPT_TIMER_FIRED));
    wait_for_userdata_free(&script);
}

static void attempts_in_flight_are_capped(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8::77", "2001:db8::78", "2001:db8::79"}},
                            .four = {.gai_error = EAI_NODATA}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.connection_attempt_delay_ms = 10;
    options.max_attempts = 2;
    /* Time for the third attempt too. */
    options.open_timeout_ms = 4000;
    assert_int_equal(connect_scripted(&options, &roomy), -1);
    assert_int_equal(roomy.result.status, HAPPY_ETIMEOUT);
    /* The oldest has made room for the third. */
    assert_int_equal(roomy.result.attempts_count, 3);
    assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_ABANDONED);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(roomy.attempts[i].outcome, HAPPY_OUTCOME_TIMED_OUT);
        assert_int_equal(roomy.attempts[i].sys_errno, ETIMEDOUT);
    }
    wait_for_userdata_free(&script);
}

static void without_fast_fallback_attempts_take_turns(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8::77"}}, .four = {.addresses = {"203.0.113.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.flags = HAPPY_FLAG_NO_FAST_FALLBACK;
    options.connect_timeout_ms = 1000;
    int fd = connect_scripted(&options, &roomy);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_int_equal(script.lookups, 1);
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_TIMED_OUT);
    assert_true(started_ms(&roomy, 1) - started_ms(&roomy, 0) >= 1000);
    close(fd);
    wait_for_userdata_free(&script);
}

static void both_lookups_failing_gives_the_lookups_error(void **state)
{
    static const struct {
        int six, six_errno, four, four_errno, gai_error, sys_errno, expected_errno;
    } table[] = {
        {EAI_NONAME, 0, EAI_NONAME, 0, EAI_NONAME, 0, ENXIO},
        {EAI_AGAIN, 0, EAI_AGAIN, 0, EAI_AGAIN, 0, EAGAIN},
        {EAI_MEMORY, 0, EAI_MEMORY, 0, EAI_MEMORY, 0, ENOMEM},
        {EAI_FAIL, 0, EAI_FAIL, 0, EAI_FAIL, 0, EIO},
        {EAI_SYSTEM, EMFILE, EAI_SYSTEM, EMFILE, EAI_SYSTEM, EMFILE, EMFILE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct script script = {.six = {.gai_error = table[i].six, .sys_errno = table[i].six_errno},
                                .four = {.gai_error = table[i].four, .sys_errno = table[i].four_errno}};
        happy_options options = script_options(&script);
        struct roomy_result roomy;
        errno = 0;
        assert_int_equal(connect_scripted(&options, &roomy), -1);
        assert_int_equal(errno, table[i].expected_errno);
        assert_int_equal(roomy.result.status, HAPPY_ERESOLVE);
        assert_int_equal(roomy.result.gai_error, table[i].gai_error);
        assert_int_equal(roomy.result.sys_errno, table[i].sys_errno);
        assert_string_equal(roomy.result.argument, "remote_host");
        assert_int_equal(script.sockets_configured, 0);
        wait_for_userdata_free(&script);
    }
}

static void one_family_failing_leaves_the_other(void **state)
{
    struct script script = {.six = {.gai_error = EAI_FAIL}, .four = {.delay_ms = 20, .addresses = {"203.0.113.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    int fd = connect_scripted(&options, &roomy);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    close(fd);
    wait_for_userdata_free(&script);
}

static void a_numeric_host_is_not_asked_of_the_callback(void **state)
{
    struct script script = {.six = {.gai_error = EAI_FAIL}, .four = {.gai_error = EAI_FAIL}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    clear_result(&roomy);
    int fd = init_inetsock_happy("127.0.0.1", service(port), &options, &roomy.result);
    check_socket(fd, false);
    assert_int_equal(script.lookups, 0);
    close(fd);
    wait_for_userdata_free(&script);
}

static void delays_may_grow(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8::77", "2001:db8::78", "2001:db8::79"}},
                            .four = {.gai_error = EAI_NONAME}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.flags |= HAPPY_FLAG_GROWING_DELAY;
    options.connection_attempt_delay_ms = 100;
    options.open_timeout_ms = 2000;
    clear_result(&roomy);
    assert_int_equal(init_inetsock_happy("grow.test", "9", &options, &roomy.result), -1);
    /* What a timer is late by moves the next start by as much at most; it is never early. */
    if (roomy.result.attempts_count >= 2)
        assert_true(started_ms(&roomy, 1) - started_ms(&roomy, 0) >= 95);
    if (roomy.result.attempts_count >= 3)
        assert_true(started_ms(&roomy, 2) - started_ms(&roomy, 1) >= 190);
    assert_in_range(roomy.result.attempts_count, 1, 3);
    wait_for_userdata_free(&script);
}

static void addresses_may_share_the_open_timeout(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8::77", "2001:db8:1::1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.family = AF_INET6;
    options.flags |= HAPPY_FLAG_NO_FAST_FALLBACK | HAPPY_FLAG_SHARE_TIMEOUT;
    options.open_timeout_ms = 8000;
    /* Without its share of 4 s the silent address would have all of the time, and the live one none. */
    int fd = connect_scripted(&options, &roomy);
    assert_string_equal(result_address(&roomy.result), "2001:db8:1::1");
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_true(started_ms(&roomy, 1) >= 3990);
    close(fd);
    wait_for_userdata_free(&script);
}

static void a_family_without_a_network_is_not_asked_where_that_is_allowed(void **state)
{
    struct script script = {.six = {.gai_error = EAI_NONAME}, .four = {.addresses = {"203.0.113.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    /* Both have one here: nothing is left out. */
    options.flags |= HAPPY_FLAG_ONLY_CONNECTED_FAMILIES;
    int fd = connect_scripted(&options, &roomy);
    assert_int_equal(script.lookups, 2);
    close(fd);
    wait_for_userdata_free(&script);
    /* IPv6 loses its network: it is not asked. */
    assert_int_equal(system("ip -6 address flush dev silent0"), 0);
    struct script without = {.six = {.addresses = {"2001:db8:1::1"}}, .four = {.addresses = {"203.0.113.1"}}};
    options = script_options(&without);
    options.flags |= HAPPY_FLAG_ONLY_CONNECTED_FAMILIES;
    fd = connect_scripted(&options, &roomy);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_int_equal(without.lookups, 1);
    close(fd);
    wait_for_userdata_free(&without);
    assert_int_equal(system("ip -6 address add 2001:db8::1/64 dev silent0 nodad"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE_TEST(the_fastest_family_wins),
        RACE_TEST(an_aaaa_that_never_comes_costs_one_resolution_delay),
        RACE_TEST(a_loopback_answer_pays_no_resolution_delay),
        RACE_TEST(an_aaaa_within_the_resolution_delay_goes_first),
        RACE_TEST(a_dead_ipv6_costs_one_connection_attempt_delay),
        RACE_TEST(the_same_with_libcs_resolver),
        RACE_TEST(a_failure_pulls_the_next_attempt_forward),
        RACE_TEST(attempts_in_flight_are_capped),
        RACE_TEST(without_fast_fallback_attempts_take_turns),
        RACE_TEST(delays_may_grow),
        RACE_TEST(addresses_may_share_the_open_timeout),
        RACE_TEST(a_family_without_a_network_is_not_asked_where_that_is_allowed),
        RACE_TEST(both_lookups_failing_gives_the_lookups_error),
        RACE_TEST(one_family_failing_leaves_the_other),
        RACE_TEST(a_numeric_host_is_not_asked_of_the_callback),
    };
    return cmocka_run_group_tests(tests, start_servers, NULL);
}
