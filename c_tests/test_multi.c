/* happy_multi, driven by its one descriptor. */
#define _GNU_SOURCE
#include "multi_support.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

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
        assert_true(now_ms() - began < NOT_SOON_MS);
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
    assert_true(now_ms() - began < NOT_SOON_MS);
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

/* ---- Wake-up ----------------------------------------------------------------------------------------------------- */

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

/* ---- Bad input --------------------------------------------------------------------------------------------------- */

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
        cmocka_unit_test(free_ends_what_is_left_and_waits_for_nothing),
        cmocka_unit_test(wakeup_ends_a_wait),
        cmocka_unit_test(refused_input_changes_nothing),
    };
    return cmocka_run_group_tests_name("happy_multi by its descriptor", tests, open_servers, close_servers);
}
