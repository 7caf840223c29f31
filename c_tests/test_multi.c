/* happy_multi, driven by its one descriptor. */
#define _GNU_SOURCE
#include "support.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A connect of a test, and how it ended. */
struct entry {
    uint64_t id;
    int ended, status, sys_errno, family;
    uint32_t attempts;
    char syscall[32];
    /* Done from inside the done callback. */
    void (*then)(happy_multi *multi, struct entry *entry);
    struct entry *other;
    void *context;
};

/* How many connects have ended, and whether one may end now: never inside happy_multi_add. */
static int ended_count;
static bool inside_add;

static void done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct entry *entry = userdata;
    assert_false(inside_add);
    entry->id = id;
    entry->ended++;
    ended_count++;
    entry->status = result->status;
    entry->sys_errno = result->sys_errno;
    entry->attempts = result->attempts_count;
    entry->family = result->address.ss_family;
    snprintf(entry->syscall, sizeof entry->syscall, "%s", result->syscall ? result->syscall : "");
    assert_true(result->attempts_capacity >= result->attempts_count);
    for (uint32_t i = 0; i < result->attempts_count; i++)
        assert_int_not_equal(result->attempts[i].outcome, HAPPY_OUTCOME_RUNNING);
    if (result->status == HAPPY_OK) {
        check_socket(result->fd, false);
        assert_int_equal(result->attempts[result->attempts_count - 1].ended_ns > 0, 1);
        close(result->fd);
    } else {
        assert_int_equal(result->fd, -1);
    }
    if (entry->then)
        entry->then(multi, entry);
}

static int add_with(happy_multi *multi, const char *host, int port, const happy_options *options, struct entry *entry)
{
    inside_add = true;
    int status = happy_multi_add(multi, host, service(port), options, done, &entry->id, NULL, entry);
    inside_add = false;
    return status;
}

static void add(happy_multi *multi, const char *host, int port, struct entry *entry)
{
    assert_int_equal(add_with(multi, host, port, NULL, entry), HAPPY_OK);
}

/* Drives a handle until so many of its connects are left. */
static void drive_until(happy_multi *multi, int left)
{
    double until = now_ms() + PATIENCE_MS;
    int running = left + 1;
    while (running > left && now_ms() < until)
        assert_int_equal(happy_multi_wait(multi, 1000, &running), HAPPY_OK);
    assert_int_equal(running, left);
}

/* A lookup that was given up uses its script until it ends: it is waited for, and such scripts are static. */
static void wait_for_userdata_frees(const struct script *script, int count)
{
    double until = now_ms() + PATIENCE_MS;
    while (__atomic_load_n(&script->userdata_frees, __ATOMIC_SEQ_CST) != count && now_ms() < until)
        usleep(1000);
    assert_int_equal(script->userdata_frees, count);
}

static int dual[2], dual_port;

static int open_servers(void **state)
{
    (void)state;
    listen_on_both("::1", "127.0.0.1", dual, &dual_port);
    return 0;
}

static int close_servers(void **state)
{
    (void)state;
    close(dual[0]);
    close(dual[1]);
    wait_for_workers_to_leave();
    return 0;
}

static void connects_by_name_and_by_address(void **state)
{
    static const char *const hosts[] = {"dual.test", "four.test", "six.test", "127.0.0.1", "::1", "127.1"};
    static const int families[] = {AF_INET6, AF_INET, AF_INET6, AF_INET, AF_INET6, AF_INET};
    struct entry entries[COUNT_OF(hosts)] = {0};
    int before = settled_descriptors();
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    assert_non_null(multi);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        add(multi, hosts[i], dual_port, &entries[i]);
    drive_until(multi, 0);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        assert_int_equal(entries[i].ended, 1);
        assert_int_equal(entries[i].status, HAPPY_OK);
        /* Of two answers the faster may win, since loopback pays no Resolution Delay; and glibc finds ::1 of /etc/hosts
         * as 127.0.0.1 too. */
        if (i >= 3)
            assert_int_equal(entries[i].family, families[i]);
        assert_true(entries[i].attempts >= 1);
    }
    happy_multi_free(multi);
    check_descriptors(before);
}

