/* init_inetsock_happy and happy_connect: who wins, what the result says, and every way to drive and to end a race.
 *
 * Addresses: ::1 and 127.0.0.1 are loopback; 2001:db8:1::1 and 203.0.113.1 are live; 2001:db8::77 and 192.0.2.77
 * swallow what they are sent. */
#define _GNU_SOURCE
#include "support.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* Servers on the loopback addresses and on the live ones, all at one port. */
static int servers[4], port;
static const char *const live_addresses[] = {"127.0.0.1", "::1", "203.0.113.1", "2001:db8:1::1"};
static int descriptors_before;

static int start_servers(void **state)
{
    (void)state;
    for (int tries = 0; tries < 100; tries++) {
        port = 0;
        size_t made = 0;
        while (made < COUNT_OF(servers) && (servers[made] = listen_on(live_addresses[made], &port)) >= 0)
            made++;
        if (made == COUNT_OF(servers))
            return 0;
        while (made > 0)
            close(servers[--made]);
    }
    return -1;
}

/* The server's end of a connection that was just made; -1 when there is none. */
static int accept_from(int server)
{
    return wait_readable(server, 0) ? accept4(server, NULL, NULL, SOCK_CLOEXEC) : -1;
}

static int remember_descriptors(void **state)
{
    (void)state;
    script_hold();
    descriptors_before = settled_descriptors();
    return 0;
}

/* Every test leaves as many descriptors as it found. */
static int compare_descriptors(void **state)
{
    (void)state;
    script_release();
    /* What the servers have not accepted is not a descriptor of this process; it is taken off their queues here. */
    for (size_t i = 0; i < COUNT_OF(servers); i++)
        for (int fd; (fd = accept_from(servers[i])) >= 0;)
            close(fd);
    /* A lookup that was not needed any more may have /etc/hosts open for a moment. */
    int after = open_descriptors();
    for (double until = now_ms() + PATIENCE_MS; after != descriptors_before && now_ms() < until;) {
        usleep(1000);
        after = open_descriptors();
    }
    if (after != descriptors_before)
        print_error("%d descriptors before the test, %d after it\n", descriptors_before, after);
    return after == descriptors_before ? 0 : -1;
}

/* ---- By name, with libc's resolver ------------------------------------------------------------------------------- */

static void connects_by_name(void **state)
{
    static const struct {
        const char *host, *address;
        int family;
    } table[] = {
        /* Only loopback: the first answer wins, whichever it is. (glibc answers 127.0.0.1 for a name that is ::1
           alone.) */
        {"localhost", NULL, AF_UNSPEC},
        {"dual.test", NULL, AF_UNSPEC},
        {"dual.test", "127.0.0.1", AF_INET},
        {"dual.test", "::1", AF_INET6},
        {"four.test", "127.0.0.1", AF_UNSPEC},
        {"six.test", "::1", AF_INET6},
        {"live.test", "2001:db8:1::1", AF_UNSPEC},
        {"127.0.0.1", "127.0.0.1", AF_UNSPEC},
        {"::1", "::1", AF_UNSPEC},
        {"127.1", "127.0.0.1", AF_UNSPEC},
        {"127.0.0.1", "127.0.0.1", AF_INET},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        struct roomy_result roomy;
        options.family = table[i].family;
        clear_result(&roomy);
        int fd = init_inetsock_happy(table[i].host, service(port), &options, &roomy.result);
        if (fd < 0)
            fail_msg("%s: %s: %s", table[i].host, happy_status_str(roomy.result.status), happy_error_message());
        check_socket(fd, false);
        assert_int_equal(roomy.result.fd, fd);
        assert_int_equal(roomy.result.status, HAPPY_OK);
        assert_int_equal(roomy.result.sys_errno, 0);
        assert_int_equal(roomy.result.gai_error, 0);
        assert_null(roomy.result.syscall);
        assert_null(roomy.result.argument);
        assert_int_equal(roomy.result.limit, HAPPY_LIMIT_NONE);
        const char *address = result_address(&roomy.result);
        if (table[i].address)
            assert_string_equal(address, table[i].address);
        else
            assert_true(strcmp(address, "::1") == 0 || strcmp(address, "127.0.0.1") == 0);
        assert_int_equal(roomy.result.attempts_count, 1);
        assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_CONNECTED);
        assert_true(roomy.attempts[0].ended_ns >= roomy.attempts[0].started_ns);
        close(fd);
    }
}

