/* The scenarios of one connect. */
#define _GNU_SOURCE
#include "answers.h"
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static void blocking(const char *host, const char *port, const happy_options *options, struct expected expected,
                     enum weather weather, struct report *report)
{
    happy_attempt attempts[8];
    happy_result result = HAPPY_RESULT_INIT;
    result.attempts = attempts;
    result.attempts_capacity = 8;
    errno = 0;
    int fd = init_inetsock_happy(host, port, options, &result);
    judge_result(fd, errno, &result, expected, weather, report);
}

/* Takes the result of a connect that must be finished, and again, which must say that it is gone; frees the connect. */
static void take(happy_connect *connect, struct expected expected, enum weather weather, struct report *report)
{
    happy_attempt attempts[8];
    happy_result result = HAPPY_RESULT_INIT, again = HAPPY_RESULT_INIT;
    result.attempts = attempts;
    result.attempts_capacity = 8;
    errno = 0;
    int fd = happy_connect_take_result(connect, &result);
    judge_result(fd, errno, &result, expected, weather, report);
    if (happy_connect_take_result(connect, &again) != -1 || again.status != HAPPY_ESTATE)
        complain(report, "a second completion, status %d", again.status);
    happy_connect_free(connect);
}

static happy_connect *begin(const char *host, const char *port, const happy_options *options, struct report *report)
{
    happy_connect *connect = NULL;
    int status = happy_connect_new(host, port, options, &connect, NULL);
    if (status != HAPPY_OK || connect == NULL)
        complain(report, "happy_connect_new answers %d: %s", status, happy_error_message());
    return connect;
}

/* Drives a connect from a loop of the caller's; with happy_connect_wait if it gets no descriptor. */
static void drive(happy_connect *connect)
{
    int set = happy_connect_get_fd(connect);
    if (set == -1) {
        happy_connect_wait(connect);
        return;
    }
    while (happy_connect_dispatch(connect) == HAPPY_EAGAIN) {
        struct pollfd wait = {.fd = set, .events = POLLIN};
        poll(&wait, 1, happy_connect_get_timeout_ms(connect));
    }
}

SCENARIO(literal)
{
    blocking("127.0.0.1", world->live, NULL, connected, weather, report);
}

SCENARIO(by_name)
{
    blocking("dual.test", world->live, NULL, connected, weather, report);
}

SCENARIO(v6_refused)
{
    blocking("dual.test", world->v6_refused, NULL, connected, weather, report);
}

SCENARIO(v6_silent)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.connection_attempt_delay_ms = 10;
    options.open_timeout_ms = ample(weather);
    blocking("dual.test", world->v6_silent, &options, connected, weather, report);
}

SCENARIO(all_refused)
{
    blocking("dual.test", world->refused, NULL, nobody_listens, weather, report);
}

SCENARIO(local_address)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.local_host = "127.0.0.1";
    blocking("dual.test", world->live, &options, connected, weather, report);
}

SCENARIO(one_after_the_other)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.flags = HAPPY_FLAG_NO_FAST_FALLBACK;
    options.connect_timeout_ms = weather == FAULTY ? 10 : 50;
    blocking("dual.test", world->v6_silent, &options, connected, weather, report);
}

SCENARIO(open_timeout)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.open_timeout_ms = 20;
    options.connection_attempt_delay_ms = 10;
    blocking("dual.test", world->silent, &options, limit_reached, weather, report);
}

SCENARIO(resolv_timeout)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.resolv_timeout_ms = 10;
    blocking(stuck_name(), world->live, &options, limit_reached, weather, report);
    lookups_release();
}

SCENARIO(unresolved)
{
    blocking("none.test", world->live, NULL, no_such_name, weather, report);
}

SCENARIO(from_a_loop)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.connection_attempt_delay_ms = 10;
    options.open_timeout_ms = ample(weather);
    happy_connect *connect = begin("dual.test", world->v6_silent, &options, report);
    if (connect == NULL)
        return;
    drive(connect);
    take(connect, connected, weather, report);
}

SCENARIO(descriptor_of_a_running_race)
{
    /* The sockets are there before the descriptor is. */
    happy_options options = HAPPY_OPTIONS_INIT;
    options.open_timeout_ms = 20;
    options.connection_attempt_delay_ms = 10;
    happy_connect *connect = begin("::1", world->silent, &options, report);
    if (connect == NULL)
        return;
    happy_connect_dispatch(connect);
    drive(connect);
    take(connect, limit_reached, weather, report);
}