static void one_descriptor_suffices(void **state)
{
    struct entry entries[2] = {0};
    happy_options options = HAPPY_OPTIONS_INIT;
    int running = 2;
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    int fd = happy_multi_get_fd(multi);
    assert_false(is_readable(fd));
    assert_int_equal(happy_multi_get_timeout_ms(multi), -1);
    add(multi, "dual.test", dual_port, &entries[0]);
    assert_true(is_readable(fd));
    assert_int_equal(happy_multi_get_timeout_ms(multi), 0);
    options.open_timeout_ms = 60;
    assert_int_equal(add_with(multi, "silent.test", 80, &options, &entries[1]), HAPPY_OK);
    double began = now_ms();
    while (running > 0) {
        assert_true(wait_readable(fd, PATIENCE_MS));
        assert_int_equal(happy_multi_dispatch(multi, &running), HAPPY_OK);
    }
    assert_int_equal(entries[0].status, HAPPY_OK);
    assert_int_equal(entries[1].status, HAPPY_ETIMEOUT);
    assert_true(now_ms() - began >= 59);
    assert_int_equal(happy_multi_get_timeout_ms(multi), -1);
    /* Nothing is left to do, and nothing pretends otherwise. */
    assert_false(is_readable(fd));
    assert_int_equal(happy_multi_get_fd(multi), fd);
    happy_multi_free(multi);
}

static void the_timeout_counts_down(void **state)
{
    struct entry entry = {0};
    happy_options options = HAPPY_OPTIONS_INIT;
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    options.open_timeout_ms = 5000;
    assert_int_equal(add_with(multi, "192.0.2.77", 80, &options, &entry), HAPPY_OK);
    assert_int_equal(happy_multi_dispatch(multi, NULL), HAPPY_OK);
    int timeout = happy_multi_get_timeout_ms(multi);
    assert_true(timeout > 1000 && timeout <= 5000);
    happy_multi_free(multi);
    assert_int_equal(entry.status, HAPPY_ECANCELLED);
}

static void the_winner_is_not_watched_any_more(void **state)
{
    struct entry entry = {0};
    int port = 0, server = listen_on("127.0.0.1", &port);
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    int fd = happy_multi_get_fd(multi), mine = -1;
    add(multi, "127.0.0.1", port, &entry);
    drive_until(multi, 0);
    mine = accept(server, NULL, NULL);
    assert_true(mine >= 0);
    close(mine);
    happy_multi_dispatch(multi, NULL);
    assert_false(is_readable(fd));
    happy_multi_free(multi);
    close(server);
}

static void failures_say_what_failed(void **state)
{
    struct entry entries[4] = {0};
    happy_options options = HAPPY_OPTIONS_INIT;
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    add(multi, "four.test", closed_port(), &entries[0]);
    static struct script script = {.six = {.gai_error = EAI_NONAME}, .four = {.gai_error = EAI_AGAIN}};
    options = script_options(&script);
    assert_int_equal(add_with(multi, "nowhere.test", 80, &options, &entries[1]), HAPPY_OK);
    happy_options at_once = HAPPY_OPTIONS_INIT;
    at_once.open_timeout_ms = 0;
    assert_int_equal(add_with(multi, "127.0.0.1", dual_port, &at_once, &entries[2]), HAPPY_OK);
    add(multi, "dual.test", closed_port(), &entries[3]);
    drive_until(multi, 0);
    happy_multi_free(multi);
    assert_int_equal(entries[0].status, HAPPY_ESYSCALL);
    assert_int_equal(entries[0].sys_errno, ECONNREFUSED);
    assert_string_equal(entries[0].syscall, "connect(2)");
    assert_int_equal(entries[1].status, HAPPY_ERESOLVE);
    assert_int_equal(entries[2].status, HAPPY_ETIMEOUT);
    assert_int_equal(entries[3].status, HAPPY_ESYSCALL);
    assert_int_equal(entries[3].attempts, 2);
    wait_for_userdata_frees(&script, 1);
}

static void two_thousand_at_once(void **state)
{
    enum { COUNT = 2000 };
    struct entry *entries = calloc(COUNT, sizeof *entries);
    struct rlimit limit;
    int port = 0, server = listen_on("127.0.0.1", &port);
    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_true(limit.rlim_cur > 2 * COUNT);
    int before = settled_descriptors();
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    for (int i = 0; i < COUNT; i++)
        add(multi, "127.0.0.1", port, &entries[i]);
    drive_until(multi, 0);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(entries[i].ended, 1);
        assert_int_equal(entries[i].status, HAPPY_OK);
        for (int j = 0; j < i && i < 50; j++)
            assert_int_not_equal(entries[i].id, entries[j].id);
    }
    happy_multi_free(multi);
    check_descriptors(before);
    close(server);
    free(entries);
}

