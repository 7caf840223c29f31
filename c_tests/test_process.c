/* What a process does around the library: fork, descriptors closed or many, threads. */
#define _GNU_SOURCE
#include "support.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int servers[2], port;

static int start_servers(void **state)
{
    (void)state;
    listen_on_both("127.0.0.1", "::1", servers, &port);
    return 0;
}

/* Connections that nobody accepted would fill the servers' queues. */
static void take_off_the_queues(void)
{
    for (size_t i = 0; i < COUNT_OF(servers); i++)
        for (int fd; is_readable(servers[i]) && (fd = accept(servers[i], NULL, NULL)) >= 0;)
            close(fd);
}

/* In a child no check of the test library works: the child says by its status which step went wrong. */
#define CHILD_CHECK(condition)                                                                                         \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            _exit(__COUNTER__ + 1);                                                                                    \
    } while (0)

/* Waits for a child, for no longer than patience lasts. */
static int wait_for_child(pid_t child)
{
    double until = now_ms() + PATIENCE_MS;
    int status;
    pid_t ended;
    assert_true(child > 0);
    while ((ended = waitpid(child, &status, WNOHANG)) == 0 && now_ms() < until)
        usleep(1000);
    if (ended == 0) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        fail_msg("the child hangs");
    }
    return status;
}

