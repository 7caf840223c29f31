/* Names that the library looks up by itself: without a thread, over sockets of the thread that drives, whatever the name
 * server sends. */
#define _GNU_SOURCE
#include "name_server.h"
#include "servers.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Each test has the name server, and leaves as many descriptors as it found and no thread. */
static int before;

static int start(void **state)
{
    (void)state;
    wait_for_workers_to_leave();
    before = open_descriptors();
    name_server_start();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    name_server_stop();
    assert_int_equal(workers(), 0);
    assert_int_equal(open_descriptors(), before);
    return 0;
}

#define DNS_TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)

/* Connects, and the result says who has answered. */
static void connects_by(const char *host, const char *source)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    options.open_timeout_ms = PATIENCE_MS;
    int fd = init_inetsock_happy(host, service(port), &options, &result);
    if (fd < 0)
        fail_msg("%s: %s", host, happy_error_message());
    assert_string_equal(result.source, source);
    close(fd);
}

/* The answer to one question may be enough to connect, and the server has the other one before it still. */
static void check_questions(const char *name, int expected)
{
    for (double until = now_ms() + PATIENCE_MS; questions_for(name) < expected && now_ms() < until;)
        poll(NULL, 0, 1);
    assert_int_equal(questions_for(name), expected);
}

static void a_blocking_connect_makes_no_thread(void **state)
{
    (void)state;
    connects_by("both.test", "dns");
    connects_by("dual.test", "hosts");
    check_questions("both.test", 2);
    assert_int_equal(questions_for("dual.test"), 0);
}

static void libc_answers_where_it_is_told_to(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    (void)state;
    options.flags = HAPPY_FLAG_LOOKUP_BY_LIBC;
    close(init_inetsock_happy("both.test", service(port), &options, &result));
    assert_string_equal(result.source, "libc");
    look_up_by_libc(true);
    connects_by("both.test", "libc");
    look_up_by_libc(false);
    connects_by("both.test", "dns");
    wait_for_workers_to_leave();
}

static void rb_getaddrinfo_happy_asks_on_the_calling_thread(void **state)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    (void)state;
    assert_int_equal(rb_getaddrinfo_happy("fours.test", "80", &hints, &list, -1), 0);
    assert_int_equal(list->ai_family, AF_INET);
    assert_null(list->ai_next);
    freeaddrinfo(list);
    assert_int_equal(rb_getaddrinfo_happy("nx.test", "80", &hints, &list, PATIENCE_MS), EAI_NONAME);
    assert_int_equal(rb_getaddrinfo_happy("fail.test", "80", &hints, &list, PATIENCE_MS), EAI_AGAIN);
    double began = now_ms();
    assert_int_equal(rb_getaddrinfo_happy("silence.test", "80", &hints, &list, 100), EAI_SYSTEM);
    assert_int_equal(errno, ETIMEDOUT);
    assert_true(now_ms() - began >= 99);
}

static void a_lookup_is_driven_by_its_descriptor(void **state)
{
    const char *names[] = {"both.test", "tc.test", "junk.test", "nx.test", "fail.test"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        happy_lookup *lookup = started_lookup(names[i], PATIENCE_MS);
        struct addrinfo *list = NULL;
        int fd = happy_lookup_get_fd(lookup);
        assert_null(happy_lookup_get_source(lookup));
        while (happy_lookup_dispatch(lookup) == HAPPY_EAGAIN)
            assert_true(wait_readable(fd, PATIENCE_MS));
        int code = happy_lookup_take_result(lookup, &list);
        assert_int_equal(code, i < 3 ? 0 : i == 3 ? EAI_NONAME : EAI_AGAIN);
        assert_string_equal(happy_lookup_get_source(lookup), "dns");
        if (code == 0)
            freeaddrinfo(list);
        happy_lookup_unref(lookup);
    }
}

static void a_connect_is_driven_by_its_descriptor(void **state)
{
    happy_connect *connect = NULL;
    happy_result result = HAPPY_RESULT_INIT;
    (void)state;
    assert_int_equal(happy_connect_new("tc.test", service(port), NULL, &connect, NULL), HAPPY_OK);
    int fd = happy_connect_get_fd(connect);
    while (happy_connect_dispatch(connect) == HAPPY_EAGAIN)
        assert_true(wait_readable(fd, PATIENCE_MS));
    int socket = happy_connect_take_result(connect, &result);
    assert_true(socket >= 0);
    assert_string_equal(result.source, "dns");
    close(socket);
    happy_connect_free(connect);
}

