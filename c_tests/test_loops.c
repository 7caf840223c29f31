/* The examples of event loops, each a program of its own: 200 names at once, with a cancel in the middle. */
#define _GNU_SOURCE
#include "support.h"
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { CONNECTS = 200 };

/* Where this program is: the examples are beside it. */
static char directory[PATH_MAX];

static void run(const char *name)
{
    static const char *const hosts[] = {"dual.test", "four.test", "six.test", "localhost", "127.0.0.1"};
    char path[PATH_MAX + 32], output[4096] = "", expected[128];
    char *arguments[CONNECTS + 3] = {path};
    int fds[2], port, out[2], status;
    listen_on_both("::1", "127.0.0.1", fds, &port);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    arguments[1] = (char *)service(port);
    for (int i = 0; i < CONNECTS; i++)
        arguments[i + 2] = (char *)hosts[i % COUNT_OF(hosts)];
    /* The one that is cancelled would not end by itself. */
    arguments[CONNECTS + 1] = (char *)"silent.test";

    posix_spawn_file_actions_t actions;
    pid_t child;
    assert_int_equal(pipe(out), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    assert_int_equal(posix_spawn(&child, path, &actions, NULL, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    size_t length = 0;
    double until = now_ms() + PATIENCE_MS;
    while (length < sizeof output - 1 && wait_readable(out[0], (int)(until - now_ms()))) {
        ssize_t got = read(out[0], output + length, sizeof output - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    if (now_ms() >= until)
        kill(child, SIGKILL);
    close(out[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    snprintf(expected, sizeof expected, "%d connects ended once: %d connected, 1 cancelled\n", CONNECTS, CONNECTS - 1);
    assert_string_equal(output, expected);
    assert_int_equal(status, 0);
    close(fds[0]);
    close(fds[1]);
}

static void poll_loop(void **state)
{
    (void)state;
    run("poll_loop");
}

static void epoll_loop(void **state)
{
    (void)state;
    run("epoll_loop");
}

static void libuv_loop(void **state)
{
    (void)state;
    run("libuv_loop");
}

static void glib_loop(void **state)
{
    (void)state;
    run("glib_loop");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(poll_loop),
        cmocka_unit_test(epoll_loop),
        cmocka_unit_test(libuv_loop),
        cmocka_unit_test(glib_loop),
    };
    if (readlink("/proc/self/exe", directory, sizeof directory - 1) <= 0) {
        perror("/proc/self/exe");
        return 1;
    }
    *strrchr(directory, '/') = 0;
    return cmocka_run_group_tests_name("event loops", tests, NULL, NULL);
}
