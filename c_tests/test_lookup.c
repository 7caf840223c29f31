/* rb_getaddrinfo_happy and happy_lookup. */
#define _GNU_SOURCE
#include "support.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- rb_getaddrinfo_happy ---------------------------------------------------------------------------------------- */

static bool same_list(const struct addrinfo *left, const struct addrinfo *right)
{
    for (; left && right; left = left->ai_next, right = right->ai_next) {
        if (left->ai_flags != right->ai_flags || left->ai_family != right->ai_family || left->ai_socktype != right->ai_socktype ||
            left->ai_protocol != right->ai_protocol || left->ai_addrlen != right->ai_addrlen ||
            memcmp(left->ai_addr, right->ai_addr, left->ai_addrlen) != 0)
            return false;
        if ((left->ai_canonname == NULL) != (right->ai_canonname == NULL) ||
            (left->ai_canonname && strcmp(left->ai_canonname, right->ai_canonname) != 0))
            return false;
    }
    return left == right;
}

static void compare(const char *node, const char *name, const struct addrinfo *hints, int timeout_ms)
{
    struct addrinfo *theirs = NULL, *ours = NULL;
    int their_code = getaddrinfo(node, name, hints, &theirs);
    int our_code = rb_getaddrinfo_happy(node, name, hints, &ours, timeout_ms);
    if (their_code != our_code || !same_list(theirs, ours))
        fail_msg("node '%s' service '%s' flags %#x family %d socktype %d: getaddrinfo %d, rb_getaddrinfo_happy %d%s",
                 node ? node : "NULL", name ? name : "NULL", hints ? (unsigned)hints->ai_flags : 0,
                 hints ? hints->ai_family : -1, hints ? hints->ai_socktype : -1, their_code, our_code,
                 their_code == our_code ? ", different lists" : "");
    if (theirs)
        freeaddrinfo(theirs);
    if (ours)
        freeaddrinfo(ours);
}

static void gives_the_answers_of_getaddrinfo(void **state)
{
    static const char *const nodes[] = {
        NULL,         "127.0.0.1",        "::1",       "0.0.0.0",    "::",        "127.1",    "0x7f.1",    "1",
        "fe80::1%lo", "::ffff:127.0.0.1", "localhost", "dual.test",  "four.test", "six.test", "DUAL.test", "live.test",
        "dual.test.", "no.such.test",     "300.1.1.1", "1.example:x",
        "fe80::1%nosuch", "::1%nosuch", "127.0.0.1%lo"};
    static const char *const names[] = {NULL, "0", "80", "65535", "http", "nosuch", "080", ""};
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX};
    static const struct {
        int flags, socktype, protocol;
    } kinds[] = {
        {0, 0, 0},
        {0, SOCK_STREAM, 0},
        {0, SOCK_STREAM, IPPROTO_TCP},
        {0, SOCK_DGRAM, 0},
        {0, SOCK_RAW, 0},
        {0, SOCK_STREAM, IPPROTO_UDP},
        {AI_PASSIVE, SOCK_STREAM, 0},
        {AI_NUMERICHOST, SOCK_STREAM, 0},
        {AI_NUMERICSERV, SOCK_STREAM, 0},
        {AI_CANONNAME, SOCK_STREAM, 0},
        {AI_ADDRCONFIG, SOCK_STREAM, 0},
        {AI_V4MAPPED | AI_ALL, SOCK_STREAM, 0},
        {1 << 20, SOCK_STREAM, 0},
    };
    (void)state;
    for (size_t node = 0; node < COUNT_OF(nodes); node++)
        for (size_t name = 0; name < COUNT_OF(names); name++) {
            compare(nodes[node], names[name], NULL, -1);
            compare(nodes[node], names[name], NULL, PATIENCE_MS);
            for (size_t family = 0; family < COUNT_OF(families); family++)
                for (size_t kind = 0; kind < COUNT_OF(kinds); kind++) {
                    struct addrinfo hints = {.ai_flags = kinds[kind].flags,
                                             .ai_family = families[family],
                                             .ai_socktype = kinds[kind].socktype,
                                             .ai_protocol = kinds[kind].protocol};
                    /* With a limit the question goes to a worker, without one it need not. */
                    compare(nodes[node], names[name], &hints, kind % 2 == 0 ? -1 : PATIENCE_MS);
                }
        }
}