/* ---- Cancel and free --------------------------------------------------------------------------------------------- */

static void cancel_ends_at_once(void **state)
{
    struct entry entries[3] = {0};
    (void)state;
    script_hold();
    struct script script = {.six = {.delay_ms = -1, .gai_error = EAI_NONAME},
                            .four = {.delay_ms = -1, .gai_error = EAI_NONAME}};
    happy_options options = script_options(&script);
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    int running = -1;
    assert_int_equal(add_with(multi, "stuck.test", 80, &options, &entries[0]), HAPPY_OK);
    add(multi, "192.0.2.77", 80, &entries[1]);
    happy_multi_dispatch(multi, NULL);
    wait_for_running_lookups(2);
    /* One that has not begun, too. */
    add(multi, "dual.test", dual_port, &entries[2]);
    for (int i = 0; i < 3; i++) {
        double began = now_ms();
        assert_int_equal(happy_multi_cancel(multi, entries[i].id), HAPPY_OK);
        assert_true(now_ms() - began < 1000);
        assert_int_equal(entries[i].ended, 1);
        assert_int_equal(entries[i].status, HAPPY_ECANCELLED);
        assert_int_equal(happy_multi_cancel(multi, entries[i].id), HAPPY_ENOENT);
    }
    assert_int_equal(happy_multi_cancel(multi, 0), HAPPY_ENOENT);
    assert_int_equal(happy_multi_cancel(multi, UINT64_MAX), HAPPY_ENOENT);
    assert_int_equal(happy_multi_dispatch(multi, &running), HAPPY_OK);
    assert_int_equal(running, 0);
    happy_multi_free(multi);
    script_release();
    wait_for_running_lookups(0);
    wait_for_workers_to_leave();
    assert_int_equal(script.userdata_frees, 1);
}

static void cancel_other(happy_multi *multi, struct entry *entry)
{
    int before = entry->other->ended;
    assert_int_equal(happy_multi_cancel(multi, entry->id), HAPPY_ENOENT);
    assert_int_equal(happy_multi_cancel(multi, entry->other->id), HAPPY_OK);
    assert_int_equal(happy_multi_cancel(multi, entry->other->id), HAPPY_OK);
    /* Its own callback is not called inside of this one. */
    assert_int_equal(entry->other->ended, before);
}

static void cancel_in_a_done_callback(void **state)
{
    struct entry entries[2] = {0};
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    entries[0].then = cancel_other;
    entries[0].other = &entries[1];
    add(multi, "192.0.2.77", 80, &entries[1]);
    add(multi, "127.0.0.1", dual_port, &entries[0]);
    drive_until(multi, 0);
    assert_int_equal(entries[0].ended + entries[1].ended, 2);
    assert_int_equal(entries[1].status, HAPPY_ECANCELLED);
    /* In a done callback that a cancel calls. */
    entries[0].ended = entries[1].ended = 0;
    add(multi, "192.0.2.77", 80, &entries[1]);
    add(multi, "192.0.2.77", 80, &entries[0]);
    happy_multi_dispatch(multi, NULL);
    assert_int_equal(happy_multi_cancel(multi, entries[0].id), HAPPY_OK);
    assert_int_equal(entries[0].ended, 1);
    assert_int_equal(entries[1].ended, 1);
    happy_multi_free(multi);
}

struct in_trace {
    happy_multi *multi;
    struct entry *entry;
    int kind;
    bool free_it;
};

static void act_in_trace(const happy_trace_event *event, struct script *script)
{
    struct in_trace *in = script->context;
    if (event->kind != in->kind)
        return;
    assert_int_equal(happy_multi_dispatch(in->multi, NULL), HAPPY_EREENTRANT);
    if (in->free_it)
        happy_multi_free(in->multi);
    else
        assert_int_equal(happy_multi_cancel(in->multi, in->entry->id), HAPPY_OK);
}

