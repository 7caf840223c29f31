/* happy_multi, where there are limits: on attempts, lookups, threads and descriptors. */
#define _GNU_SOURCE
#include "multi_support.h"
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- Attempts and lookups that wait for their turn --------------------------------------------------------------- */

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

/* ---- Scarce descriptors ------------------------------------------------------------------------------------------ */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attempts_wait_for_their_turn),
        cmocka_unit_test(a_raised_cap_lets_the_waiting_begin),
        cmocka_unit_test(lookups_wait_for_their_turn),
        cmocka_unit_test(a_silent_family_does_not_hold_up_the_other),
        cmocka_unit_test(out_of_descriptors),
    };
    return cmocka_run_group_tests_name("happy_multi within limits", tests, open_servers, close_servers);
}
