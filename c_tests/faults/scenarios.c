#define _GNU_SOURCE
#include "scenarios.h"
#include "shim.h"

#include <happysock.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- Judging an answer ---------------------------------------------------------------------------------------------- */

/* The answer that a sound machine gives. */
struct expected {
    int status, gai_error, sys_errno;
};
static const struct expected connected = {HAPPY_OK, 0, 0};
static const struct expected cancelled = {HAPPY_ECANCELLED, 0, ECANCELED};
static const struct expected limit_reached = {HAPPY_ETIMEOUT, 0, ETIMEDOUT};
static const struct expected nobody_listens = {HAPPY_ESYSCALL, 0, ECONNREFUSED};
static const struct expected no_such_name = {HAPPY_ERESOLVE, EAI_NONAME, 0};

/* A descriptor that was handed over is a connected, blocking, close-on-exec socket to the server; closes it. */
static void judge_socket(int fd, struct report *report)
{
    int flags = fcntl(fd, F_GETFL), descriptor_flags = fcntl(fd, F_GETFD);
    if (flags == -1)
        complain(report, "the descriptor %d is not open", fd);
    else if (flags & O_NONBLOCK)
        complain(report, "the socket is non-blocking");
    else if (!(descriptor_flags & FD_CLOEXEC))
        complain(report, "the socket is not close-on-exec");
    if (flags != -1 && !server_answers(fd))
        complain(report, "the server does not answer on the socket");
}

/* Each result of a connect goes through here. `fd` is what the call returned, `error` its errno. */
static void judge_result(int fd, int error, const happy_result *result, struct expected expected, enum weather weather,
                         struct report *report)
{
    if ((fd >= 0) != (result->status == HAPPY_OK) || (fd >= 0 ? fd : -1) != result->fd)
        complain(report, "returned %d with status %d and fd %d", fd, result->status, result->fd);
    if (fd < 0 && error == 0)
        complain(report, "failed without errno, status %d", result->status);
    switch (result->status) {
    case HAPPY_OK:
        if (result->gai_error != 0 || result->sys_errno != 0)
            complain(report, "succeeded with gai_error %d, sys_errno %d", result->gai_error, result->sys_errno);
        judge_socket(fd, report);
        break;
    case HAPPY_ESYSCALL:
        if (result->sys_errno == 0 || result->syscall == NULL || result->gai_error != 0)
            complain(report, "HAPPY_ESYSCALL with sys_errno %d, syscall %s, gai_error %d", result->sys_errno,
                     result->syscall == NULL ? "NULL" : result->syscall, result->gai_error);
        break;
    case HAPPY_ERESOLVE:
        if (result->gai_error == 0 || (result->gai_error == EAI_SYSTEM) != (result->sys_errno != 0))
            complain(report, "HAPPY_ERESOLVE with gai_error %d, sys_errno %d", result->gai_error, result->sys_errno);
        break;
    case HAPPY_ETIMEOUT:
    case HAPPY_ECANCELLED:
        /* Nobody cancels unless the scenario does; a limit that was set may be reached when the way that answers fails. */
        if (result->status != expected.status && !(weather == FAULTY && result->limit != HAPPY_LIMIT_NONE))
            complain(report, "status %d, %s", result->status, happy_status_str(result->status));
        break;
    default:
        complain(report, "status %d is none that a race may end with", result->status);
    }
    if (weather != FAULTY && (result->status != expected.status || result->gai_error != expected.gai_error ||
                              result->sys_errno != expected.sys_errno))
        complain(report, "status %d, gai_error %d, sys_errno %d (%s), not %d, %d, %d", result->status, result->gai_error,
                 result->sys_errno, result->syscall == NULL ? "" : result->syscall, expected.status, expected.gai_error,
                 expected.sys_errno);
    /* Every attempt has exactly one outcome. */
    uint32_t winners = 0;
    for (uint32_t i = 0; i < result->attempts_count && i < result->attempts_capacity; i++) {
        const happy_attempt *attempt = &result->attempts[i];
        winners += attempt->outcome == HAPPY_OUTCOME_CONNECTED;
        if (attempt->outcome < HAPPY_OUTCOME_CONNECTED || attempt->outcome > HAPPY_OUTCOME_ABANDONED)
            complain(report, "attempt %u ended with outcome %d", i, attempt->outcome);
        if (attempt->outcome == HAPPY_OUTCOME_FAILED && (attempt->sys_errno == 0 || attempt->syscall == NULL))
            complain(report, "attempt %u failed without errno or system call", i);
    }
    if (winners != (result->status == HAPPY_OK))
        complain(report, "status %d with %u winners", result->status, winners);
}