static void an_answer_that_is_too_long_comes_by_tcp(void **state)
{
    int count, by_tcp = 0;
    (void)state;
    connects_by("tc.test", "dns");
    const struct asked *asked = questions(&count);
    for (int i = 0; i < count; i++)
        by_tcp += asked[i].by_tcp;
    assert_true(by_tcp >= 1);
}

/* Wrong ids, other questions, pointers beyond the end, cut off headers: none ends the wait for the answer behind them. */
static void junk_is_passed_over(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        connects_by("junk.test", "dns");
}

/* A flood keeps nobody from the limit, from a cancel, or from what else the same loop has to do. */
static void a_flood_of_junk_ends_with_the_limit(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    (void)state;
    options.resolv_timeout_ms = 300;
    double began = now_ms();
    assert_int_equal(init_inetsock_happy("flood.test", service(port), &options, &result), -1);
    assert_int_equal(result.status, HAPPY_ETIMEOUT);
    assert_true(now_ms() - began < 5000);
    connects_by("both.test", "dns");
}

static void a_server_that_stalls_is_left_when_it_is_cancelled(void **state)
{
    happy_lookup *lookup = started_lookup("stall.test", -1);
    struct addrinfo *list = NULL;
    (void)state;
    int fd = happy_lookup_get_fd(lookup);
    /* Both questions by UDP, then by TCP. */
    for (double until = now_ms() + PATIENCE_MS; questions_for("stall.test") < 4 && now_ms() < until;) {
        struct pollfd readable = {fd, POLLIN, 0};
        poll(&readable, 1, 20);
        assert_int_equal(happy_lookup_dispatch(lookup), HAPPY_EAGAIN);
    }
    assert_int_equal(questions_for("stall.test"), 4);
    happy_lookup_cancel(lookup);
    assert_int_equal(happy_lookup_take_result(lookup, &list), EAI_SYSTEM);
    assert_int_equal(errno, ECANCELED);
    happy_lookup_unref(lookup);
}

/* ---- Many ------------------------------------------------------------------------------------------------ */

static int ended;

static void done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    (void)multi, (void)id;
    ended++;
    *(int *)userdata = result->status;
    if (result->fd >= 0)
        close(result->fd);
}

static void drive(happy_multi *multi)
{
    int running = 1;
    for (double until = now_ms() + PATIENCE_MS; running > 0 && now_ms() < until;)
        assert_int_equal(happy_multi_wait(multi, 1000, &running), HAPPY_OK);
    assert_int_equal(running, 0);
}