/* Where libc takes what no caller means, or asks a server for what is no name, the answer is fixed instead. */
static void refuses_what_no_resolver_should_be_asked(void **state)
{
    static char long_host[301], longer_host[1101], long_service[40];
    memset(long_host, 'a', 300);
    memset(longer_host, 'a', 1100);
    memset(long_service, '1', 39);
    const struct {
        const char *node, *name;
        int code;
    } table[] = {
        {NULL, NULL, EAI_NONAME},
        {"", "80", EAI_NONAME},
        {long_host, "80", EAI_NONAME},
        {longer_host, "80", EAI_NONAME},
        {"dual\001.test", "80", EAI_NONAME},
        {"dual.test\n", "80", EAI_NONAME},
        {"dual.test\r\n", "80", EAI_NONAME},
        {"127.0.0.1\n", "80", EAI_NONAME},
        {"127.0.0.1 ", "80", EAI_NONAME},
        {" dual.test", "80", EAI_NONAME},
        {"dual.test\t", "80", EAI_NONAME},
        {"dual.test\177", "80", EAI_NONAME},
        {"127.0.0.1", "-1", EAI_SERVICE},
        {"127.0.0.1", "+80", EAI_SERVICE},
        {"127.0.0.1", "65536", EAI_SERVICE},
        {"127.0.0.1", "4294967376", EAI_SERVICE},
        {"127.0.0.1", long_service, EAI_SERVICE},
        {"127.0.0.1", "80x", EAI_SERVICE},
        {"127.0.0.1", " 80", EAI_SERVICE},
        {"127.0.0.1", "80\n", EAI_SERVICE},
        {"127.0.0.1", "nosuch", EAI_SERVICE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        for (int timeout_ms = -1; timeout_ms <= PATIENCE_MS; timeout_ms += PATIENCE_MS + 1) {
            struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
            struct addrinfo *untouched = (struct addrinfo *)&hints, *list = untouched;
            int code = rb_getaddrinfo_happy(table[i].node, table[i].name, &hints, &list, timeout_ms);
            if (code != table[i].code || list != untouched)
                fail_msg("row %zu: %d (%s), %s", i, code, gai_strerror(code), list == untouched ? "" : "and it wrote");
        }
}

static void passes_bytes_that_are_no_ascii_to_the_resolver(void **state)
{
    static const char *const nodes[] = {"d\303\274rst.test", "\377\376.test", "xn--drst-0ra.test"};
    struct addrinfo *list = NULL;
    (void)state;
    /* No such name anywhere, and no server: what libc says, and nothing worse. */
    for (size_t i = 0; i < COUNT_OF(nodes); i++) {
        compare(nodes[i], "80", NULL, -1);
        int code = rb_getaddrinfo_happy(nodes[i], "80", NULL, &list, PATIENCE_MS);
        assert_true(code == EAI_NONAME || code == EAI_AGAIN);
    }
}

static void rejects_bad_arguments(void **state)
{
    struct addrinfo *list = (struct addrinfo *)state;
    errno = 0;
    assert_int_equal(rb_getaddrinfo_happy("dual.test", "80", NULL, &list, -2), EAI_SYSTEM);
    assert_int_equal(errno, EINVAL);
    assert_ptr_equal(list, state);
    assert_non_null(strstr(happy_error_message(), "timeout_ms"));
    errno = 0;
    assert_int_equal(rb_getaddrinfo_happy("dual.test", "80", NULL, NULL, -1), EAI_SYSTEM);
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(happy_error_message(), "ret_res"));
}

static void a_limit_ends_a_lookup_that_hangs(void **state)
{
    struct addrinfo *list = (struct addrinfo *)state;
    int dns = silent_dns_server();
    double began = now_ms();
    errno = 0;
    assert_int_equal(rb_getaddrinfo_happy("hangs.test", "80", NULL, &list, 60), EAI_SYSTEM);
    double took = now_ms() - began;
    assert_int_equal(errno, ETIMEDOUT);
    assert_ptr_equal(list, state);
    assert_true(took >= 60);
    /* libc itself would take 2 s. */
    assert_true(took < 1500);
    close(dns);
    wait_for_workers_to_leave();
}

static void a_limit_of_0_is_over_at_once(void **state)
{
    struct addrinfo *list = NULL;
    (void)state;
    errno = 0;
    assert_int_equal(rb_getaddrinfo_happy("dual.test", "80", NULL, &list, 0), EAI_SYSTEM);
    assert_int_equal(errno, ETIMEDOUT);
    assert_null(list);
}

/* ---- happy_lookup -------------------------------------------------------------------------------------- */

static happy_lookup *started(const char *node, int timeout_ms)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    happy_lookup *resolve = NULL;
    assert_int_equal(happy_lookup_new(node, "80", &hints, timeout_ms, &resolve), HAPPY_OK);
    assert_non_null(resolve);
    assert_int_equal(happy_lookup_start(resolve), HAPPY_OK);
    return resolve;
}