/* From inside the trace callback, at each step that a race to a silent host takes. */
static void cancel_and_free_in_a_trace_callback(void **state)
{
    static const int kinds[] = {HAPPY_TRACE_LOOKUP_STARTED, HAPPY_TRACE_CANDIDATE_ADDED, HAPPY_TRACE_ATTEMPT_STARTED,
                                HAPPY_TRACE_NEXT_ATTEMPT_TIMER_SET};
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(kinds); i++) {
        struct entry entries[2] = {0};
        happy_multi *multi = NULL;
        assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
        struct in_trace in = {multi, &entries[0], kinds[i / 2], i % 2};
        static struct script scripts[2 * COUNT_OF(kinds)];
        struct script *script = &scripts[i];
        script->six.addresses[0] = "2001:db8::77";
        script->four.addresses[0] = "192.0.2.77";
        script->on_event = act_in_trace;
        script->context = &in;
        happy_options options = script_options(script);
        assert_int_equal(add_with(multi, "silent.test", 80, &options, &entries[0]), HAPPY_OK);
        add(multi, "192.0.2.77", 80, &entries[1]);
        int running = 2;
        double until = now_ms() + PATIENCE_MS;
        while (entries[0].ended == 0 && now_ms() < until)
            assert_int_equal(happy_multi_wait(multi, 1000, &running), HAPPY_OK);
        assert_int_equal(entries[0].ended, 1);
        assert_int_equal(entries[0].status, HAPPY_ECANCELLED);
        assert_int_equal(running, in.free_it ? 0 : 1);
        if (!in.free_it)
            happy_multi_free(multi);
        assert_int_equal(entries[1].ended, 1);
        assert_int_equal(entries[1].status, HAPPY_ECANCELLED);
        wait_for_userdata_frees(script, 1);
    }
}

static void free_it(happy_multi *multi, struct entry *entry)
{
    uint64_t id = 77;
    (void)entry;
    happy_multi_free(multi);
    happy_multi_free(multi);
    /* What is refused keeps its userdata. */
    struct script script = {0};
    happy_options options = script_options(&script);
    happy_result result = HAPPY_RESULT_INIT;
    assert_int_equal(happy_multi_add(multi, "127.0.0.1", "80", &options, done, &id, &result, NULL), HAPPY_ESTATE);
    assert_int_equal(result.status, HAPPY_ESTATE);
    assert_int_equal(script.userdata_frees, 0);
    assert_int_equal(id, 77);
}

static void free_in_a_done_callback(void **state)
{
    struct entry entries[20] = {0};
    int before = settled_descriptors();
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        entries[i].then = free_it;
        add(multi, i == 7 ? "127.0.0.1" : "192.0.2.77", dual_port, &entries[i]);
    }
    int running = 1;
    while (entries[7].ended == 0)
        assert_int_equal(happy_multi_wait(multi, 1000, &running), HAPPY_OK);
    assert_int_equal(running, 0);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        assert_int_equal(entries[i].ended, 1);
        assert_int_equal(entries[i].status, i == 7 ? HAPPY_OK : HAPPY_ECANCELLED);
    }
    check_descriptors(before);
}

static void free_ends_what_is_left_and_waits_for_nothing(void **state)
{
    enum { COUNT = 40 };
    struct entry entries[COUNT] = {0};
    int before = settled_descriptors();
    (void)state;
    script_hold();
    struct script script = {.six = {.delay_ms = -1, .gai_error = EAI_NONAME},
                            .four = {.delay_ms = -1, .gai_error = EAI_NONAME}};
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    for (int i = 0; i < COUNT; i++) {
        happy_options options = script_options(&script);
        assert_int_equal(add_with(multi, i % 2 ? "stuck.test" : "192.0.2.77", 80, &options, &entries[i]), HAPPY_OK);
    }
    happy_multi_dispatch(multi, NULL);
    wait_for_running_lookups(COUNT);
    double began = now_ms();
    happy_multi_free(multi);
    assert_true(now_ms() - began < 1000);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(entries[i].ended, 1);
        assert_int_equal(entries[i].status, HAPPY_ECANCELLED);
    }
    check_descriptors(before);
    script_release();
    wait_for_running_lookups(0);
    wait_for_workers_to_leave();
    assert_int_equal(script.userdata_frees, COUNT);
}

/* ---- Adding from inside -------------------------------------------------------------------------------------------
 */

static void add_next(happy_multi *multi, struct entry *entry)
{
    int *left = entry->context;
    if ((*left)-- > 0)
        add(multi, *left % 2 ? "127.0.0.1" : "dual.test", dual_port, entry);
}

static void add_in_a_done_callback(void **state)
{
    int left = 50;
    struct entry entry = {.then = add_next, .context = &left};
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    int fd = happy_multi_get_fd(multi), running = 1;
    add(multi, "127.0.0.1", dual_port, &entry);
    while (running > 0) {
        assert_true(wait_readable(fd, PATIENCE_MS));
        assert_int_equal(happy_multi_dispatch(multi, &running), HAPPY_OK);
    }
    assert_int_equal(entry.ended, 51);
    happy_multi_free(multi);
}