/* An answer of getaddrinfo's kind; frees the list. */
static void judge_lookup(int answer, int error, struct addrinfo *list, int expected, int expected_errno, enum weather weather,
                         struct report *report)
{
    if (answer == 0) {
        if (list == NULL)
            complain(report, "succeeded without a list");
        int count = 0;
        for (const struct addrinfo *entry = list; entry != NULL; entry = entry->ai_next)
            count += entry->ai_addr != NULL && (entry->ai_family == AF_INET || entry->ai_family == AF_INET6);
        if (count != 2)
            complain(report, "%d addresses, not 2", count);
        if (list != NULL)
            freeaddrinfo(list);
    } else if (list != NULL) {
        complain(report, "ret_res was written with answer %d", answer);
    } else if (answer == EAI_SYSTEM && error == 0) {
        complain(report, "EAI_SYSTEM without errno");
    } else if (answer != EAI_SYSTEM && (answer < -104 || answer >= 0)) {
        complain(report, "answer %d is none of getaddrinfo's", answer);
    }
    if (weather != FAULTY && (answer != expected || (answer == EAI_SYSTEM && error != expected_errno)))
        complain(report, "answer %d (errno %d), not %d (%d)", answer, error, expected, expected_errno);
}

/* ---- Connects ------------------------------------------------------------------------------------------------------- */

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

/* A limit that is reached only where the one way that answers is made to fail; then it is waited for. */
static int32_t ample(enum weather weather)
{
    return weather == FAULTY ? 200 : 8000;
}

#define SCENARIO(name) static void name(const struct world *world, enum weather weather, struct report *report)

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
    blocking("stuck.test", world->live, &options, limit_reached, weather, report);
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
    happy_connect *connect = begin("stuck.test", world->live, NULL, report);
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
    connect = begin("stuck.test", world->live, NULL, report);
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
    double end = seconds_now() + 5;
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

/* ---- Lookups -------------------------------------------------------------------------------------------------------- */

static const struct addrinfo stream = {.ai_socktype = SOCK_STREAM};

SCENARIO(getaddrinfo_without_limit)
{
    (void)world;
    struct addrinfo *list = NULL;
    errno = 0;
    int answer = rb_getaddrinfo_happy("dual.test", "80", &stream, &list, -1);
    judge_lookup(answer, errno, list, 0, 0, weather, report);
}

SCENARIO(getaddrinfo_in_time)
{
    (void)world;
    struct addrinfo *list = NULL;
    errno = 0;
    int answer = rb_getaddrinfo_happy("dual.test", "80", &stream, &list, 60000);
    judge_lookup(answer, errno, list, 0, 0, weather, report);
}

SCENARIO(getaddrinfo_too_late)
{
    (void)world;
    struct addrinfo *list = NULL;
    errno = 0;
    int answer = rb_getaddrinfo_happy("stuck.test", "80", &stream, &list, 10);
    judge_lookup(answer, errno, list, EAI_SYSTEM, ETIMEDOUT, weather, report);
    lookups_release();
}