static void answers_after_a_wait(void **state)
{
    int descriptors = settled_descriptors();
    happy_lookup *resolve = started("dual.test", -1);
    struct addrinfo *list = NULL;
    (void)state;
    assert_int_equal(happy_lookup_wait(resolve), HAPPY_OK);
    assert_int_equal(happy_lookup_take_result(resolve, &list), 0);
    assert_int_equal(list->ai_family, AF_INET6);
    assert_int_equal(list->ai_next->ai_family, AF_INET);
    assert_null(list->ai_next->ai_next);
    freeaddrinfo(list);
    happy_lookup_unref(resolve);
    check_descriptors(descriptors);
}

static void copies_its_arguments(void **state)
{
    char node[] = "four.test", name[] = "80";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    happy_lookup *resolve = NULL;
    assert_int_equal(happy_lookup_new(node, name, &hints, -1, &resolve), HAPPY_OK);
    struct addrinfo *list = NULL;
    (void)state;
    memset(node, 'x', sizeof node - 1);
    memset(name, 'x', sizeof name - 1);
    memset(&hints, 0xff, sizeof hints);
    assert_int_equal(happy_lookup_start(resolve), HAPPY_OK);
    happy_lookup_wait(resolve);
    assert_int_equal(happy_lookup_take_result(resolve, &list), 0);
    assert_int_equal(((struct sockaddr_in *)list->ai_addr)->sin_port, htons(80));
    freeaddrinfo(list);
    happy_lookup_unref(resolve);
}

static void the_answer_is_taken_once(void **state)
{
    happy_lookup *resolve = started("127.0.0.1", -1);
    struct addrinfo *list = NULL, *again = (struct addrinfo *)state;
    assert_int_equal(happy_lookup_take_result(resolve, &list), 0);
    assert_int_equal(happy_lookup_take_result(resolve, &again), HAPPY_ESTATE);
    assert_ptr_equal(again, state);
    assert_int_equal(happy_lookup_start(resolve), HAPPY_ESTATE);
    happy_lookup_unref(resolve);
    /* The list is the caller's own. */
    assert_int_equal(list->ai_family, AF_INET);
    freeaddrinfo(list);
}

static void an_untaken_answer_is_freed_with_it(void **state)
{
    happy_lookup *resolve = started("dual.test", -1);
    (void)state;
    happy_lookup_wait(resolve);
    happy_lookup_unref(resolve);
}