static void a_null_host_is_the_loopback(void **state)
{
    struct roomy_result roomy;
    (void)state;
    clear_result(&roomy);
    int fd = init_inetsock_happy(NULL, service(port), NULL, &roomy.result);
    check_socket(fd, false);
    assert_string_equal(result_address(&roomy.result), "::1");
    close(fd);
}

static void options_and_result_may_be_null(void **state)
{
    (void)state;
    int fd = init_inetsock_happy("dual.test", service(port), NULL, NULL);
    check_socket(fd, false);
    close(fd);
    errno = 0;
    assert_int_equal(init_inetsock_happy("dual.test", service(closed_port()), NULL, NULL), -1);
    assert_int_equal(errno, ECONNREFUSED);
}

static void a_service_by_name_is_looked_up(void **state)
{
    struct roomy_result roomy;
    (void)state;
    clear_result(&roomy);
    /* Port 80 is free in this network. */
    int http = 80, server = listen_on("127.0.0.1", &http);
    int fd = init_inetsock_happy("127.0.0.1", "http", NULL, &roomy.result);
    check_socket(fd, false);
    close(fd);
    close(server);
}

static void hands_over_in_nonblocking_mode_if_asked(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "dual.test"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        options.flags = HAPPY_FLAG_NONBLOCKING;
        int fd = init_inetsock_happy(hosts[i], service(port), &options, NULL);
        check_socket(fd, true);
        close(fd);
    }
}

static void all_refused_gives_the_last_error_with_its_address(void **state)
{
    struct roomy_result roomy;
    int closed = closed_port();
    (void)state;
    clear_result(&roomy);
    errno = 0;
    assert_int_equal(init_inetsock_happy("dual.test", service(closed), NULL, &roomy.result), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(roomy.result.status, HAPPY_ESYSCALL);
    assert_int_equal(roomy.result.fd, -1);
    assert_int_equal(roomy.result.sys_errno, ECONNREFUSED);
    assert_string_equal(roomy.result.syscall, "connect(2)");
    assert_int_equal(roomy.result.local_at_fault, 0);
    assert_int_equal(roomy.result.attempts_count, 2);
    /* Either family may have been answered first. */
    assert_int_equal(roomy.attempts[0].family + roomy.attempts[1].family, AF_INET6 + AF_INET);
    assert_int_equal(roomy.result.address.ss_family, roomy.attempts[1].family);
    assert_string_equal(result_address(&roomy.result), roomy.attempts[1].family == AF_INET6 ? "::1" : "127.0.0.1");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(roomy.attempts[i].outcome, HAPPY_OUTCOME_FAILED);
        assert_int_equal(roomy.attempts[i].sys_errno, ECONNREFUSED);
        assert_string_equal(roomy.attempts[i].syscall, "connect(2)");
    }
    assert_non_null(strstr(happy_error_message(), "connect(2)"));
}

static void a_name_that_is_not_resolved(void **state)
{
    struct roomy_result roomy;
    (void)state;
    clear_result(&roomy);
    errno = 0;
    /* Nobody listens at the DNS server's port. */
    assert_int_equal(init_inetsock_happy("no.such.test", "80", NULL, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_ERESOLVE);
    assert_int_equal(roomy.result.gai_error, EAI_AGAIN);
    assert_int_equal(errno, EAGAIN);
    assert_string_equal(roomy.result.argument, "remote_host");
    assert_int_equal(roomy.result.attempts_count, 0);
    assert_int_equal(roomy.result.address_length, 0);
}

/* ---- The race, with answers that the test writes ------------------------------------------------------------------
 */

/* A connect of a script. Checks that the lists and the userdata were given back. */
static int run(struct script *script, const happy_options *options, struct roomy_result *roomy)
{
    clear_result(roomy);
    int fd = init_inetsock_happy("written.test", service(port), options, &roomy->result);
    if (fd >= 0)
        check_socket(fd, false);
    (void)script;
    return fd;
}

static double started_ms(const struct roomy_result *roomy, int attempt)
{
    return (double)roomy->attempts[attempt].started_ns / 1e6;
}

static void the_fastest_family_wins(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8:1::1"}}, .four = {.delay_ms = -1}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    int fd = run(&script, &options, &roomy);
    assert_string_equal(result_address(&roomy.result), "2001:db8:1::1");
    assert_true(started_ms(&roomy, 0) < 5000);
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
    int fd = run(&script, &options, &roomy);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_true(started_ms(&roomy, 0) >= 80);
    assert_true(started_ms(&roomy, 0) < 2000);
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
    options.resolution_delay_ms = 5000;
    int fd = run(&script, &options, &roomy);
    assert_string_equal(result_address(&roomy.result), "127.0.0.1");
    assert_true(started_ms(&roomy, 0) < 2500);
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
    options.resolution_delay_ms = 5000;
    int fd = run(&script, &options, &roomy);
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
    options.connection_attempt_delay_ms = 100;
    int fd = run(&script, &options, &roomy);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_int_equal(roomy.attempts[0].family, AF_INET6);
    assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_ABANDONED);
    assert_int_equal(roomy.attempts[1].outcome, HAPPY_OUTCOME_CONNECTED);
    double gap = started_ms(&roomy, 1) - started_ms(&roomy, 0);
    assert_true(gap >= 100 && gap < 2000);
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
    assert_true(gap >= 250 && gap < 2000);
    close(fd);
}