/* Until a worker is inside the lookup, so that its answer comes too late; a fault may have kept it from getting there. */
static void wait_until_running(enum weather weather, struct report *report)
{
    double end = seconds_now() + (weather == FAULTY ? 0.02 : 5);
    while (lookups_running() == 0 && seconds_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    if (weather != FAULTY && lookups_running() == 0)
        complain(report, "the lookup is not taken up");
}

static void take_lookup(happy_lookup *lookup, int expected, int expected_errno, enum weather weather, struct report *report)
{
    struct addrinfo *list = NULL, *again = NULL;
    errno = 0;
    int answer = happy_lookup_take_result(lookup, &list);
    judge_lookup(answer, errno, list, expected, expected_errno, weather, report);
    answer = happy_lookup_take_result(lookup, &again);
    if (answer != HAPPY_ESTATE || again != NULL)
        complain(report, "a second answer, %d", answer);
    happy_lookup_unref(lookup);
}

/* A lookup that was started; NULL if it could not be, which is documented for a fault. */
static happy_lookup *start_lookup(const char *name, enum weather weather, struct report *report)
{
    happy_lookup *lookup = NULL;
    happy_lookup_new(name, "80", &stream, -1, &lookup);
    if (lookup == NULL) {
        complain(report, "happy_lookup_new: errno %d", errno);
        return NULL;
    }
    errno = 0;
    int status = happy_lookup_start(lookup);
    if (status == HAPPY_OK)
        return lookup;
    if (weather != FAULTY || status != HAPPY_ESYSCALL || errno != EAGAIN)
        complain(report, "happy_lookup_start answers %d, errno %d", status, errno);
    happy_lookup_unref(lookup);
    return NULL;
}

SCENARIO(lookup_waited_for)
{
    (void)world;
    happy_lookup *lookup = start_lookup("slow.test", weather, report);
    if (lookup == NULL)
        return;
    happy_lookup_wait(lookup);
    take_lookup(lookup, 0, 0, weather, report);
}

SCENARIO(lookup_polled)
{
    (void)world;
    happy_lookup *lookup = start_lookup("slow.test", weather, report);
    if (lookup == NULL)
        return;
    int fd = happy_lookup_get_fd(lookup);
    if (fd == -1) {
        if (weather != FAULTY || errno == 0)
            complain(report, "happy_lookup_get_fd: errno %d", errno);
        happy_lookup_wait(lookup);
    } else {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready;
        do
            ready = poll(&wait, 1, 5000);
        while (ready == -1 && errno == EINTR);
        if (ready != 1)
            complain(report, "the descriptor does not become readable");
    }
    take_lookup(lookup, 0, 0, weather, report);
}

SCENARIO(lookup_cancelled)
{
    (void)world;
    happy_lookup *lookup = start_lookup("stuck.test", weather, report);
    if (lookup == NULL)
        return;
    happy_lookup_get_fd(lookup);
    wait_until_running(weather, report);
    happy_lookup_cancel(lookup);
    happy_lookup_wait(lookup);
    take_lookup(lookup, EAI_SYSTEM, ECANCELED, weather == FAULTY ? FAULTY : weather, report);
    lookups_release();
}

SCENARIO(lookup_abandoned)
{
    (void)world;
    happy_lookup *lookup = start_lookup("stuck.test", weather, report);
    happy_lookup_get_fd(lookup);
    if (lookup != NULL)
        wait_until_running(weather, report);
    happy_lookup_unref(lookup);
    lookups_release();
}

/* ---- Many connects -------------------------------------------------------------------------------------------------- */

/* One connect of a handle: what it should come to, and what it did. */
struct entry {
    struct expected expected;
    enum weather weather;
    struct report *report;
    int done;
};

static void entry_done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct entry *entry = userdata;
    (void)multi, (void)id;
    if (++entry->done > 1)
        complain(entry->report, "a done callback was called %d times", entry->done);
    judge_result(result->fd, 1, result, entry->expected, entry->weather, entry->report);
}

#define ENTRIES 3