static void says_in_which_state_it_is(void **state)
{
    struct addrinfo *list = (struct addrinfo *)state;
    int dns = silent_dns_server();
    happy_lookup *resolve = NULL;
    assert_int_equal(happy_lookup_new("hangs.test", "80", NULL, -1, &resolve), HAPPY_OK);
    assert_int_equal(happy_lookup_take_result(resolve, &list), HAPPY_ESTATE);
    /* Not started: there is nothing to wait for. */
    assert_int_equal(happy_lookup_wait(resolve), HAPPY_ESTATE);
    assert_int_equal(happy_lookup_dispatch(resolve), HAPPY_ESTATE);
    assert_int_equal(happy_lookup_get_timeout_ms(resolve), -1);
    assert_int_equal(happy_lookup_start(resolve), HAPPY_OK);
    assert_int_equal(happy_lookup_dispatch(resolve), HAPPY_EAGAIN);
    assert_int_equal(happy_lookup_get_timeout_ms(resolve), -1);
    assert_int_equal(happy_lookup_start(resolve), HAPPY_ESTATE);
    assert_int_equal(happy_lookup_take_result(resolve, &list), HAPPY_EAGAIN);
    assert_ptr_equal(list, state);
    happy_lookup_cancel(resolve);
    happy_lookup_unref(resolve);
    close(dns);
}

