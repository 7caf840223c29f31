/* A history: what one connect learns, the next one uses, and the result and the trace say so.
 *
 * Addresses: 2001:db8:1::1 and 203.0.113.1 are live; 2001:db8::77 and 192.0.2.77 swallow what they are sent. */
#define _GNU_SOURCE
#include "servers.h"
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static happy_history *new_history(void)
{
    happy_history *history = NULL;
    assert_int_equal(happy_history_new(&history), HAPPY_OK);
    assert_non_null(history);
    return history;
}

static happy_history_report report_of(happy_history *history)
{
    happy_history_report report = HAPPY_HISTORY_REPORT_INIT;
    assert_int_equal(happy_history_get_report(history, &report), HAPPY_OK);
    return report;
}

/* Connects to silent IPv6 and live IPv4, and closes the connection. The addresses are those of half.test in hosts(5), which come
 * together: of two workers either may be late. */
static void connect_half(happy_history *history, struct script *script, struct roomy_result *roomy)
{
    *script = (struct script){0};
    happy_options options = script_options(script);
    options.lookup = NULL;
    options.lookup_free = NULL;
    options.history = history;
    /* The winner takes less than this, and the loser had twice as long: that is what makes it unanswered. */
    options.connection_attempt_delay_ms = LONGEST_ATTEMPT_DELAY_MS;
    clear_result(roomy);
    int fd = init_inetsock_happy("half.test", service(port), &options, &roomy->result);
    check_socket(fd, false);
    assert_string_equal(result_address(&roomy->result), "203.0.113.1");
    close(fd);
    wait_for_userdata_free(script);
}

static void a_family_that_does_not_answer_is_told_and_kept_behind(void **state)
{
    happy_history *history = new_history();
    struct script script;
    struct roomy_result roomy;
    (void)state;
    /* The first connect finds it, and says so. */
    connect_half(history, &script, &roomy);
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_int_equal(roomy.result.unanswered_v6, 1);
    assert_int_equal(roomy.result.unanswered_v4, 0);
    assert_true(script_saw(&script, HAPPY_TRACE_FAMILY_UNANSWERED));
    happy_history_report report = report_of(history);
    assert_int_equal(report.unanswered_v6, 1);
    assert_int_equal(report.unanswered_v4, 0);
    assert_int_equal(report.destinations, 1);
    assert_int_equal(report.networks, 2);
    /* The next one begins with IPv4. */
    connect_half(history, &script, &roomy);
    assert_int_equal(roomy.attempts[0].family, AF_INET);
    assert_int_equal(roomy.result.fell_back, 0);
    assert_int_equal(roomy.result.unanswered_v6, 1);
    assert_true(script_saw(&script, HAPPY_TRACE_FAMILY_UNANSWERED));
    /* Forgotten, it is found again. */
    assert_int_equal(happy_history_flush(history), HAPPY_OK);
    assert_int_equal(report_of(history).networks, 0);
    connect_half(history, &script, &roomy);
    assert_int_equal(roomy.attempts[0].family, AF_INET6);
    /* Without a history each connect finds it for itself. */
    for (int round = 0; round < 2; round++) {
        connect_half(NULL, &script, &roomy);
        assert_int_equal(roomy.attempts[0].family, AF_INET6);
        assert_int_equal(roomy.result.unanswered_v6, 1);
    }
    happy_history_unref(history);
}

static void a_network_that_answers_is_as_without_a_history(void **state)
{
    happy_history *history = new_history();
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct script script = {.six = {.addresses = {"2001:db8:1::1"}}, .four = {.addresses = {"203.0.113.1"}}};
        struct roomy_result roomy;
        happy_options options = script_options(&script);
        options.history = history;
        /* Neither a late answer nor a late connection lets the other family in. */
        options.resolution_delay_ms = NOT_SOON_MS;
        options.connection_attempt_delay_ms = LONGEST_ATTEMPT_DELAY_MS;
        int fd = connect_scripted(&options, &roomy);
        assert_string_equal(result_address(&roomy.result), "2001:db8:1::1");
        assert_int_equal(roomy.result.attempts_count, 1);
        assert_int_equal(roomy.result.unanswered_v6, 0);
        close(fd);
        wait_for_userdata_free(&script);
        assert_int_equal(report_of(history).destinations, 1);
        assert_int_equal(report_of(history).unanswered_v6, 0);
    }
    happy_history_unref(history);
}

static void a_connect_keeps_what_it_needs_of_a_history(void **state)
{
    struct script script = {.six = {.gai_error = EAI_NONAME}, .four = {.addresses = {"203.0.113.1"}}};
    happy_options options = script_options(&script);
    happy_history *history = new_history();
    happy_connect *connect = NULL;
    (void)state;
    options.history = history;
    assert_int_equal(happy_connect_new("some.test", "9", &options, &connect, NULL), HAPPY_OK);
    assert_ptr_equal(happy_history_ref(history), history);
    happy_history_unref(history);
    happy_history_unref(history);
    assert_int_equal(happy_connect_wait(connect), HAPPY_OK);
    happy_connect_free(connect);
    wait_for_userdata_free(&script);
}