static void drive_inside(happy_multi *multi, struct entry *entry)
{
    int running = 77;
    (void)entry;
    assert_int_equal(happy_multi_dispatch(multi, &running), HAPPY_EREENTRANT);
    assert_int_equal(happy_multi_wait(multi, 0, &running), HAPPY_EREENTRANT);
    assert_int_equal(happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, &running), HAPPY_EREENTRANT);
    assert_int_equal(running, 77);
    assert_true(happy_multi_get_timeout_ms(multi) >= -1);
    assert_true(happy_multi_get_fd(multi) >= 0);
}

static void recursive_driving_is_refused(void **state)
{
    struct entry entry = {.then = drive_inside};
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    add(multi, "127.0.0.1", dual_port, &entry);
    drive_until(multi, 0);
    add(multi, "192.0.2.77", 80, &entry);
    assert_int_equal(happy_multi_cancel(multi, entry.id), HAPPY_OK);
    add(multi, "192.0.2.77", 80, &entry);
    happy_multi_free(multi);
    assert_int_equal(entry.ended, 3);
}

/* ---- Wake-up ------------------------------------------------------------------------------------------------------
 */

static happy_multi *to_wake;

static void *wake(void *argument)
{
    (void)argument;
    assert_int_equal(happy_multi_wakeup(to_wake), HAPPY_OK);
    return NULL;
}

static void wake_in_handler(int number)
{
    (void)number;
    happy_multi_wakeup(to_wake);
}

static void wakeup_ends_a_wait(void **state)
{
    pthread_t thread;
    int running = -1;
    (void)state;
    assert_int_equal(happy_multi_new(&to_wake), HAPPY_OK);
    double began = now_ms();
    assert_int_equal(pthread_create(&thread, NULL, wake, NULL), 0);
    assert_int_equal(happy_multi_wait(to_wake, PATIENCE_MS, &running), HAPPY_OK);
    assert_int_equal(running, 0);
    assert_true(now_ms() - began < PATIENCE_MS);
    pthread_join(thread, NULL);
    /* Kept until the next wait, and then gone. */
    happy_multi_wait(to_wake, 0, NULL);
    happy_multi_wakeup(to_wake);
    happy_multi_wakeup(to_wake);
    began = now_ms();
    assert_int_equal(happy_multi_wait(to_wake, PATIENCE_MS, NULL), HAPPY_OK);
    assert_true(now_ms() - began < PATIENCE_MS);
    began = now_ms();
    assert_int_equal(happy_multi_wait(to_wake, 30, NULL), HAPPY_OK);
    assert_true(now_ms() - began >= 29);
    int fd = happy_multi_get_fd(to_wake);
    assert_false(is_readable(fd));
    signal(SIGUSR1, wake_in_handler);
    raise(SIGUSR1);
    assert_true(is_readable(fd));
    signal(SIGUSR1, SIG_DFL);
    happy_multi_free(to_wake);
}

/* ---- Pacing ------------------------------------------------------------------------------------------------------ */

static int in_flight, most_in_flight, started_hosts[64], started_count;

static void count_attempts(const happy_trace_event *event, void *userdata)
{
    if (event->kind == HAPPY_TRACE_ATTEMPT_STARTED) {
        in_flight++;
        started_hosts[started_count++ % 64] = (int)(intptr_t)userdata;
    }
    if (event->kind == HAPPY_TRACE_ATTEMPT_ENDED)
        in_flight--;
    if (in_flight > most_in_flight)
        most_in_flight = in_flight;
}

static void attempts_wait_for_their_turn(void **state)
{
    struct entry entries[30] = {0};
    (void)state;
    in_flight = most_in_flight = started_count = 0;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    assert_int_equal(happy_multi_set_max_attempts(multi, 3), HAPPY_OK);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        options.trace = count_attempts;
        options.userdata = (void *)i;
        /* The first one keeps its permit. */
        assert_int_equal(add_with(multi, i == 0 ? "192.0.2.77" : "127.0.0.1", dual_port, &options, &entries[i]),
                         HAPPY_OK);
    }
    drive_until(multi, 1);
    assert_int_equal(most_in_flight, 3);
    assert_int_equal(started_count, COUNT_OF(entries));
    /* Those that were added first went first. */
    for (int i = 0; i < started_count; i++)
        assert_int_equal(started_hosts[i], i);
    happy_multi_free(multi);
    for (size_t i = 0; i < COUNT_OF(entries); i++)
        assert_int_equal(entries[i].status, i == 0 ? HAPPY_ECANCELLED : HAPPY_OK);
}

