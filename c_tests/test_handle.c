/* happy_connect: every way to drive, to interrupt, to cancel and to free it. */
#define _GNU_SOURCE
#include "servers.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- happy_connect: driving ---------------------------------------------------------------------------- */

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
    /* The server's kernel may hear of it later than the client's. */
    assert_true(wait_readable(servers[0], PATIENCE_MS));
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
    assert_true(now_ms() - began < NOT_SOON_MS);
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

/* ---- happy_connect: interrupt and cancel --------------------------------------------------------------- */

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
    /* A worker may begin late; what is not needed any more it would not begin at all. */
    wait_for_running_lookups(2);
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
    /* One that is still pending is discarded. */
    signal(SIGALRM, SIG_IGN);
    sigaction(SIGALRM, &before, NULL);
    check_socket(fd, false);
    /* Those that come while the machine stands still are one. */
    assert_true(signals_seen > 0);
    assert_int_equal(roomy.result.attempts_count, 2);
    close(fd);
}

/* A thread that cancels a connect twice, once its first attempt is under way. */
struct canceller {
    happy_connect *connect;
    sem_t attempted;
};

static void post_at_attempt(const happy_trace_event *event, void *userdata)
{
    struct canceller *canceller = userdata;
    if (event->kind == HAPPY_TRACE_ATTEMPT_STARTED)
        sem_post(&canceller->attempted);
}

static void *cancel_once_attempted(void *argument)
{
    struct canceller *canceller = argument;
    sem_wait(&canceller->attempted);
    happy_connect_cancel(canceller->connect);
    happy_connect_cancel(canceller->connect);
    return NULL;
}

static void is_cancelled_from_another_thread(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct canceller canceller;
    struct roomy_result roomy;
    pthread_t thread;
    (void)state;
    sem_init(&canceller.attempted, 0, 0);
    options.trace = post_at_attempt;
    options.userdata = &canceller;
    canceller.connect = new_connect("silent.test", &options);
    pthread_create(&thread, NULL, cancel_once_attempted, &canceller);
    double began = now_ms();
    assert_int_equal(happy_connect_wait(canceller.connect), HAPPY_OK);
    assert_true(now_ms() - began < PATIENCE_MS);
    pthread_join(thread, NULL);
    clear_result(&roomy);
    assert_int_equal(happy_connect_take_result(canceller.connect, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_ECANCELLED);
    assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_ABANDONED);
    happy_connect_free(canceller.connect);
    sem_destroy(&canceller.attempted);
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

/* ---- happy_connect: free at any moment ----------------------------------------------------------------- */

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
        assert_true(now_ms() - began < NOT_SOON_MS);
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


int main(void)
{
    const struct CMUnitTest tests[] = {
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