/* A handle for one that connects, one that does after a while, one that fails. NULL if there is none, which is documented for a fault. */
static happy_multi *fill(struct entry *entries, enum weather weather, struct report *report)
{
    errno = 0;
    happy_multi *multi = NULL;
    if (happy_multi_new(&multi) != HAPPY_OK) {
        if (weather != FAULTY || errno == 0)
            complain(report, "happy_multi_new: errno %d", errno);
        return NULL;
    }
    entries[0] = (struct entry){connected, weather, report, 0};
    entries[1] = (struct entry){connected, weather, report, 0};
    entries[2] = (struct entry){nobody_listens, weather, report, 0};
    return multi;
}

static void add_entries(happy_multi *multi, struct entry *entries, const struct world *world, struct report *report)
{
    happy_options patient = HAPPY_OPTIONS_INIT;
    patient.connection_attempt_delay_ms = 10;
    patient.open_timeout_ms = ample(entries->weather);
    const char *hosts[ENTRIES] = {"dual.test", "dual.test", "127.0.0.1"};
    const char *ports[ENTRIES] = {world->live, world->v6_silent, world->refused};
    for (int i = 0; i < ENTRIES; i++) {
        uint64_t id = 0;
        int status = happy_multi_add(multi, hosts[i], ports[i], i == 1 ? &patient : NULL, entry_done, &id, NULL, &entries[i]);
        if (status != HAPPY_OK || id == 0)
            complain(report, "happy_multi_add answers %d", status);
        if (entries[i].done != 0)
            complain(report, "done was called from inside happy_multi_add");
    }
}

static void all_done(const struct entry *entries, struct report *report)
{
    for (int i = 0; i < ENTRIES; i++)
        if (entries[i].done != 1)
            complain(report, "connect %d had %d completions", i, entries[i].done);
}

SCENARIO(multi_waited_for)
{
    struct entry entries[ENTRIES];
    happy_multi *multi = fill(entries, weather, report);
    if (multi == NULL)
        return;
    add_entries(multi, entries, world, report);
    int left = 1, status = HAPPY_OK;
    while (left > 0 && status == HAPPY_OK)
        status = happy_multi_wait(multi, -1, &left);
    if (status != HAPPY_OK)
        complain(report, "happy_multi_wait answers %d", status);
    all_done(entries, report);
    happy_multi_free(multi);
}

SCENARIO(multi_polled)
{
    struct entry entries[ENTRIES];
    happy_multi *multi = fill(entries, weather, report);
    if (multi == NULL)
        return;
    int fd = happy_multi_get_fd(multi);
    if (fd < 0)
        complain(report, "happy_multi_get_fd: errno %d", errno);
    add_entries(multi, entries, world, report);
    int left = 1;
    while (fd >= 0 && left > 0) {
        /* The one descriptor says it all: there is no other limit to this wait. */
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        poll(&wait, 1, -1);
        int status = happy_multi_dispatch(multi, &left);
        if (status != HAPPY_OK) {
            complain(report, "happy_multi_dispatch answers %d", status);
            break;
        }
    }
    all_done(entries, report);
    happy_multi_free(multi);
}

/* A loop of the caller's: what it watches, and until when it sleeps. */
struct loop {
    struct pollfd watched[16];
    int count;
    double timer; /* in the seconds of seconds_now(), or -1 */
    struct report *report;
};

static void loop_watch(happy_multi *multi, int fd, int what, void *socket_data, void *userdata)
{
    struct loop *loop = userdata;
    (void)multi, (void)socket_data;
    if (fcntl(fd, F_GETFD) == -1)
        complain(loop->report, "the socket callback is told of descriptor %d, which is not open", fd);
    int place = 0;
    while (place < loop->count && loop->watched[place].fd != fd)
        place++;
    if (what == HAPPY_POLL_REMOVE) {
        if (place == loop->count)
            complain(loop->report, "descriptor %d is removed but was not watched", fd);
        else
            loop->watched[place] = loop->watched[--loop->count];
        return;
    }
    if (place == loop->count)
        loop->count++;
    loop->watched[place] = (struct pollfd){.fd = fd,
                                           .events = (short)((what & HAPPY_POLL_IN ? POLLIN : 0) |
                                                             (what & HAPPY_POLL_OUT ? POLLOUT : 0))};
}