static void a_raised_cap_lets_the_waiting_begin(void **state)
{
    struct entry entries[3] = {0};
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    assert_int_equal(happy_multi_set_max_attempts(multi, 1), HAPPY_OK);
    int fd = happy_multi_get_fd(multi);
    add(multi, "192.0.2.77", 80, &entries[0]);
    add(multi, "127.0.0.1", dual_port, &entries[1]);
    add(multi, "127.0.0.1", dual_port, &entries[2]);
    for (int i = 0; i < 20; i++)
        happy_multi_wait(multi, 1, NULL);
    assert_int_equal(entries[1].ended + entries[2].ended, 0);
    assert_false(is_readable(fd));
    /* One that waits can be cancelled. */
    assert_int_equal(happy_multi_cancel(multi, entries[1].id), HAPPY_OK);
    assert_int_equal(happy_multi_set_max_attempts(multi, 2), HAPPY_OK);
    assert_true(is_readable(fd));
    drive_until(multi, 1);
    assert_int_equal(entries[2].status, HAPPY_OK);
    happy_multi_free(multi);
}

static int lookups_now, most_lookups;

static int counting_lookup(const char *node, const char *name, const struct addrinfo *hints, struct addrinfo **ret_res,
                           void *userdata)
{
    struct addrinfo numeric = *hints;
    (void)node, (void)userdata;
    int now = __atomic_add_fetch(&lookups_now, 1, __ATOMIC_SEQ_CST);
    int most = __atomic_load_n(&most_lookups, __ATOMIC_SEQ_CST);
    while (now > most &&
           !__atomic_compare_exchange_n(&most_lookups, &most, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    usleep(2000);
    __atomic_sub_fetch(&lookups_now, 1, __ATOMIC_SEQ_CST);
    return getaddrinfo(hints->ai_family == AF_INET6 ? "::1" : "127.0.0.1", name, &numeric, ret_res);
}

static void lookups_wait_for_their_turn(void **state)
{
    static const uint32_t caps[] = {1, 2, 5};
    (void)state;
    for (size_t cap = 0; cap < COUNT_OF(caps); cap++) {
        struct entry entries[30] = {0};
        happy_multi *multi = NULL;
        assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
        most_lookups = 0;
        assert_int_equal(happy_multi_set_max_lookups(multi, caps[cap]), HAPPY_OK);
        happy_options options = HAPPY_OPTIONS_INIT;
        options.lookup = counting_lookup;
        /* One lookup a connect: a second one that is given up is no longer counted but may still run. */
        options.family = AF_INET;
        for (size_t i = 0; i < COUNT_OF(entries); i++)
            assert_int_equal(add_with(multi, "paced.test", dual_port, &options, &entries[i]), HAPPY_OK);
        drive_until(multi, 0);
        for (size_t i = 0; i < COUNT_OF(entries); i++) {
            assert_int_equal(entries[i].ended, 1);
            assert_int_equal(entries[i].status, HAPPY_OK);
        }
        happy_multi_free(multi);
        assert_in_range(most_lookups, 1, caps[cap]);
    }
    wait_for_workers_to_leave();
}

/* With fewer threads than names, and name servers that do not answer for one family. */
static void a_silent_family_does_not_hold_up_the_other(void **state)
{
    struct entry entries[50] = {0};
    uint32_t before = happy_lookup_get_thread_limit();
    (void)state;
    wait_for_workers_to_leave();
    script_hold();
    struct script script = {.six = {.delay_ms = -1, .gai_error = EAI_AGAIN}, .four.addresses = {"127.0.0.1"}};
    assert_int_equal(happy_lookup_set_thread_limit(4), HAPPY_OK);
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        happy_options options = script_options(&script);
        options.configure_socket = NULL;
        assert_int_equal(add_with(multi, "half.test", dual_port, &options, &entries[i]), HAPPY_OK);
    }
    drive_until(multi, 0);
    for (size_t i = 0; i < COUNT_OF(entries); i++)
        assert_int_equal(entries[i].status, HAPPY_OK);
    assert_true(workers() <= 4);
    happy_multi_free(multi);
    script_release();
    wait_for_running_lookups(0);
    assert_int_equal(happy_lookup_set_thread_limit(before), HAPPY_OK);
    wait_for_workers_to_leave();
    assert_int_equal(script.userdata_frees, COUNT_OF(entries));
}

/* ---- Bad input and scarce descriptors -----------------------------------------------------------------------------
 */

static void refused_input_changes_nothing(void **state)
{
    struct entry entry = {0};
    struct script script = {0};
    happy_options options = script_options(&script);
    int running = 77;
    uint64_t id = 77;
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    options.family = 12345;
    assert_int_equal(happy_multi_add(multi, "dual.test", "80", &options, done, &id, NULL, &entry), HAPPY_EINVALID);
    assert_non_null(strstr(happy_error_message(), "family"));
    assert_int_equal(happy_multi_add(multi, "", "80", NULL, done, &id, NULL, &entry), HAPPY_EINVALID);
    assert_int_equal(happy_multi_add(multi, "dual.test", "70000", NULL, done, &id, NULL, &entry), HAPPY_EINVALID);
    assert_int_equal(happy_multi_add(multi, "dual.test", "80", NULL, NULL, &id, NULL, &entry), HAPPY_EINVALID);
    assert_int_equal(happy_multi_add(NULL, "dual.test", "80", NULL, done, &id, NULL, &entry), HAPPY_EINVALID);
    assert_int_equal(script.userdata_frees, 0);
    assert_int_equal(happy_multi_dispatch(multi, &running), HAPPY_OK);
    assert_int_equal(running, 0);
    running = 77;
    assert_int_equal(happy_multi_wait(multi, -2, &running), HAPPY_EINVALID);
    assert_int_equal(happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, &running), HAPPY_ESTATE);
    assert_int_equal(happy_multi_assign(multi, 0, NULL), HAPPY_ENOENT);
    happy_multi_free(multi);
    assert_int_equal(happy_multi_cancel(NULL, 1), HAPPY_EINVALID);
    assert_int_equal(happy_multi_dispatch(NULL, &running), HAPPY_EINVALID);
    assert_int_equal(happy_multi_wait(NULL, 0, &running), HAPPY_EINVALID);
    assert_int_equal(happy_multi_socket_action(NULL, 0, 0, &running), HAPPY_EINVALID);
    assert_int_equal(happy_multi_set_socket_callback(NULL, NULL, NULL), HAPPY_EINVALID);
    assert_int_equal(happy_multi_set_timer_callback(NULL, NULL, NULL), HAPPY_EINVALID);
    assert_int_equal(happy_multi_set_max_attempts(NULL, 1), HAPPY_EINVALID);
    assert_int_equal(happy_multi_set_max_lookups(NULL, 1), HAPPY_EINVALID);
    assert_int_equal(happy_multi_assign(NULL, 0, NULL), HAPPY_EINVALID);
    assert_int_equal(happy_multi_wakeup(NULL), HAPPY_EINVALID);
    assert_int_equal(happy_multi_get_timeout_ms(NULL), -1);
    errno = 0;
    assert_int_equal(happy_multi_get_fd(NULL), -1);
    assert_int_equal(errno, EINVAL);
    happy_multi_free(NULL);
    assert_int_equal(running, 77);
    assert_int_equal(id, 77);
    assert_int_equal(entry.ended, 0);
}