static void takes_null(void **state)
{
    struct addrinfo *list = (struct addrinfo *)state;
    assert_null(happy_lookup_ref(NULL));
    happy_lookup_unref(NULL);
    happy_lookup_cancel(NULL);
    assert_int_equal(happy_lookup_wait(NULL), HAPPY_EINVALID);
    assert_int_equal(happy_lookup_start(NULL), HAPPY_EINVALID);
    assert_int_equal(happy_lookup_take_result(NULL, &list), HAPPY_EINVALID);
    assert_ptr_equal(list, state);
    errno = 0;
    assert_int_equal(happy_lookup_get_fd(NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(happy_lookup_dispatch(NULL), HAPPY_EINVALID);
    assert_int_equal(happy_lookup_get_timeout_ms(NULL), -1);
    assert_null(happy_lookup_wait_callback(NULL));
    happy_lookup_cancel_callback(NULL);
    happy_lookup *none = NULL;
    assert_int_equal(happy_lookup_new("dual.test", "80", NULL, -2, &none), HAPPY_EINVALID);
    assert_null(none);
    assert_int_equal(happy_lookup_new("dual.test", "80", NULL, -1, NULL), HAPPY_EINVALID);
    happy_lookup *resolve = started("127.0.0.1", -1);
    assert_int_equal(happy_lookup_take_result(resolve, NULL), HAPPY_EINVALID);
    assert_int_equal(happy_lookup_take_result(resolve, &list), 0);
    freeaddrinfo(list);
    happy_lookup_unref(resolve);
}

static void a_bad_name_is_the_lookups_answer(void **state)
{
    happy_lookup *resolve = NULL;
    assert_int_equal(happy_lookup_new(NULL, NULL, NULL, -1, &resolve), HAPPY_OK);
    struct addrinfo *list = (struct addrinfo *)state;
    assert_non_null(resolve);
    assert_int_equal(happy_lookup_start(resolve), HAPPY_OK);
    happy_lookup_wait(resolve);
    assert_int_equal(happy_lookup_take_result(resolve, &list), EAI_NONAME);
    assert_ptr_equal(list, state);
    happy_lookup_unref(resolve);
}

static void the_descriptor_becomes_readable_and_stays_so(void **state)
{
    int descriptors = settled_descriptors();
    happy_lookup *resolve = NULL;
    assert_int_equal(happy_lookup_new("dual.test", "80", NULL, -1, &resolve), HAPPY_OK);
    struct addrinfo *list = NULL;
    (void)state;
    int fd = happy_lookup_get_fd(resolve);
    assert_true(fd >= 0);
    assert_int_equal(happy_lookup_get_fd(resolve), fd);
    assert_false(is_readable(fd));
    assert_int_equal(happy_lookup_start(resolve), HAPPY_OK);
    assert_true(wait_readable(fd, PATIENCE_MS));
    happy_lookup_wait(resolve);
    assert_true(is_readable(fd));
    assert_int_equal(happy_lookup_take_result(resolve, &list), 0);
    assert_true(is_readable(fd));
    freeaddrinfo(list);
    happy_lookup_unref(resolve);
    check_descriptors(descriptors);
}

static void the_descriptor_of_a_finished_lookup_is_readable(void **state)
{
    happy_lookup *resolve = started("127.0.0.1", -1);
    (void)state;
    happy_lookup_wait(resolve);
    assert_true(is_readable(happy_lookup_get_fd(resolve)));
    happy_lookup_unref(resolve);
}

static void its_limit_counts_from_the_start(void **state)
{
    int dns = silent_dns_server();
    happy_lookup *resolve = NULL;
    assert_int_equal(happy_lookup_new("hangs.test", "80", NULL, 80, &resolve), HAPPY_OK);
    struct addrinfo *list = NULL;
    (void)state;
    usleep(120000);
    double began = now_ms();
    assert_int_equal(happy_lookup_start(resolve), HAPPY_OK);
    assert_int_equal(happy_lookup_take_result(resolve, &list), HAPPY_EAGAIN);
    happy_lookup_wait(resolve);
    double took = now_ms() - began;
    assert_true(took >= 80 && took < 1500);
    assert_int_equal(happy_lookup_take_result(resolve, &list), EAI_SYSTEM);
    assert_int_equal(errno, ETIMEDOUT);
    happy_lookup_unref(resolve);
    close(dns);
}

static void its_limit_holds_for_pollers_too(void **state)
{
    int dns = silent_dns_server();
    happy_lookup *resolve = started("hangs.test", 50);
    struct addrinfo *list = NULL;
    (void)state;
    int fd = happy_lookup_get_fd(resolve);
    assert_int_equal(happy_lookup_dispatch(resolve), HAPPY_EAGAIN);
    int timeout_ms = happy_lookup_get_timeout_ms(resolve);
    assert_true(timeout_ms >= 0 && timeout_ms <= 50);
    /* Nothing but the limit makes it readable. */
    assert_true(wait_readable(fd, 5000));
    assert_int_equal(happy_lookup_dispatch(resolve), HAPPY_OK);
    assert_true(is_readable(fd));
    assert_int_equal(happy_lookup_get_timeout_ms(resolve), 0);
    assert_int_equal(happy_lookup_get_fd(resolve), fd);
    assert_int_equal(happy_lookup_take_result(resolve, &list), EAI_SYSTEM);
    assert_int_equal(errno, ETIMEDOUT);
    assert_non_null(strstr(happy_error_message(), strerror(ETIMEDOUT)));
    happy_lookup_unref(resolve);
    close(dns);
}

static void check_cancelled(happy_lookup *resolve)
{
    struct addrinfo *list = NULL;
    errno = 0;
    assert_int_equal(happy_lookup_take_result(resolve, &list), EAI_SYSTEM);
    assert_int_equal(errno, ECANCELED);
    assert_null(list);
}

static void is_cancelled_before_its_start(void **state)
{
    happy_lookup *resolve = NULL;
    assert_int_equal(happy_lookup_new("dual.test", "80", NULL, -1, &resolve), HAPPY_OK);
    (void)state;
    happy_lookup_cancel(resolve);
    happy_lookup_start(resolve);
    happy_lookup_wait(resolve);
    assert_true(is_readable(happy_lookup_get_fd(resolve)));
    check_cancelled(resolve);
    happy_lookup_unref(resolve);
}

static void a_cancel_after_the_end_changes_nothing(void **state)
{
    happy_lookup *resolve = started("dual.test", -1);
    struct addrinfo *list = NULL;
    (void)state;
    happy_lookup_wait(resolve);
    happy_lookup_cancel(resolve);
    happy_lookup_cancel(resolve);
    assert_int_equal(happy_lookup_take_result(resolve, &list), 0);
    freeaddrinfo(list);
    happy_lookup_unref(resolve);
}

static void *cancel_after_a_moment(void *resolve)
{
    usleep(30000);
    happy_lookup_cancel(resolve);
    return NULL;
}

static void is_cancelled_from_another_thread(void **state)
{
    int dns = silent_dns_server();
    happy_lookup *resolve = started("hangs.test", -1);
    pthread_t canceller;
    (void)state;
    pthread_create(&canceller, NULL, cancel_after_a_moment, resolve);
    happy_lookup_wait(resolve);
    pthread_join(canceller, NULL);
    assert_true(is_readable(happy_lookup_get_fd(resolve)));
    check_cancelled(resolve);
    happy_lookup_unref(resolve);
    close(dns);
}

static happy_lookup *in_signal_handler;

static void cancel_in_handler(int number)
{
    (void)number;
    happy_lookup_cancel(in_signal_handler);
}

static void is_cancelled_from_a_signal_handler(void **state)
{
    int dns = silent_dns_server();
    struct sigaction action = {.sa_handler = cancel_in_handler}, before;
    struct itimerval timer = {.it_value = {0, 30000}};
    (void)state;
    in_signal_handler = started("hangs.test", -1);
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &timer, NULL);
    happy_lookup_wait(in_signal_handler);
    check_cancelled(in_signal_handler);
    sigaction(SIGALRM, &before, NULL);
    happy_lookup_unref(in_signal_handler);
    close(dns);
}

static volatile sig_atomic_t signals_seen;

static void count_signal(int number)
{
    (void)number;
    signals_seen++;
}

static void signals_do_not_end_a_wait(void **state)
{
    int dns = silent_dns_server();
    struct sigaction action = {.sa_handler = count_signal}, before;
    struct itimerval timer = {{0, 5000}, {0, 5000}}, none = {{0, 0}, {0, 0}};
    happy_lookup *resolve = started("hangs.test", 500);
    (void)state;
    signals_seen = 0;
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &timer, NULL);
    double began = now_ms();
    happy_lookup_wait(resolve);
    double took = now_ms() - began;
    setitimer(ITIMER_REAL, &none, NULL);
    /* One that is still pending is discarded. */
    signal(SIGALRM, SIG_IGN);
    sigaction(SIGALRM, &before, NULL);
    assert_true(signals_seen > 2);
    /* The limit began with the start, a moment before the clock here. */
    assert_true(took >= 490 && took < 5000);
    happy_lookup_unref(resolve);
    close(dns);
}