static void equal_names_are_asked_once(void **state)
{
    enum { COUNT = 50 };
    int statuses[COUNT];
    happy_multi *multi = NULL;
    (void)state;
    ended = 0;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(happy_multi_add(multi, i % 2 ? "both.test" : "fours.test", service(port), NULL, done, NULL, NULL,
                                         &statuses[i]), HAPPY_OK);
    drive(multi);
    assert_int_equal(ended, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(statuses[i], HAPPY_OK);
    check_questions("both.test", 2);
    check_questions("fours.test", 2);
    happy_multi_free(multi);
}

static int compare_asked(const void *left, const void *right)
{
    const struct asked *a = left, *b = right;
    return a->port != b->port ? a->port - b->port : a->id - b->id;
}

/* RFC 5452, section 9.2: ids and ports that cannot be foretold; and no port is kept for long. */
static void a_port_is_left_after_sixty_four_questions(void **state)
{
    enum { COUNT = 300 };
    static int statuses[COUNT];
    static struct asked sorted[MOST_QUESTIONS];
    happy_multi *multi = NULL;
    (void)state;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    for (int i = 0; i < COUNT; i++) {
        char host[32];
        snprintf(host, sizeof host, "both%d.test", i);
        assert_int_equal(happy_multi_add(multi, host, service(port), NULL, done, NULL, NULL, &statuses[i]), HAPPY_OK);
    }
    drive(multi);
    int count, on_port = 0, ports = 0, in_order = 0;
    check_questions(NULL, 2 * COUNT);
    const struct asked *asked = questions(&count);
    assert_int_equal(count, 2 * COUNT);
    for (int i = 1; i < count; i++)
        in_order += asked[i].id == (uint16_t)(asked[i - 1].id + 1);
    assert_true(in_order < COUNT / 10);
    memcpy(sorted, asked, sizeof sorted[0] * (size_t)count);
    qsort(sorted, (size_t)count, sizeof sorted[0], compare_asked);
    for (int i = 0; i < count; i++) {
        bool same = i > 0 && sorted[i].port == sorted[i - 1].port;
        ports += !same;
        on_port = same ? on_port + 1 : 1;
        assert_true(on_port <= 64);
    }
    assert_true(ports >= 2 * COUNT / 64);
    happy_multi_free(multi);
}

/* A thousand names that nobody answers, let go of: nothing is left of them, and the next one is as quick as any. */
static void a_thousand_cancelled_lookups_hold_up_none(void **state)
{
    enum { COUNT = 1000 };
    static int statuses[COUNT];
    static uint64_t ids[COUNT];
    happy_multi *multi = NULL;
    (void)state;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    for (int i = 0; i < COUNT; i++) {
        char host[32];
        snprintf(host, sizeof host, "silence%d.test", i);
        assert_int_equal(happy_multi_add(multi, host, service(port), NULL, done, &ids[i], NULL, &statuses[i]), HAPPY_OK);
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(happy_multi_dispatch(multi, NULL), HAPPY_OK);
    assert_true(open_descriptors() - before < 40);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(happy_multi_cancel(multi, ids[i]), HAPPY_OK);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(statuses[i], HAPPY_ECANCELLED);
    int status = 1;
    assert_int_equal(happy_multi_add(multi, "both.test", service(port), NULL, done, NULL, NULL, &status), HAPPY_OK);
    drive(multi);
    assert_int_equal(status, HAPPY_OK);
    happy_multi_free(multi);
}

/* ---- Processes --------------------------------------------------------------------------------------------- */

static void a_child_asks_by_itself(void **state)
{
    happy_lookup *lookup = started_lookup("silence.test", -1);
    (void)state;
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(PATIENCE_MS / 1000);
            happy_options options = HAPPY_OPTIONS_INIT;
            happy_result result = HAPPY_RESULT_INIT;
            options.open_timeout_ms = PATIENCE_MS;
            int fd = init_inetsock_happy("both.test", service(port), &options, &result);
            if (fd < 0 || strcmp(result.source, "dns") != 0)
                _exit(1);
            happy_lookup_unref(lookup);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    happy_lookup_cancel(lookup);
    happy_lookup_unref(lookup);
}

/* Connects to live.test with AI_ADDRCONFIG, which has to be without a worker, to this address alone and the one that libc
 * has. */
static bool connects_as_configured(int at_port, const char *expected)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    clear_result(&roomy);
    options.lookup_flags = AI_ADDRCONFIG;
    options.open_timeout_ms = PATIENCE_MS;
    int fd = init_inetsock_happy("live.test", service(at_port), &options, &roomy.result);
    struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM}, *list = NULL;
    char host[NI_MAXHOST] = "";
    bool same = fd >= 0 && strcmp(result_address(&roomy.result), expected) == 0 &&
                strcmp(roomy.result.source, "hosts") == 0 && roomy.result.attempts_count == 1 && workers() == 0 &&
                getaddrinfo("live.test", service(at_port), &hints, &list) == 0 &&
                getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) == 0 &&
                strcmp(host, expected) == 0;
    if (list != NULL)
        freeaddrinfo(list);
    if (fd >= 0)
        close(fd);
    return same;
}

static int with_addresses_of_one_family(void)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    int at_port = 0;
    if (unshare(CLONE_NEWNET) != 0 ||
        system("ip link set lo up && ip address add 203.0.113.1/32 dev lo && ip -6 route add local 2001:db8:1::/64 dev lo") != 0)
        return 1;
    listen_on("203.0.113.1", &at_port);
    /* Nobody would connect to the IPv6 address, but an attempt at it would be seen. */
    if (!connects_as_configured(at_port, "203.0.113.1"))
        return 2;
    options.lookup_flags = AI_ADDRCONFIG;
    options.family = AF_INET6;
    if (init_inetsock_happy("live.test", service(at_port), &options, &result) != -1 || result.gai_error != EAI_NONAME)
        return 3;
    /* Without an address of IPv6 there is none of that family, with one it comes first. */
    if (system("ip -6 address add 2001:db8:1::1/128 dev lo nodad") != 0)
        return 4;
    int both[2];
    listen_on_both("203.0.113.1", "2001:db8:1::1", both, &at_port);
    wait_for_workers_to_leave();
    return connects_as_configured(at_port, "2001:db8:1::1") ? 0 : 5;
}