static void out_of_descriptors(void **state)
{
    struct entry entries[4] = {0};
    struct rlimit before, none;
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    add(multi, "192.0.2.77", 80, &entries[0]);
    happy_multi_dispatch(multi, NULL);
    /* A descriptor above the limit cannot be made; those that are open stay so. */
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    add(multi, "127.0.0.1", dual_port, &entries[1]);
    int running = 2;
    while (running > 1)
        assert_int_equal(happy_multi_wait(multi, 1000, &running), HAPPY_OK);
    errno = 0;
    happy_multi *another = NULL;
    int new_status = happy_multi_new(&another);
    int new_errno = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(new_status, HAPPY_ESYSCALL);
    assert_null(another);
    assert_int_equal(new_errno, EMFILE);
    assert_int_equal(entries[1].status, HAPPY_ESYSCALL);
    assert_int_equal(entries[1].sys_errno, EMFILE);
    assert_string_equal(entries[1].syscall, "socket(2)");
    /* The other one is unharmed, and so is the handle. */
    assert_int_equal(entries[0].ended, 0);
    add(multi, "dual.test", dual_port, &entries[2]);
    drive_until(multi, 1);
    assert_int_equal(entries[2].status, HAPPY_OK);
    happy_multi_free(multi);
    assert_int_equal(entries[0].status, HAPPY_ECANCELLED);
}