static void check_child(pid_t child)
{
    int status = wait_for_child(child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the child ended with %s %d", WIFEXITED(status) ? "check" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static int connects_here(void)
{
    struct addrinfo *list = NULL;
    if (rb_getaddrinfo_happy("dual.test", "80", NULL, &list, PATIENCE_MS) != 0)
        return 0;
    freeaddrinfo(list);
    int fd = init_inetsock_happy("dual.test", service(port), NULL, NULL);
    return fd >= 0 && close(fd) == 0;
}

static void fork_does_not_wait_for_lookups_and_the_child_resolves(void **state)
{
    int dns = silent_dns_server();
    happy_lookup *hanging[20];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(hanging); i++) {
        char node[32];
        snprintf(node, sizeof node, "f%zu.hangs.test", i);
        assert_int_equal(happy_lookup_new(node, "80", NULL, -1, &hanging[i]), HAPPY_OK);
        assert_int_equal(happy_lookup_start(hanging[i]), HAPPY_OK);
    }
    double began = now_ms();
    pid_t child = fork();
    if (child == 0) {
        CHILD_CHECK(workers() == 0);
        CHILD_CHECK(connects_here());
        _exit(0);
    }
    double took = now_ms() - began;
    check_child(child);
    /* A lookup in flight would make it SILENCE_MS. */
    assert_true(took < SILENCE_MS);
    /* The parent's are as they were. */
    struct addrinfo *list = NULL;
    for (size_t i = 0; i < COUNT_OF(hanging); i++) {
        assert_int_equal(happy_lookup_take_result(hanging[i], &list), HAPPY_EAGAIN);
        happy_lookup_cancel(hanging[i]);
        assert_int_equal(happy_lookup_take_result(hanging[i], &list), EAI_SYSTEM);
        happy_lookup_unref(hanging[i]);
    }
    close(dns);
    assert_true(connects_here());
}

static void objects_from_before_a_fork_say_so(void **state)
{
    int dns = silent_dns_server();
    happy_lookup *running = NULL;
    assert_int_equal(happy_lookup_new("hangs.test", "80", NULL, -1, &running), HAPPY_OK);
    happy_lookup *unstarted = NULL;
    assert_int_equal(happy_lookup_new("dual.test", "80", NULL, -1, &unstarted), HAPPY_OK);
    happy_connect *connecting = NULL, *undriven = NULL;
    (void)state;
    assert_int_equal(happy_lookup_start(running), HAPPY_OK);
    assert_true(happy_lookup_get_fd(running) >= 0);
    assert_int_equal(happy_connect_new("hangs.test", "80", NULL, &connecting, NULL), HAPPY_OK);
    assert_true(happy_connect_get_fd(connecting) >= 0);
    assert_int_equal(happy_connect_dispatch(connecting), HAPPY_EAGAIN);
    assert_int_equal(happy_connect_new("dual.test", service(port), NULL, &undriven, NULL), HAPPY_OK);
    pid_t child = fork();
    if (child == 0) {
        struct addrinfo *list = NULL;
        happy_result result = HAPPY_RESULT_INIT;
        CHILD_CHECK(happy_lookup_take_result(running, &list) == HAPPY_EFORKED);
        CHILD_CHECK(happy_lookup_start(unstarted) == HAPPY_EFORKED);
        CHILD_CHECK(happy_lookup_take_result(unstarted, &list) == HAPPY_EFORKED);
        CHILD_CHECK(happy_lookup_wait(running) == HAPPY_EFORKED);
        CHILD_CHECK(happy_lookup_get_fd(running) == -1 && errno == ESTALE);
        CHILD_CHECK(happy_lookup_dispatch(running) == HAPPY_EFORKED);
        CHILD_CHECK(happy_lookup_get_timeout_ms(running) == -1);
        CHILD_CHECK(happy_connect_get_timeout_ms(connecting) == -1);
        CHILD_CHECK(happy_connect_dispatch(connecting) == HAPPY_EFORKED);
        CHILD_CHECK(happy_connect_dispatch(undriven) == HAPPY_EFORKED);
        CHILD_CHECK(happy_connect_wait(connecting) == HAPPY_EFORKED);
        CHILD_CHECK(happy_connect_get_fd(connecting) == -1 && errno == ESTALE);
        CHILD_CHECK(happy_connect_take_result(connecting, &result) == -1);
        CHILD_CHECK(result.status == HAPPY_EFORKED);
        /* These reach nothing of the parent's. */
        happy_lookup_cancel(running);
        happy_connect_cancel(connecting);
        happy_connect_interrupt(connecting);
        happy_lookup_unref(running);
        happy_lookup_unref(unstarted);
        happy_connect_free(connecting);
        happy_connect_free(undriven);
        CHILD_CHECK(connects_here());
        _exit(0);
    }
    check_child(child);
    struct addrinfo *list = NULL;
    assert_int_equal(happy_lookup_take_result(running, &list), HAPPY_EAGAIN);
    assert_false(is_readable(happy_lookup_get_fd(running)));
    assert_int_equal(happy_connect_dispatch(connecting), HAPPY_EAGAIN);
    happy_lookup_unref(running);
    happy_lookup_unref(unstarted);
    happy_connect_free(connecting);
    happy_connect_wait(undriven);
    int fd = happy_connect_take_result(undriven, NULL);
    check_socket(fd, false);
    close(fd);
    happy_connect_free(undriven);
    close(dns);
}

static void *resolve_until_told(void *stop)
{
    long lookups = 0;
    while (!__atomic_load_n((int *)stop, __ATOMIC_SEQ_CST)) {
        struct addrinfo *list = NULL;
        if (rb_getaddrinfo_happy("dual.test", "80", NULL, &list, PATIENCE_MS) == 0) {
            freeaddrinfo(list);
            lookups++;
        }
    }
    return (void *)lookups;
}

/* A child that is forked at the very moment in which another thread is inside one of the short critical sections of
 * glibc's getaddrinfo (its copy of resolv.conf, its list of the machine's addresses) inherits a lock that nobody will
 * open, and no libc lookup of that child ends. The library forks in between lookups where it can; and where it cannot
 * (a thread that calls getaddrinfo itself, a machine so busy that a lookup takes longer than a fork waits) limits still
 * hold in the child, and what needs no libc lookup works. */
static void children_forked_amid_lookups_resolve_and_never_hang(void **state)
{
    enum { CHILDREN = 50, RESOLVED = 0, LIMIT_REACHED = 100 };
    pthread_t resolvers[2];
    int stop = 0, resolved = 0;
    void *lookups;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(resolvers); i++)
        pthread_create(&resolvers[i], NULL, resolve_until_told, &stop);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct addrinfo *list = NULL;
            int fd = init_inetsock_happy("127.0.0.1", service(port), NULL, NULL);
            CHILD_CHECK(fd >= 0);
            double began = now_ms();
            int code = rb_getaddrinfo_happy("dual.test", "80", NULL, &list, 1000);
            CHILD_CHECK(now_ms() - began < NOT_SOON_MS);
            if (code == 0)
                _exit(RESOLVED);
            CHILD_CHECK(code == EAI_SYSTEM && errno == ETIMEDOUT);
            _exit(LIMIT_REACHED);
        }
        int status = wait_for_child(child);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == RESOLVED || WEXITSTATUS(status) == LIMIT_REACHED);
        resolved += WEXITSTATUS(status) == RESOLVED;
    }
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < COUNT_OF(resolvers); i++) {
        pthread_join(resolvers[i], &lookups);
        assert_true((long)lookups > 0);
    }
    print_message("%d of %d children resolved\n", resolved, CHILDREN);
    assert_true(resolved > CHILDREN * 3 / 4);
    take_off_the_queues();
}