static void loop_timer(happy_multi *multi, int timeout_ms, void *userdata)
{
    (void)multi;
    ((struct loop *)userdata)->timer = timeout_ms < 0 ? -1 : seconds_now() + timeout_ms / 1e3;
}

SCENARIO(multi_by_socket_action)
{
    struct entry entries[ENTRIES];
    happy_multi *multi = fill(entries, weather, report);
    if (multi == NULL)
        return;
    struct loop loop = {.timer = -1, .report = report};
    if (happy_multi_set_socket_callback(multi, loop_watch, &loop) != HAPPY_OK ||
        happy_multi_set_timer_callback(multi, loop_timer, &loop) != HAPPY_OK)
        complain(report, "a callback is refused");
    add_entries(multi, entries, world, report);
    int left = 1;
    while (left > 0 && report->message[0] == '\0') {
        struct pollfd ready[16];
        int count = loop.count, timeout_ms = -1;
        if (loop.timer >= 0) {
            double time = loop.timer - seconds_now();
            timeout_ms = time > 0 ? (int)(time * 1e3) + 1 : 0;
        }
        memcpy(ready, loop.watched, sizeof ready);
        int found = poll(ready, (nfds_t)count, timeout_ms);
        if (loop.timer >= 0 && seconds_now() >= loop.timer) {
            loop.timer = -1;
            happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, &left);
        }
        for (int i = 0; i < count && found > 0; i++)
            if (ready[i].revents != 0)
                happy_multi_socket_action(multi, ready[i].fd, 0, &left);
    }
    all_done(entries, report);
    happy_multi_free(multi);
    if (loop.count != 0)
        complain(report, "%d descriptors are still watched", loop.count);
}

SCENARIO(multi_cancelled_and_freed)
{
    struct entry entries[ENTRIES];
    happy_multi *multi = fill(entries, weather, report);
    if (multi == NULL)
        return;
    const char *hosts[ENTRIES] = {"stuck.test", "::1", "127.0.0.1"};
    uint64_t ids[ENTRIES];
    for (int i = 0; i < ENTRIES; i++) {
        entries[i].expected = cancelled;
        happy_multi_add(multi, hosts[i], world->silent, NULL, entry_done, &ids[i], NULL, &entries[i]);
    }
    happy_multi_wait(multi, 1, NULL);
    /* What a fault has ended already is not there to be cancelled. */
    int status = happy_multi_cancel(multi, ids[1]);
    if (status != HAPPY_OK && !(weather == FAULTY && status == HAPPY_ENOENT))
        complain(report, "happy_multi_cancel answers %d", status);
    if (entries[1].done != 1 || happy_multi_cancel(multi, ids[1]) != HAPPY_ENOENT)
        complain(report, "a connect that was cancelled is still there");
    happy_multi_free(multi);
    all_done(entries, report);
    lookups_release();
}

#define ENTRY(name, second_way) {#name, name, second_way}
const struct scenario scenarios[] = {
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
    ENTRY(getaddrinfo_without_limit, false),
    ENTRY(getaddrinfo_in_time, false),
    ENTRY(getaddrinfo_too_late, false),
    ENTRY(lookup_waited_for, false),
    ENTRY(lookup_polled, false),
    ENTRY(lookup_cancelled, false),
    ENTRY(lookup_abandoned, false),
    ENTRY(multi_waited_for, false),
    ENTRY(multi_polled, false),
    ENTRY(multi_by_socket_action, false),
    ENTRY(multi_cancelled_and_freed, false),
};
const size_t scenarios_count = sizeof scenarios / sizeof *scenarios;