static void a_child_of_a_fork_leaves_it_alone(void **state)
{
    struct entry entries[3] = {0};
    int running = 77, status = 0;
    uint64_t id;
    (void)state;
    /* What threads of the parent's own the child of a fork cannot free. */
    wait_for_workers_to_leave();
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    add(multi, "192.0.2.77", 80, &entries[0]);
    happy_multi_dispatch(multi, NULL);
    add(multi, "127.0.0.1", dual_port, &entries[1]);
    happy_multi_dispatch(multi, NULL);
    pid_t child = fork();
    if (child == 0) {
        bool good = happy_multi_dispatch(multi, &running) == HAPPY_EFORKED &&
                    happy_multi_wait(multi, 0, &running) == HAPPY_EFORKED &&
                    happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, &running) == HAPPY_EFORKED &&
                    happy_multi_cancel(multi, entries[0].id) == HAPPY_EFORKED &&
                    happy_multi_add(multi, "::1", "80", NULL, done, &id, NULL, NULL) == HAPPY_EFORKED &&
                    happy_multi_wakeup(multi) == HAPPY_EFORKED && happy_multi_get_fd(multi) == -1 &&
                    errno == ESTALE && happy_multi_get_timeout_ms(multi) == -1 &&
                    happy_multi_set_max_attempts(multi, 1) == HAPPY_EFORKED && running == 77;
        happy_multi_free(multi);
        _exit(good && entries[0].ended + entries[1].ended == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    /* The parent's goes on: nothing was taken out of its set. */
    drive_until(multi, 1);
    assert_int_equal(entries[1].status, HAPPY_OK);
    add(multi, "127.0.0.1", dual_port, &entries[2]);
    drive_until(multi, 1);
    happy_multi_free(multi);
    assert_int_equal(entries[0].status, HAPPY_ECANCELLED);
}

/* A child that was forked while an attempt was in flight has its socket open: the parent must not hear of it for ever.
 */
static void a_child_that_keeps_the_sockets_open_does_no_harm(void **state)
{
    struct entry entry = {0};
    int hold[2], refused = closed_port();
    (void)state;
    assert_int_equal(pipe(hold), 0);
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    int fd = happy_multi_get_fd(multi);
    add(multi, "127.0.0.1", refused, &entry);
    happy_multi_dispatch(multi, NULL);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    drive_until(multi, 0);
    assert_int_equal(entry.sys_errno, ECONNREFUSED);
    happy_multi_dispatch(multi, NULL);
    assert_false(is_readable(fd));
    happy_multi_free(multi);
    close(hold[0]);
    close(hold[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_by_name_and_by_address),
        cmocka_unit_test(one_descriptor_suffices),
        cmocka_unit_test(the_timeout_counts_down),
        cmocka_unit_test(the_winner_is_not_watched_any_more),
        cmocka_unit_test(failures_say_what_failed),
        cmocka_unit_test(two_thousand_at_once),
        cmocka_unit_test(cancel_ends_at_once),
        cmocka_unit_test(cancel_in_a_done_callback),
        cmocka_unit_test(cancel_and_free_in_a_trace_callback),
        cmocka_unit_test(free_in_a_done_callback),
        cmocka_unit_test(free_ends_what_is_left_and_waits_for_nothing),
        cmocka_unit_test(add_in_a_done_callback),
        cmocka_unit_test(recursive_driving_is_refused),
        cmocka_unit_test(wakeup_ends_a_wait),
        cmocka_unit_test(attempts_wait_for_their_turn),
        cmocka_unit_test(a_raised_cap_lets_the_waiting_begin),
        cmocka_unit_test(lookups_wait_for_their_turn),
        cmocka_unit_test(a_silent_family_does_not_hold_up_the_other),
        cmocka_unit_test(refused_input_changes_nothing),
        cmocka_unit_test(out_of_descriptors),
        cmocka_unit_test(a_child_of_a_fork_leaves_it_alone),
        cmocka_unit_test(a_child_that_keeps_the_sockets_open_does_no_harm),
    };
    return cmocka_run_group_tests_name("happy_multi by its descriptor", tests, open_servers, close_servers);
}