static void bad_input_changes_nothing(void **state)
{
    happy_history *history = new_history();
    happy_history_report report = {.size = sizeof report - 1, .networks = 77};
    (void)state;
    assert_int_equal(happy_history_new(NULL), HAPPY_EINVALID);
    assert_string_equal(happy_error_message(), "ret_history: NULL");
    assert_int_equal(happy_history_get_report(history, NULL), HAPPY_EINVALID);
    assert_int_equal(happy_history_get_report(history, &report), HAPPY_EINVALID);
    assert_string_equal(happy_error_message(), "ret_report: size is not sizeof(happy_history_report)");
    report.size = 1 << 20;
    assert_int_equal(happy_history_get_report(history, &report), HAPPY_EINVALID);
    assert_int_equal(report.networks, 77);
    report.size = sizeof report;
    assert_int_equal(happy_history_get_report(NULL, &report), HAPPY_EINVALID);
    assert_int_equal(happy_history_flush(NULL), HAPPY_EINVALID);
    assert_null(happy_history_ref(NULL));
    happy_history_unref(NULL);
    happy_history_unref(history);
}

static void a_report_may_be_longer_than_the_librarys(void **state)
{
    struct {
        happy_history_report report;
        char later[64];
    } longer = {.report.size = sizeof longer, .later = {7, 7}};
    happy_history *history = new_history();
    (void)state;
    assert_int_equal(happy_history_get_report(history, &longer.report), HAPPY_OK);
    assert_int_equal(longer.report.size, sizeof longer);
    assert_int_equal(longer.later[0], 7);
    happy_history_unref(history);
}

static void the_child_of_a_fork_has_none(void **state)
{
    happy_history *history = new_history();
    (void)state;
    /* What a worker holds would be lost in the child, which has no workers: a leak checker counts that. */
    wait_for_workers_to_leave();
    pid_t child = fork();
    if (child == 0) {
        happy_history_report report = HAPPY_HISTORY_REPORT_INIT;
        happy_history *own = NULL;
        int forked = happy_history_get_report(history, &report) == HAPPY_EFORKED &&
                     happy_history_flush(history) == HAPPY_EFORKED;
        int made = happy_history_new(&own) == HAPPY_OK && happy_history_get_report(own, &report) == HAPPY_OK;
        happy_history_unref(own);
        happy_history_unref(history);
        _exit(forked && made ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(happy_history_flush(history), HAPPY_OK);
    happy_history_unref(history);
}

static void *use_it(void *userdata)
{
    happy_history *history = happy_history_ref(userdata);
    for (int round = 0; round < 200; round++) {
        happy_history_report report = HAPPY_HISTORY_REPORT_INIT;
        if (happy_history_get_report(history, &report) != HAPPY_OK || happy_history_flush(history) != HAPPY_OK)
            return history;
    }
    happy_history_unref(history);
    return NULL;
}

static void threads_share_a_history(void **state)
{
    happy_history *history = new_history();
    pthread_t threads[4];
    (void)state;
    for (int number = 0; number < 4; number++)
        assert_int_equal(pthread_create(&threads[number], NULL, use_it, history), 0);
    struct script script;
    struct roomy_result roomy;
    connect_half(history, &script, &roomy);
    for (int number = 0; number < 4; number++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[number], &failed), 0);
        assert_null(failed);
    }
    happy_history_unref(history);
}

/* Bytes that were asked of malloc(3) and not given back; 0 where it has been replaced. */
static size_t heap(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* All of 198.18.0.0/15, which is for benchmarks, becomes this system's own: each address is a destination, and comes from
 * itself, so that it is a network too. */
static void a_full_history_takes_less_than_128_kib(void **state)
{
    enum { DESTINATIONS = 1024 };
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t length = sizeof any;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    happy_history *history = NULL;
    char service[8], host[20];
    (void)state;
    assert_int_equal(system("ip -4 route add local 198.18.0.0/15 dev lo"), 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&any, length), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&any, &length), 0);
    snprintf(service, sizeof service, "%u", ntohs(any.sin_port));
    size_t before = 0, after = 0;
    for (int number = -1; number < DESTINATIONS; number++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        /* The first one has no history: what a thread or the library keeps for good is there afterwards. */
        options.history = history;
        snprintf(host, sizeof host, "198.18.%d.%d", (number + 1) / 200, (number + 1) % 200 + 1);
        int fd = init_inetsock_happy(host, service, &options, NULL);
        assert_true(fd >= 0);
        int accepted = accept(listener, NULL, NULL);
        assert_true(accepted >= 0);
        close(accepted);
        close(fd);
        if (number < 0) {
            before = heap();
            history = new_history();
        }
    }
    after = heap();
    assert_int_equal(report_of(history).destinations, DESTINATIONS);
    /* Each entry takes its two addresses at least. */
    if (before > 0)
        assert_in_range(after - before, DESTINATIONS * 32, 128 << 10);
    happy_history_unref(history);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_that_does_not_answer_is_told_and_kept_behind),
        cmocka_unit_test(a_network_that_answers_is_as_without_a_history),
        cmocka_unit_test(a_connect_keeps_what_it_needs_of_a_history),
        cmocka_unit_test(bad_input_changes_nothing),
        cmocka_unit_test(a_report_may_be_longer_than_the_librarys),
        cmocka_unit_test(the_child_of_a_fork_has_none),
        cmocka_unit_test(threads_share_a_history),
        cmocka_unit_test(a_full_history_takes_less_than_128_kib),
    };
    return cmocka_run_group_tests(tests, start_servers, NULL);
}