SCENARIO(cancelled_by_a_thread)
{
    happy_connect *connect = begin("dual.test", world->silent, NULL, report);
    if (connect == NULL)
        return;
    pthread_t waiter;
    if (pthread_create(&waiter, NULL, happy_connect_wait_callback, connect) != 0) {
        complain(report, "the test has no thread");
        return;
    }
    happy_connect_cancel(connect);
    pthread_join(waiter, NULL);
    take(connect, cancelled, weather, report);
}

SCENARIO(interrupted_and_resumed)
{
    happy_connect *connect = begin(stuck_name(), world->live, NULL, report);
    if (connect == NULL)
        return;
    happy_connect_interrupt(connect);
    happy_connect_wait(connect);
    happy_result result = HAPPY_RESULT_INIT;
    if (happy_connect_take_result(connect, &result) != -1 || (weather == FINE && result.status != HAPPY_EAGAIN))
        complain(report, "after the interrupt: status %d", result.status);
    if (result.status == HAPPY_EAGAIN) {
        lookups_release();
        happy_connect_wait(connect);
        take(connect, connected, weather, report);
    } else {
        judge_result(-1, errno, &result, connected, weather, report);
        happy_connect_free(connect);
        lookups_release();
    }
}

SCENARIO(freed_while_running)
{
    (void)weather;
    happy_connect *connect = begin("dual.test", world->silent, NULL, report);
    if (connect == NULL)
        return;
    happy_connect_dispatch(connect);
    happy_connect_get_fd(connect);
    happy_connect_free(connect);
    connect = begin(stuck_name(), world->live, NULL, report);
    if (connect == NULL)
        return;
    happy_connect_dispatch(connect);
    happy_connect_free(connect);
    lookups_release();
}

/* A lookup function, a hook and a userdata of the caller's. */
struct hooks {
    atomic_int lookups, lists, sockets, frees;
};

static int hooked_lookup(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_res,
                         void *userdata)
{
    struct hooks *hooks = userdata;
    (void)node;
    hooks->lookups++;
    struct addrinfo numeric = *hints;
    numeric.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    int answer = getaddrinfo(hints->ai_family == AF_INET6 ? "::1" : "127.0.0.1", service, &numeric, ret_res);
    hooks->lists += answer == 0;
    return answer;
}

static void hooked_lookup_free(struct addrinfo *list, void *userdata)
{
    struct hooks *hooks = userdata;
    hooks->lists--;
    freeaddrinfo(list);
}

static int hooked_configure(int fd, const struct sockaddr *address, socklen_t length, void *userdata)
{
    struct hooks *hooks = userdata;
    (void)address, (void)length;
    hooks->sockets++;
    return fcntl(fd, F_GETFD) == -1 ? EBADF : 0;
}

static void hooked_userdata_free(void *userdata)
{
    ((struct hooks *)userdata)->frees++;
}

SCENARIO(own_lookup)
{
    /* Not on the stack: a late worker may still write. */
    struct hooks *hooks = calloc(1, sizeof *hooks);
    happy_options options = HAPPY_OPTIONS_INIT;
    options.lookup = hooked_lookup;
    options.lookup_free = hooked_lookup_free;
    options.configure_socket = hooked_configure;
    options.userdata = hooks;
    options.userdata_free = hooked_userdata_free;
    blocking("a.name", world->live, &options, connected, weather, report);
    double end = seconds_now() + 20;
    while (hooks->frees == 0 && seconds_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    if (hooks->frees != 1)
        complain(report, "userdata_free was called %d times", hooks->frees);
    if (hooks->lists != 0)
        complain(report, "%d lists of the lookup function were not freed", hooks->lists);
    if (weather != FAULTY && (hooks->lookups < 1 || hooks->lookups > 2 || hooks->sockets < 1))
        complain(report, "%d lookups, %d sockets", hooks->lookups, hooks->sockets);
    if (hooks->frees == 1)
        free(hooks);
}

static const struct scenario scenarios[] = {
    ENTRY(literal, false),
    ENTRY(by_name, true),
    ENTRY(v6_refused, false),
    ENTRY(v6_silent, false),
    ENTRY(all_refused, false),
    ENTRY(local_address, false),
    ENTRY(one_after_the_other, false),
    ENTRY(open_timeout, false),
    ENTRY(resolv_timeout, false),
    ENTRY(unresolved, false),
    ENTRY(from_a_loop, false),
    ENTRY(descriptor_of_a_running_race, false),
    ENTRY(cancelled_by_a_thread, false),
    ENTRY(interrupted_and_resumed, false),
    ENTRY(freed_while_running, false),
    ENTRY(own_lookup, true),
};
const struct scenario_group connect_scenarios = {scenarios, sizeof scenarios / sizeof *scenarios};