static void a_family_without_an_address_is_not_asked_where_only_configured_ones_are_wanted(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        alarm(2 * PATIENCE_MS / 1000);
        _exit(with_addresses_of_one_family());
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void without_a_descriptor_it_fails_and_then_goes_on(void **state)
{
    struct rlimit limit, none;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    /* The configuration has been read by now; a socket is what is missing. */
    connects_by("both.test", "dns");
    int lowest = dup(0);
    close(lowest);
    none.rlim_cur = (rlim_t)lowest;
    setrlimit(RLIMIT_NOFILE, &none);
    int code = rb_getaddrinfo_happy("both.test", "80", &hints, &list, PATIENCE_MS);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_not_equal(code, 0);
    connects_by("both.test", "dns");
}

/* resolv.conf(5) and hosts(5) are what they are at the moment of the lookup. */
static void the_configuration_is_read_again_when_it_changes(void **state)
{
    char kept[4096], hosts[4200];
    (void)state;
    connects_by("both.test", "dns");
    int fd = open("/etc/hosts", O_RDWR | O_CLOEXEC);
    ssize_t length = read(fd, kept, sizeof kept);
    assert_true(length > 0);
    int longer = snprintf(hosts, sizeof hosts, "%.*s127.0.0.1 both.test\n", (int)length, kept);
    assert_int_equal(pwrite(fd, hosts, (size_t)longer, 0), longer);
    connects_by("both.test", "hosts");
    assert_int_equal(ftruncate(fd, length), 0);
    connects_by("both.test", "dns");
    close(fd);
}

/* ---- By libc ------------------------------------------------------------------------------------------------- */

/* Writes a file of this network's own; then waits until whoever compares its times sees that it is the new one. */
static void rewrite(const char *path, const char *text)
{
    struct stat status;
    struct timespec now;
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fstat(fd, &status) != 0)
        _exit(100);
    close(fd);
    do {
        poll(NULL, 0, 5);
        clock_gettime(CLOCK_REALTIME, &now);
    } while (now.tv_sec <= status.st_ctim.tv_sec + 1);
}

static uint64_t add_by_libc(happy_multi *multi, const char *host, int *status)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    uint64_t id = 0;
    options.flags = HAPPY_FLAG_LOOKUP_BY_LIBC;
    if (happy_multi_add(multi, host, service(port), &options, done, &id, NULL, status) != HAPPY_OK)
        _exit(101);
    return id;
}

/* Begins what was added; then waits until a connect has ended, if there is one to wait for. */
static void go_on(happy_multi *multi, const int *status)
{
    double until = now_ms() + PATIENCE_MS;
    while (happy_multi_get_timeout_ms(multi) == 0)
        happy_multi_dispatch(multi, NULL);
    while (status != NULL && *status == 1 && now_ms() < until)
        happy_multi_wait(multi, 1000, NULL);
}

/* Readable once libc has asked for the silent name: it is the parent that has the name server. */
static int libc_has_asked[2];

static void wait_for_libc(void)
{
    char byte;
    if (read(libc_has_asked[0], &byte, 1) != 1)
        _exit(102);
}

/* A name that libc hangs at for half a minute has one worker, however often it is asked for, also when all who have asked
 * for it have gone. The exit status says what is wrong. */
static int one_worker_for_a_silent_name(void)
{
    enum { COUNT = 1000 };
    static int statuses[COUNT];
    static uint64_t ids[COUNT];
    happy_multi *multi = NULL;
    int known = 1, again = 1;
    rewrite("/etc/resolv.conf", "nameserver 127.0.0.53\noptions timeout:30 attempts:1\n");
    if (happy_multi_new(&multi) != HAPPY_OK)
        return 1;
    for (int i = 0; i < COUNT; i++)
        ids[i] = add_by_libc(multi, "silence.test", &statuses[i]);
    go_on(multi, NULL);
    wait_for_libc();
    if (workers() != 1)
        return 2;
    add_by_libc(multi, "both.test", &known);
    go_on(multi, &known);
    if (known != HAPPY_OK || workers() > 2)
        return 3;
    for (int i = 0; i < COUNT; i++)
        happy_multi_cancel(multi, ids[i]);
    for (int i = 0; i < COUNT; i++)
        if (statuses[i] != HAPPY_ECANCELLED)
            return 4;
    for (int i = 0; i < COUNT; i++)
        ids[i] = add_by_libc(multi, "silence.test", &statuses[i]);
    add_by_libc(multi, "both.test", &again);
    go_on(multi, &again);
    if (again != HAPPY_OK || workers() > 2)
        return 5;
    happy_multi_free(multi);
    return 0;
}