static void a_failure_pulls_the_next_attempt_forward(void **state)
{
    int closed = closed_port();
    struct script script = {.six = {.addresses = {"2001:db8:1::1"}}, .four = {.addresses = {"203.0.113.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.connection_attempt_delay_ms = 2000;
    clear_result(&roomy);
    assert_int_equal(init_inetsock_happy("written.test", service(closed), &options, &roomy.result), -1);
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_true(started_ms(&roomy, 1) - started_ms(&roomy, 0) < 1000);
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
    options.open_timeout_ms = 300;
    assert_int_equal(run(&script, &options, &roomy), -1);
    assert_int_equal(roomy.result.status, HAPPY_ETIMEOUT);
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_TIMED_OUT);
    assert_int_equal(roomy.attempts[0].sys_errno, ETIMEDOUT);
    wait_for_userdata_free(&script);
}

static void without_fast_fallback_attempts_take_turns(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8::77"}}, .four = {.addresses = {"203.0.113.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.flags = HAPPY_FLAG_NO_FAST_FALLBACK;
    options.connect_timeout_ms = 400;
    int fd = run(&script, &options, &roomy);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_int_equal(script.lookups, 1);
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_TIMED_OUT);
    assert_true(started_ms(&roomy, 1) - started_ms(&roomy, 0) >= 400);
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
        assert_int_equal(run(&script, &options, &roomy), -1);
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
    int fd = run(&script, &options, &roomy);
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

/* ---- Callbacks ----------------------------------------------------------------------------------------------------
 */

static void every_list_and_the_userdata_are_freed_once(void **state)
{
    struct script script = {.six = {.addresses = {"::1"}}, .four = {.addresses = {"127.0.0.1"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    int fd = run(&script, &options, &roomy);
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
    assert_int_equal(run(&script, &options, &roomy), -1);
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
    options.open_timeout_ms = 50;
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
    int fd = run(&script, &options, &roomy);
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
    int fd = run(&script, &options, &roomy);
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

/* ---- Limits -------------------------------------------------------------------------------------------------------
 */

static void check_timeout(struct roomy_result *roomy, int limit, double began, double at_least)
{
    assert_int_equal(errno, ETIMEDOUT);
    assert_int_equal(roomy->result.status, HAPPY_ETIMEOUT);
    assert_int_equal(roomy->result.sys_errno, ETIMEDOUT);
    assert_int_equal(roomy->result.limit, limit);
    double took = now_ms() - began;
    if (took < at_least || took > at_least + 1500)
        fail_msg("%.1f ms, and the limit was %.1f ms", took, at_least);
}

static void nothing_answers_and_open_timeout_ends_it(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    (void)state;
    options.open_timeout_ms = 300;
    clear_result(&roomy);
    double began = now_ms();
    assert_int_equal(init_inetsock_happy("silent.test", service(port), &options, &roomy.result), -1);
    check_timeout(&roomy, HAPPY_LIMIT_OPEN, began, 300);
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_string_not_equal(result_address(&roomy.result), "");
}

static void open_timeout_covers_the_lookups(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    int dns = silent_dns_server();
    (void)state;
    options.open_timeout_ms = 100;
    clear_result(&roomy);
    double began = now_ms();
    assert_int_equal(init_inetsock_happy("hangs.test", "80", &options, &roomy.result), -1);
    check_timeout(&roomy, HAPPY_LIMIT_OPEN, began, 100);
    assert_int_equal(roomy.result.attempts_count, 0);
    close(dns);
    wait_for_workers_to_leave();
}

static void resolv_timeout_ends_the_lookups(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    int dns = silent_dns_server();
    (void)state;
    options.resolv_timeout_ms = 100;
    clear_result(&roomy);
    double began = now_ms();
    assert_int_equal(init_inetsock_happy("hangs.test", "80", &options, &roomy.result), -1);
    check_timeout(&roomy, HAPPY_LIMIT_RESOLV, began, 100);
    close(dns);
    wait_for_workers_to_leave();
}

static void connect_timeout_counts_from_the_last_attempt(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8::77"}}, .four = {.addresses = {"192.0.2.77"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.connection_attempt_delay_ms = 200;
    options.connect_timeout_ms = 100;
    double began = now_ms();
    assert_int_equal(run(&script, &options, &roomy), -1);
    check_timeout(&roomy, HAPPY_LIMIT_CONNECT, began, 300);
    assert_int_equal(roomy.result.attempts_count, 2);
    wait_for_userdata_free(&script);
}

static void limits_of_0_are_over_at_once(void **state)
{
    struct roomy_result roomy;
    (void)state;
    for (int which = 0; which < 3; which++) {
        struct script script = {.six = {.delay_ms = -1}, .four = {.delay_ms = -1}};
        happy_options options = script_options(&script);
        /* Two limits may be set where they do not exclude each other. */
        int limit = which == 0 ? HAPPY_LIMIT_OPEN : which == 1 ? HAPPY_LIMIT_RESOLV : HAPPY_LIMIT_CONNECT;
        if (which == 0)
            options.open_timeout_ms = 0;
        else if (which == 1)
            options.resolv_timeout_ms = 0;
        else
            options.connect_timeout_ms = 0;
        if (which == 2) {
            script.six = (struct script_answer){.addresses = {"2001:db8::77"}};
            script.four = (struct script_answer){.gai_error = EAI_NONAME};
        }
        double began = now_ms();
        assert_int_equal(run(&script, &options, &roomy), -1);
        check_timeout(&roomy, limit, began, 0);
        script_release();
        wait_for_userdata_free(&script);
        script_hold();
    }
}

/* ---- Local address ------------------------------------------------------------------------------------------------
 */

static void binds_to_the_local_address(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    struct sockaddr_in local;
    socklen_t length = sizeof local;
    (void)state;
    int free_port = closed_port();
    options.local_host = "127.0.0.9";
    options.local_service = service(free_port);
    clear_result(&roomy);
    int fd = init_inetsock_happy("dual.test", service(port), &options, &roomy.result);
    check_socket(fd, false);
    /* The only family that the local address fits. */
    assert_string_equal(result_address(&roomy.result), "127.0.0.1");
    assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &length), 0);
    assert_int_equal(local.sin_family, AF_INET);
    assert_int_equal(ntohl(local.sin_addr.s_addr), 0x7f000009);
    assert_int_equal(ntohs(local.sin_port), free_port);
    close(fd);
}

static void binds_to_a_local_port_alone(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct sockaddr_in6 local;
    socklen_t length = sizeof local;
    (void)state;
    int free_port = closed_port();
    options.local_service = service(free_port);
    int fd = init_inetsock_happy("six.test", service(port), &options, NULL);
    check_socket(fd, false);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &length), 0);
    assert_int_equal(ntohs(local.sin6_port), free_port);
    close(fd);
}

static void a_local_address_of_the_wrong_family(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    (void)state;
    options.local_host = "127.0.0.1";
    clear_result(&roomy);
    errno = 0;
    assert_int_equal(init_inetsock_happy("::1", service(port), &options, &roomy.result), -1);
    assert_int_equal(errno, EAFNOSUPPORT);
    assert_int_equal(roomy.result.status, HAPPY_ESYSCALL);
    assert_int_equal(roomy.result.sys_errno, EAFNOSUPPORT);
    assert_int_equal(roomy.result.local_at_fault, 1);
    assert_string_equal(roomy.result.argument, "local_host");
    assert_non_null(strstr(happy_error_message(), "local_host"));
    assert_int_equal(roomy.result.attempts_count, 0);
}

static void a_local_address_that_is_not_ours(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    (void)state;
    options.local_host = "198.51.100.1";
    clear_result(&roomy);
    errno = 0;
    assert_int_equal(init_inetsock_happy("four.test", service(port), &options, &roomy.result), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_int_equal(roomy.result.sys_errno, EADDRNOTAVAIL);
    assert_string_equal(roomy.result.syscall, "bind(2)");
    assert_int_equal(roomy.result.local_at_fault, 1);
}

static void a_local_host_that_is_not_resolved(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    (void)state;
    options.local_host = "no.such.test";
    clear_result(&roomy);
    errno = 0;
    assert_int_equal(init_inetsock_happy("four.test", service(port), &options, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_ERESOLVE);
    assert_int_equal(roomy.result.gai_error, EAI_AGAIN);
    assert_int_equal(roomy.result.local_at_fault, 1);
    assert_string_equal(roomy.result.argument, "local_host");
}

/* ---- happy_connect: driving ---------------------------------------------------------------------------------------
 */

static happy_connect *new_connect(const char *host, const happy_options *options)
{
    happy_connect *connect = NULL;
    assert_int_equal(happy_connect_new(host, service(port), options, &connect, NULL), HAPPY_OK);
    assert_non_null(connect);
    return connect;
}

static void waits_takes_and_frees(void **state)
{
    happy_connect *connect = new_connect("dual.test", NULL);
    struct roomy_result roomy;
    (void)state;
    clear_result(&roomy);
    assert_int_equal(happy_connect_take_result(connect, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_EAGAIN);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(happy_connect_wait(connect), HAPPY_OK);
    clear_result(&roomy);
    int fd = happy_connect_take_result(connect, &roomy.result);
    check_socket(fd, false);
    assert_int_equal(roomy.result.status, HAPPY_OK);
    clear_result(&roomy);
    assert_int_equal(happy_connect_take_result(connect, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_ESTATE);
    assert_int_equal(errno, EINVAL);
    happy_connect_free(connect);
    /* The socket is the caller's. */
    check_socket(fd, false);
    close(fd);
}

static void an_untaken_winner_is_closed(void **state)
{
    happy_connect *connect = new_connect("127.0.0.1", NULL);
    (void)state;
    happy_connect_wait(connect);
    int server_end = accept_from(servers[0]);
    assert_true(server_end >= 0);
    happy_connect_free(connect);
    char byte;
    assert_true(wait_readable(server_end, PATIENCE_MS));
    assert_int_equal(read(server_end, &byte, 1), 0);
    close(server_end);
}

/* As a scheduler of a runtime does it. */
static int drive_by_poll(happy_connect *connect)
{
    double until = now_ms() + PATIENCE_MS;
    struct pollfd descriptor = {happy_connect_get_fd(connect), POLLIN, 0};
    int rounds = 0;
    assert_true(descriptor.fd >= 0);
    while (happy_connect_dispatch(connect) == HAPPY_EAGAIN && now_ms() < until) {
        assert_int_equal(happy_connect_get_fd(connect), descriptor.fd);
        poll(&descriptor, 1, happy_connect_get_timeout_ms(connect));
        rounds++;
    }
    assert_int_equal(happy_connect_dispatch(connect), HAPPY_OK);
    return rounds;
}

static void is_driven_by_its_descriptor(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "dual.test", "half.test"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        happy_connect *connect = new_connect(hosts[i], NULL);
        struct roomy_result roomy;
        clear_result(&roomy);
        int rounds = drive_by_poll(connect);
        int fd = happy_connect_take_result(connect, &roomy.result);
        check_socket(fd, false);
        /* The descriptor is quiet while nothing is due: no spinning. */
        assert_true(rounds < 30);
        happy_connect_free(connect);
        close(fd);
    }
}

static void its_timeout_counts_down_to_what_is_due(void **state)
{
    struct script script = {.six = {.delay_ms = -1}, .four = {.delay_ms = -1}};
    happy_options options = script_options(&script);
    (void)state;
    happy_connect *connect = new_connect("written.test", &options);
    assert_int_equal(happy_connect_dispatch(connect), HAPPY_EAGAIN);
    assert_int_equal(happy_connect_get_timeout_ms(connect), -1);
    happy_connect_free(connect);
    script_release();
    wait_for_userdata_free(&script);
    script_hold();
    script.userdata_frees = 0;
    options.open_timeout_ms = 60;
    connect = new_connect("written.test", &options);
    assert_int_equal(happy_connect_dispatch(connect), HAPPY_EAGAIN);
    assert_in_range(happy_connect_get_timeout_ms(connect), 0, 60);
    double began = now_ms();
    drive_by_poll(connect);
    assert_true(now_ms() - began < 1500);
    assert_int_equal(happy_connect_take_result(connect, NULL), -1);
    assert_int_equal(errno, ETIMEDOUT);
    happy_connect_free(connect);
    script_release();
    wait_for_running_lookups(0);
    wait_for_userdata_free(&script);
}

static void takes_null(void **state)
{
    happy_result result = HAPPY_RESULT_INIT;
    (void)state;
    assert_int_equal(happy_connect_new("dual.test", "80", NULL, NULL, NULL), HAPPY_EINVALID);
    assert_int_equal(happy_connect_wait(NULL), HAPPY_EINVALID);
    happy_connect_interrupt(NULL);
    happy_connect_cancel(NULL);
    happy_connect_free(NULL);
    errno = 0;
    assert_int_equal(happy_connect_get_fd(NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(happy_connect_get_timeout_ms(NULL), -1);
    assert_int_equal(happy_connect_dispatch(NULL), HAPPY_EINVALID);
    errno = 0;
    assert_int_equal(happy_connect_take_result(NULL, &result), -1);
    assert_int_equal(errno, EINVAL);
}

/* ---- happy_connect: interrupt and cancel ----------------------------------------------------------------------------
 */

static void *interrupt_after_a_moment(void *connect)
{
    usleep(30000);
    happy_connect_interrupt(connect);
    return NULL;
}

static void an_interrupted_wait_goes_on_where_it_was(void **state)
{
    struct script script = {.six = {.delay_ms = -1, .addresses = {"2001:db8:1::1"}}, .four = {.delay_ms = -1}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    happy_connect *connect = new_connect("written.test", &options);
    for (int round = 0; round < 3; round++) {
        pthread_t interrupter;
        pthread_create(&interrupter, NULL, interrupt_after_a_moment, connect);
        happy_connect_wait(connect);
        pthread_join(interrupter, NULL);
        assert_int_equal(happy_connect_take_result(connect, NULL), -1);
        assert_int_equal(errno, EAGAIN);
    }
    script_release();
    happy_connect_wait(connect);
    clear_result(&roomy);
    int fd = happy_connect_take_result(connect, &roomy.result);
    check_socket(fd, false);
    /* Nothing was asked again. */
    assert_int_equal(script.lookups, 2);
    happy_connect_free(connect);
    close(fd);
    wait_for_running_lookups(0);
    wait_for_userdata_free(&script);
}

static void an_interrupt_before_a_wait_is_not_lost(void **state)
{
    struct script script = {.six = {.delay_ms = -1}, .four = {.delay_ms = -1}};
    happy_options options = script_options(&script);
    (void)state;
    happy_connect *connect = new_connect("written.test", &options);
    happy_connect_interrupt(connect);
    happy_connect_wait(connect);
    assert_int_equal(happy_connect_take_result(connect, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    happy_connect_free(connect);
    script_release();
    wait_for_running_lookups(0);
    wait_for_userdata_free(&script);
}

static happy_connect *in_signal_handler;
static volatile sig_atomic_t handler_cancels;

static void on_alarm(int number)
{
    (void)number;
    if (handler_cancels)
        happy_connect_cancel(in_signal_handler);
    else
        happy_connect_interrupt(in_signal_handler);
}

static void a_signal_handler_interrupts_and_cancels(void **state)
{
    struct sigaction action = {.sa_handler = on_alarm}, before;
    struct itimerval timer = {.it_value = {0, 30000}};
    happy_result result = HAPPY_RESULT_INIT;
    (void)state;
    in_signal_handler = new_connect("silent.test", NULL);
    sigaction(SIGALRM, &action, &before);
    for (int cancels = 0; cancels < 2; cancels++) {
        handler_cancels = cancels;
        setitimer(ITIMER_REAL, &timer, NULL);
        happy_connect_wait(in_signal_handler);
        assert_int_equal(happy_connect_take_result(in_signal_handler, &result), -1);
        assert_int_equal(result.status, cancels ? HAPPY_ECANCELLED : HAPPY_EAGAIN);
    }
    assert_int_equal(result.sys_errno, ECANCELED);
    assert_int_equal(errno, ECANCELED);
    sigaction(SIGALRM, &before, NULL);
    happy_connect_free(in_signal_handler);
}

static volatile sig_atomic_t signals_seen;

static void count_signal(int number)
{
    (void)number;
    signals_seen++;
}

static void signals_do_not_disturb_a_blocking_connect(void **state)
{
    struct sigaction action = {.sa_handler = count_signal}, before;
    struct itimerval timer = {{0, 5000}, {0, 5000}}, none = {{0, 0}, {0, 0}};
    struct roomy_result roomy;
    (void)state;
    signals_seen = 0;
    clear_result(&roomy);
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &timer, NULL);
    int fd = init_inetsock_happy("half.test", service(port), NULL, &roomy.result);
    setitimer(ITIMER_REAL, &none, NULL);
    sigaction(SIGALRM, &before, NULL);
    check_socket(fd, false);
    assert_true(signals_seen > 5);
    assert_int_equal(roomy.result.attempts_count, 2);
    close(fd);
}

static void *cancel_after_a_moment(void *connect)
{
    usleep(30000);
    happy_connect_cancel(connect);
    happy_connect_cancel(connect);
    return NULL;
}

static void is_cancelled_from_another_thread(void **state)
{
    happy_connect *connect = new_connect("silent.test", NULL);
    struct roomy_result roomy;
    pthread_t canceller;
    (void)state;
    pthread_create(&canceller, NULL, cancel_after_a_moment, connect);
    double began = now_ms();
    happy_connect_wait(connect);
    assert_true(now_ms() - began < 1500);
    pthread_join(canceller, NULL);
    clear_result(&roomy);
    assert_int_equal(happy_connect_take_result(connect, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_ECANCELLED);
    assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_ABANDONED);
    happy_connect_free(connect);
}

static void a_cancel_makes_the_descriptor_readable(void **state)
{
    happy_connect *connect = new_connect("silent.test", NULL);
    (void)state;
    int fd = happy_connect_get_fd(connect);
    while (happy_connect_get_timeout_ms(connect) != 0 && is_readable(fd))
        assert_int_equal(happy_connect_dispatch(connect), HAPPY_EAGAIN);
    happy_connect_cancel(connect);
    assert_true(wait_readable(fd, PATIENCE_MS));
    assert_int_equal(happy_connect_dispatch(connect), HAPPY_OK);
    assert_int_equal(happy_connect_take_result(connect, NULL), -1);
    assert_int_equal(errno, ECANCELED);
    happy_connect_free(connect);
}

static void a_cancel_after_the_end_changes_nothing(void **state)
{
    happy_connect *connect = new_connect("dual.test", NULL);
    (void)state;
    happy_connect_wait(connect);
    happy_connect_cancel(connect);
    int fd = happy_connect_take_result(connect, NULL);
    check_socket(fd, false);
    happy_connect_free(connect);
    close(fd);
}

/* ---- happy_connect: free at any moment ------------------------------------------------------------------------------
 */

static void is_freed_at_any_moment(void **state)
{
    (void)state;
    /* Before anything was driven; while lookups run; while attempts run; when it is finished. */
    for (int dispatches = 0; dispatches < 40; dispatches++) {
        struct script *script = calloc(1, sizeof *script);
        script->six = (struct script_answer){.addresses = {"2001:db8::77"}};
        script->four = (struct script_answer){.delay_ms = 1, .addresses = {"192.0.2.77", "203.0.113.1"}};
        happy_options options = script_options(script);
        options.connection_attempt_delay_ms = 10;
        happy_connect *connect = new_connect("written.test", &options);
        struct pollfd descriptor = {happy_connect_get_fd(connect), POLLIN, 0};
        for (int i = 0; i < dispatches && happy_connect_dispatch(connect) == HAPPY_EAGAIN; i++)
            poll(&descriptor, 1, dispatches % 3);
        double began = now_ms();
        happy_connect_free(connect);
        assert_true(now_ms() - began < 1000);
        wait_for_running_lookups(0);
        wait_for_userdata_free(script);
        assert_int_equal(script->frees, script->lookups);
        free(script);
    }
}

struct freeing {
    happy_connect *connect;
    int kind, reentrant;
};

static void free_in_callback(const happy_trace_event *event, struct script *script)
{
    struct freeing *freeing = script->context;
    if (event->kind != freeing->kind || freeing->connect == NULL)
        return;
    freeing->reentrant = happy_connect_dispatch(freeing->connect);
    happy_connect_free(freeing->connect);
    freeing->connect = NULL;
}

static void is_freed_from_inside_a_callback(void **state)
{
    static const int kinds[] = {HAPPY_TRACE_LOOKUP_STARTED, HAPPY_TRACE_CANDIDATE_ADDED, HAPPY_TRACE_ATTEMPT_STARTED,
                                HAPPY_TRACE_ATTEMPT_ENDED, HAPPY_TRACE_FINISHED};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct freeing freeing = {.kind = kinds[i]};
        struct script script = {.six = {.addresses = {"2001:db8:1::1"}},
                                .four = {.addresses = {"203.0.113.1"}},
                                .on_event = free_in_callback,
                                .context = &freeing};
        happy_options options = script_options(&script);
        freeing.connect = new_connect("written.test", &options);
        happy_connect_wait(freeing.connect);
        assert_null(freeing.connect);
        assert_int_equal(freeing.reentrant, HAPPY_EREENTRANT);
        wait_for_running_lookups(0);
        wait_for_userdata_free(&script);
    }
}

static void a_hundred_cancelled_connects_leave_nothing(void **state)
{
    int dns = silent_dns_server();
    (void)state;
    for (int i = 0; i < 100; i++) {
        char host[32];
        snprintf(host, sizeof host, "c%d.hangs.test", i);
        happy_connect *connect = new_connect(host, NULL);
        assert_int_equal(happy_connect_dispatch(connect), HAPPY_EAGAIN);
        happy_connect_cancel(connect);
        happy_connect_wait(connect);
        assert_int_equal(happy_connect_take_result(connect, NULL), -1);
        assert_int_equal(errno, ECANCELED);
        happy_connect_free(connect);
    }
    close(dns);
    wait_for_workers_to_leave();
}

#define RACE_TEST(name) cmocka_unit_test_setup_teardown(name, remember_descriptors, compare_descriptors)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE_TEST(connects_by_name),
        RACE_TEST(a_null_host_is_the_loopback),
        RACE_TEST(options_and_result_may_be_null),
        RACE_TEST(a_service_by_name_is_looked_up),
        RACE_TEST(hands_over_in_nonblocking_mode_if_asked),
        RACE_TEST(all_refused_gives_the_last_error_with_its_address),
        RACE_TEST(a_name_that_is_not_resolved),
        RACE_TEST(the_fastest_family_wins),
        RACE_TEST(an_aaaa_that_never_comes_costs_one_resolution_delay),
        RACE_TEST(a_loopback_answer_pays_no_resolution_delay),
        RACE_TEST(an_aaaa_within_the_resolution_delay_goes_first),
        RACE_TEST(a_dead_ipv6_costs_one_connection_attempt_delay),
        RACE_TEST(the_same_with_libcs_resolver),
        RACE_TEST(a_failure_pulls_the_next_attempt_forward),
        RACE_TEST(attempts_in_flight_are_capped),
        RACE_TEST(without_fast_fallback_attempts_take_turns),
        RACE_TEST(both_lookups_failing_gives_the_lookups_error),
        RACE_TEST(one_family_failing_leaves_the_other),
        RACE_TEST(a_numeric_host_is_not_asked_of_the_callback),
        RACE_TEST(every_list_and_the_userdata_are_freed_once),
        RACE_TEST(a_refused_connect_does_not_free_the_userdata),
        RACE_TEST(userdata_outlives_a_lookup_that_was_given_up),
        RACE_TEST(lists_without_a_free_function_are_libcs),
        RACE_TEST(configure_socket_sees_each_socket_and_may_fail_an_attempt),
        RACE_TEST(configure_socket_sets_options_of_the_winner),
        RACE_TEST(every_attempt_of_a_trace_ends_once),
        RACE_TEST(attempts_are_counted_where_there_is_no_room),
        RACE_TEST(nothing_answers_and_open_timeout_ends_it),
        RACE_TEST(open_timeout_covers_the_lookups),
        RACE_TEST(resolv_timeout_ends_the_lookups),
        RACE_TEST(connect_timeout_counts_from_the_last_attempt),
        RACE_TEST(limits_of_0_are_over_at_once),
        RACE_TEST(binds_to_the_local_address),
        RACE_TEST(binds_to_a_local_port_alone),
        RACE_TEST(a_local_address_of_the_wrong_family),
        RACE_TEST(a_local_address_that_is_not_ours),
        RACE_TEST(a_local_host_that_is_not_resolved),
        RACE_TEST(waits_takes_and_frees),
        RACE_TEST(an_untaken_winner_is_closed),
        RACE_TEST(is_driven_by_its_descriptor),
        RACE_TEST(its_timeout_counts_down_to_what_is_due),
        RACE_TEST(takes_null),
        RACE_TEST(an_interrupted_wait_goes_on_where_it_was),
        RACE_TEST(an_interrupt_before_a_wait_is_not_lost),
        RACE_TEST(a_signal_handler_interrupts_and_cancels),
        RACE_TEST(signals_do_not_disturb_a_blocking_connect),
        RACE_TEST(is_cancelled_from_another_thread),
        RACE_TEST(a_cancel_makes_the_descriptor_readable),
        RACE_TEST(a_cancel_after_the_end_changes_nothing),
        RACE_TEST(is_freed_at_any_moment),
        RACE_TEST(is_freed_from_inside_a_callback),
        RACE_TEST(a_hundred_cancelled_connects_leave_nothing),
    };
    return cmocka_run_group_tests(tests, start_servers, NULL);
}