static void *wait_in_thread(void *resolve)
{
    happy_lookup_wait(resolve);
    struct addrinfo *list = NULL;
    int code = happy_lookup_take_result(resolve, &list);
    if (code == 0)
        freeaddrinfo(list);
    happy_lookup_unref(resolve);
    return (void *)(intptr_t)code;
}

static void several_threads_wait_and_one_takes(void **state)
{
    happy_lookup *resolve = NULL;
    assert_int_equal(happy_lookup_new("dual.test", "80", NULL, -1, &resolve), HAPPY_OK);
    pthread_t waiters[8];
    int taken = 0, too_late = 0;
    (void)state;
    assert_int_equal(happy_lookup_start(resolve), HAPPY_OK);
    for (size_t i = 0; i < COUNT_OF(waiters); i++) {
        assert_ptr_equal(happy_lookup_ref(resolve), resolve);
        pthread_create(&waiters[i], NULL, wait_in_thread, resolve);
    }
    happy_lookup_unref(resolve);
    for (size_t i = 0; i < COUNT_OF(waiters); i++) {
        void *code;
        pthread_join(waiters[i], &code);
        taken += (intptr_t)code == 0;
        too_late += (intptr_t)code == HAPPY_ESTATE;
    }
    assert_int_equal(taken, 1);
    assert_int_equal(too_late, (int)COUNT_OF(waiters) - 1);
}

static int compare_doubles(const void *left, const void *right)
{
    double difference = *(const double *)left - *(const double *)right;
    return difference < 0 ? -1 : difference > 0;
}