static void children_forked_right_after_a_connect_resolve(void **state)
{
    enum { CHILDREN = 100 };
    int resolved = 0;
    (void)state;
    for (int i = 0; i < CHILDREN; i++) {
        int fd = init_inetsock_happy("dual.test", service(port), NULL, NULL);
        pid_t child = fork();
        if (child == 0) {
            happy_options options = HAPPY_OPTIONS_INIT;
            options.open_timeout_ms = 5000;
            _exit(init_inetsock_happy("dual.test", service(port), &options, NULL) >= 0 ? 0 : 1);
        }
        check_socket(fd, false);
        close(fd);
        int status = wait_for_child(child);
        assert_true(WIFEXITED(status));
        resolved += WEXITSTATUS(status) == 0;
        take_off_the_queues();
    }
    print_message("%d of %d children resolved\n", resolved, CHILDREN);
    assert_true(resolved > CHILDREN * 9 / 10);
}

static void a_child_of_a_child_resolves(void **state)
{
    (void)state;
    assert_true(connects_here());
    pid_t child = fork();
    if (child == 0) {
        CHILD_CHECK(connects_here());
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(connects_here() ? 0 : 1);
        int status;
        CHILD_CHECK(waitpid(grandchild, &status, 0) == grandchild);
        CHILD_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        _exit(0);
    }
    check_child(child);
}

/* 0, 1 and 2 are ordinary descriptors: in a daemon that has closed them, the library's own get these numbers. */
static void works_with_descriptors_0_to_2_closed(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        close(0);
        close(1);
        close(2);
        CHILD_CHECK(init_inetsock_happy("127.0.0.1", service(port), NULL, NULL) == 0);
        close(0);
        happy_lookup *resolve = NULL;
        assert_int_equal(happy_lookup_new("dual.test", "80", NULL, -1, &resolve), HAPPY_OK);
        /* The wake-up comes first. */
        int watched = happy_lookup_get_fd(resolve);
        CHILD_CHECK(watched == 1);
        CHILD_CHECK(happy_lookup_start(resolve) == HAPPY_OK);
        CHILD_CHECK(wait_readable(watched, PATIENCE_MS));
        happy_lookup_unref(resolve);
        CHILD_CHECK(fcntl(0, F_GETFD) == -1 && fcntl(1, F_GETFD) == -1 && fcntl(2, F_GETFD) == -1);
        happy_connect *connect = NULL;
        CHILD_CHECK(happy_connect_new("dual.test", service(port), NULL, &connect, NULL) == HAPPY_OK);
        CHILD_CHECK(happy_connect_get_fd(connect) == 0);
        happy_connect_wait(connect);
        int fd = happy_connect_take_result(connect, NULL);
        /* libc has descriptors of its own open for a moment, so this may be any. */
        CHILD_CHECK(fd > 0);
        happy_connect_free(connect);
        close(fd);
        CHILD_CHECK(connects_here());
        _exit(0);
    }
    check_child(child);
}

static void works_with_2000_descriptors_open(void **state)
{
    enum { MANY = 2000 };
    static int fillers[MANY];
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < MANY + 100) {
        limit.rlim_cur = MANY + 100;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    for (int i = 0; i < MANY; i++) {
        fillers[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(fillers[i] >= 0);
    }
    happy_connect *connect = NULL;
    assert_int_equal(happy_connect_new("dual.test", service(port), NULL, &connect, NULL), HAPPY_OK);
    assert_true(happy_connect_get_fd(connect) > 1023);
    happy_connect_wait(connect);
    int fd = happy_connect_take_result(connect, NULL);
    check_socket(fd, false);
    assert_true(fd > 1023);
    close(fd);
    happy_connect_free(connect);
    assert_true(connects_here());
    for (int i = 0; i < MANY; i++)
        close(fillers[i]);
}

/* Where no descriptor can be had the connect fails with an error, and works again when there are some. */
static void runs_out_of_descriptors_and_recovers(void **state)
{
    struct rlimit before, none;
    static const char *const hosts[] = {"127.0.0.1", "dual.test"};
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct roomy_result roomy;
        clear_result(&roomy);
        wait_for_workers_to_leave();
        int next = dup(0);
        close(next);
        none = before;
        none.rlim_cur = (rlim_t)next;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        errno = 0;
        int fd = init_inetsock_happy(hosts[i], service(port), NULL, &roomy.result);
        int error = errno;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(fd, -1);
        if (error != EMFILE)
            fail_msg("%s: errno %d (%s), status %d, gai_error %d", hosts[i], error, strerror(error),
                     roomy.result.status, roomy.result.gai_error);
        assert_true(connects_here());
    }
}