/* Who asks after the configuration has changed is not kept waiting by what was asked before. */
static int a_change_is_not_waited_for(void)
{
    happy_multi *multi = NULL;
    int before_it = 1, after_it = 1;
    rewrite("/etc/resolv.conf", "nameserver 127.0.0.53\noptions timeout:30 attempts:1\n");
    if (happy_multi_new(&multi) != HAPPY_OK)
        return 1;
    add_by_libc(multi, "silence.test", &before_it);
    go_on(multi, NULL);
    wait_for_libc();
    rewrite("/etc/hosts", "::1 silence.test\n127.0.0.1 silence.test\n");
    add_by_libc(multi, "silence.test", &after_it);
    go_on(multi, &after_it);
    if (after_it != HAPPY_OK || before_it != 1)
        return 2;
    happy_multi_free(multi);
    return 0;
}

/* In a child, which ends with a worker still inside libc. The configuration is put back. */
static void in_a_child(int (*part)(void))
{
    static const char *paths[] = {"/etc/resolv.conf", "/etc/hosts"};
    char kept[2][4096] = {{0}};
    int status = 0;
    for (size_t i = 0; i < 2; i++) {
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        ssize_t length = read(fd, kept[i], sizeof kept[i] - 1);
        assert_true(length > 0);
        close(fd);
    }
    assert_int_equal(pipe(libc_has_asked), 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(5 * PATIENCE_MS / 1000);
        close(libc_has_asked[1]);
        _exit(part());
    }
    for (double until = now_ms() + PATIENCE_MS; questions_for("silence.test") == 0 && now_ms() < until;)
        poll(NULL, 0, 1);
    assert_int_equal(write(libc_has_asked[1], "", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(libc_has_asked[0]);
    close(libc_has_asked[1]);
    for (size_t i = 0; i < 2; i++)
        rewrite(paths[i], kept[i]);
    assert_int_equal(status, 0);
}

static void a_silent_name_has_one_worker_however_often_it_is_asked_for(void **state)
{
    (void)state;
    in_a_child(one_worker_for_a_silent_name);
}

static void who_asks_after_a_change_does_not_wait_for_what_was_asked_before(void **state)
{
    (void)state;
    in_a_child(a_change_is_not_waited_for);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DNS_TEST(a_blocking_connect_makes_no_thread),
        DNS_TEST(libc_answers_where_it_is_told_to),
        DNS_TEST(rb_getaddrinfo_happy_asks_on_the_calling_thread),
        DNS_TEST(a_lookup_is_driven_by_its_descriptor),
        DNS_TEST(a_connect_is_driven_by_its_descriptor),
        DNS_TEST(an_answer_that_is_too_long_comes_by_tcp),
        DNS_TEST(junk_is_passed_over),
        DNS_TEST(a_flood_of_junk_ends_with_the_limit),
        DNS_TEST(a_server_that_stalls_is_left_when_it_is_cancelled),
        DNS_TEST(equal_names_are_asked_once),
        DNS_TEST(a_port_is_left_after_sixty_four_questions),
        DNS_TEST(a_thousand_cancelled_lookups_hold_up_none),
        DNS_TEST(a_child_asks_by_itself),
        DNS_TEST(a_family_without_an_address_is_not_asked_where_only_configured_ones_are_wanted),
        DNS_TEST(without_a_descriptor_it_fails_and_then_goes_on),
        DNS_TEST(the_configuration_is_read_again_when_it_changes),
        DNS_TEST(a_silent_name_has_one_worker_however_often_it_is_asked_for),
        DNS_TEST(who_asks_after_a_change_does_not_wait_for_what_was_asked_before),
    };
    return cmocka_run_group_tests(tests, start_servers, NULL);
}