/* The storm: lookups that never end, cancelled at random moments and abandoned. */
static void a_thousand_lookups_are_cancelled_at_random_moments(void **state)
{
    enum { ROUNDS = 1000 };
    static double cancel_ms[ROUNDS], drop_ms[ROUNDS];
    (void)state;
    wait_for_workers_to_leave();
    int dns = silent_dns_server();
    int descriptors = settled_descriptors();
    srandom(8305);
    for (int i = 0; i < ROUNDS; i++) {
        char node[32];
        snprintf(node, sizeof node, "n%d.hangs.test", i);
        happy_lookup *resolve = started(node, -1);
        if (i % 3 == 0)
            assert_true(happy_lookup_get_fd(resolve) >= 0);
        double until = now_ms() + (double)(random() % 2000) / 1000;
        while (now_ms() < until)
            ;
        double began = now_ms();
        happy_lookup_cancel(resolve);
        double cancelled = now_ms();
        happy_lookup_wait(resolve);
        check_cancelled(resolve);
        double taken = now_ms();
        happy_lookup_unref(resolve);
        cancel_ms[i] = cancelled - began;
        drop_ms[i] = now_ms() - taken;
    }
    /* Workers that are still inside libc have their query's socket open; ours are gone. */
    int at_work = workers();
    assert_true(at_work > 0);
    int extra = open_descriptors() - descriptors;
    if (extra > at_work)
        fail_msg("%d descriptors more than before, with %d workers inside libc", extra, at_work);
    qsort(cancel_ms, ROUNDS, sizeof cancel_ms[0], compare_doubles);
    qsort(drop_ms, ROUNDS, sizeof drop_ms[0], compare_doubles);
    print_message("cancel: median %.4f ms, 99 %% %.4f ms; drop: median %.4f ms, 99 %% %.4f ms; workers: %d\n",
                  cancel_ms[ROUNDS / 2], cancel_ms[ROUNDS * 99 / 100], drop_ms[ROUNDS / 2], drop_ms[ROUNDS * 99 / 100],
                  at_work);
    /* Microseconds are expected; the margin is for a machine that is busy with other things. */
    assert_true(cancel_ms[ROUNDS / 2] < 1);
    assert_true(drop_ms[ROUNDS / 2] < 1);
    close(dns);
    wait_for_workers_to_leave();
    assert_int_equal(open_descriptors(), descriptors - 1);
}

/* Statuses have names, and their own range. */
static void statuses_have_names(void **state)
{
    (void)state;
    assert_string_equal(happy_status_str(HAPPY_OK), "success");
    for (int status = HAPPY_ENOENT; status <= HAPPY_ERESOLVE; status++)
        assert_string_not_equal(happy_status_str(status), happy_status_str(-1));
    assert_non_null(happy_status_str(INT32_MIN));
    assert_non_null(happy_status_str(INT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_answers_of_getaddrinfo),
        cmocka_unit_test(refuses_what_no_resolver_should_be_asked),
        cmocka_unit_test(passes_bytes_that_are_no_ascii_to_the_resolver),
        cmocka_unit_test(rejects_bad_arguments),
        cmocka_unit_test(a_limit_ends_a_lookup_that_hangs),
        cmocka_unit_test(a_limit_of_0_is_over_at_once),
        cmocka_unit_test(answers_after_a_wait),
        cmocka_unit_test(copies_its_arguments),
        cmocka_unit_test(the_answer_is_taken_once),
        cmocka_unit_test(an_untaken_answer_is_freed_with_it),
        cmocka_unit_test(says_in_which_state_it_is),
        cmocka_unit_test(takes_null),
        cmocka_unit_test(a_bad_name_is_the_lookups_answer),
        cmocka_unit_test(the_descriptor_becomes_readable_and_stays_so),
        cmocka_unit_test(the_descriptor_of_a_finished_lookup_is_readable),
        cmocka_unit_test(its_limit_counts_from_the_start),
        cmocka_unit_test(its_limit_holds_for_pollers_too),
        cmocka_unit_test(is_cancelled_before_its_start),
        cmocka_unit_test(a_cancel_after_the_end_changes_nothing),
        cmocka_unit_test(is_cancelled_from_another_thread),
        cmocka_unit_test(is_cancelled_from_a_signal_handler),
        cmocka_unit_test(signals_do_not_end_a_wait),
        cmocka_unit_test(several_threads_wait_and_one_takes),
        cmocka_unit_test(a_thousand_lookups_are_cancelled_at_random_moments),
        cmocka_unit_test(statuses_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