/* No descriptor of the library crosses an exec. */
static void nothing_is_inherited_by_a_program_that_is_executed(void **state)
{
    happy_connect *connect = NULL;
    happy_lookup *resolve = NULL;
    assert_int_equal(happy_lookup_new("dual.test", "80", NULL, -1, &resolve), HAPPY_OK);
    (void)state;
    assert_int_equal(happy_connect_new("silent.test", service(port), NULL, &connect, NULL), HAPPY_OK);
    int fds[2] = {happy_connect_get_fd(connect), happy_lookup_get_fd(resolve)};
    for (int i = 0; i < 50 && happy_connect_dispatch(connect) == HAPPY_EAGAIN; i++)
        wait_readable(fds[0], 5);
    for (int fd = 3; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && !(flags & FD_CLOEXEC) && fd != servers[0] && fd != servers[1]) {
            char path[64], target[256] = "?";
            snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
            ssize_t length = readlink(path, target, sizeof target - 1);
            /* Pipes and files came from whoever started the test. */
            target[length > 0 ? length : 1] = '\0';
            if (strncmp(target, "socket:", 7) == 0 || strncmp(target, "anon_inode:", 11) == 0)
                fail_msg("descriptor %d (%s) is not close-on-exec", fd, target);
        }
    }
    happy_connect_free(connect);
    happy_lookup_unref(resolve);
}

static void *connect_many_times(void *failures)
{
    for (int i = 0; i < 100; i++) {
        int fd = init_inetsock_happy(i % 2 ? "dual.test" : "127.0.0.1", service(port), NULL, NULL);
        if (fd < 0)
            __atomic_add_fetch((int *)failures, 1, __ATOMIC_SEQ_CST);
        else
            close(fd);
    }
    return NULL;
}

static void many_threads_connect_at_once(void **state)
{
    pthread_t connectors[16];
    int failures = 0;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(connectors); i++)
        pthread_create(&connectors[i], NULL, connect_many_times, &failures);
    for (size_t i = 0; i < COUNT_OF(connectors); i++)
        pthread_join(connectors[i], NULL);
    assert_int_equal(failures, 0);
    take_off_the_queues();
}

static void *fail_to_connect(void *unused)
{
    (void)unused;
    const char *first = happy_error_message();
    if (*first != '\0')
        return "a thread begins with another thread's message";
    init_inetsock_happy("", "80", NULL, NULL);
    return strstr(happy_error_message(), "remote_host") ? NULL : "no message of its own";
}

static void messages_belong_to_their_thread(void **state)
{
    pthread_t thread;
    void *complaint;
    (void)state;
    init_inetsock_happy("127.0.0.1", "65536", NULL, NULL);
    pthread_create(&thread, NULL, fail_to_connect, NULL);
    pthread_join(thread, &complaint);
    if (complaint)
        fail_msg("%s", (const char *)complaint);
    assert_non_null(strstr(happy_error_message(), "remote_service"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fork_does_not_wait_for_lookups_and_the_child_resolves),
        cmocka_unit_test(objects_from_before_a_fork_say_so),
        cmocka_unit_test(children_forked_amid_lookups_resolve_and_never_hang),
        cmocka_unit_test(children_forked_right_after_a_connect_resolve),
        cmocka_unit_test(a_child_of_a_child_resolves),
        cmocka_unit_test(works_with_descriptors_0_to_2_closed),
        cmocka_unit_test(works_with_2000_descriptors_open),
        cmocka_unit_test(runs_out_of_descriptors_and_recovers),
        cmocka_unit_test(nothing_is_inherited_by_a_program_that_is_executed),
        cmocka_unit_test(many_threads_connect_at_once),
        cmocka_unit_test(messages_belong_to_their_thread),
    };
    return cmocka_run_group_tests(tests, start_servers, NULL);
}
