/* Cancel storm: cancels at random moments over lookups, connects and the multi handle, from other threads and from signal handlers,
 * beside threads that open and close descriptors all the time and look for bytes that nobody of theirs has written.
 *
 * With -DOWN_CLIENT it leaves libc's lookup functions alone, and the library looks the names up by itself, from the tests' name
 * server; it is then run in the network of scripts/in-test-network. The lookups are waited for, dispatched, watched and cancelled
 * by several threads at once.
 *
 * Made to be run under ThreadSanitizer and AddressSanitizer. It is linked with the static library and brings its own getaddrinfo.
 *
 *   cancel_storm [--cancels N] [--seed N] */
#define _GNU_SOURCE
#include "hostent.h"
#include "world.h"
#ifdef OWN_CLIENT
#include "../name_server.h"
#endif

#include <happysock.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static struct world world;
static atomic_long cancels, cancels_wanted = 100000, connects, lookups, multis;
static atomic_long answered, cancelled, abandoned, opened;
static atomic_bool over, workers_gone;

static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;
static struct report report;

#define COMPLAIN(...) \
    do { \
        pthread_mutex_lock(&report_lock); \
        complain(&report, __VA_ARGS__); \
        pthread_mutex_unlock(&report_lock); \
        over = true; \
    } while (0)

static _Thread_local uint64_t random_state;

static unsigned chance(unsigned below)
{
    return (unsigned)(random_next(&random_state) >> 33) % below;
}

static void pause_at_random(unsigned most_us)
{
    unsigned us = chance(most_us);
    if (us > 5)
        nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

#ifdef OWN_CLIENT

/* At once, by TCP, among junk, and never: those end by a limit or by a cancel. */
static const char *random_host(char *buffer, size_t size)
{
    const char *names[] = {"both", "tc", "junk", "both", "silence", "stall"};
    snprintf(buffer, size, "%s%u.test", names[chance(6)], chance(4));
    return buffer;
}

#else

/* ---- Lookups that take their time ------------------------------------------------------------------------------------ */

/* Instead of libc's: the host says how many microseconds to take. Every answer is the loopback. */
static bool take_time(const char *node)
{
    if (node == NULL || strncmp(node, "after-", 6) != 0)
        return false;
    long us = atol(node + 6);
    if (us > 0)
        nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
    return true;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
    static _Atomic(void *) next;
    if (next == NULL)
        next = dlsym(RTLD_NEXT, "getaddrinfo");
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))next;
    if (!take_time(node))
        return real(node, service, hints, ret_list);
    struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    return real(hints != NULL && hints->ai_family == AF_INET6 ? "::1" : "127.0.0.1", service, &numeric, ret_list);
}

int gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer, size_t size, struct hostent **ret_host,
                     int *ret_host_error)
{
    if (!take_time(name))
        abort(); /* No other name is used here. */
    return loopback_hostent(family, host, buffer, size, ret_host, ret_host_error);
}

static const char *random_host(char *buffer, size_t size)
{
    snprintf(buffer, size, "after-%u", chance(4) == 0 ? 0 : chance(2000));
    return buffer;
}

#endif

/* ---- What is cancelled ---------------------------------------------------------------------------------------------- */

/* A thread's present object, for the cancellers: alive as long as it is here. */
struct slot {
    pthread_mutex_t lock;
    happy_lookup *lookup;
    happy_connect *connect;
    happy_multi *multi;
    pthread_t thread;
    _Atomic(happy_lookup *) for_handler;
};
#define SLOTS 12
static struct slot slots[SLOTS];
static _Thread_local struct slot *own;

static void cancel_from_handler(int number)
{
    (void)number;
    int error = errno;
    happy_lookup *lookup = own == NULL ? NULL : own->for_handler;
    if (lookup != NULL) {
        happy_lookup_cancel(lookup);
        cancels++;
    }
    errno = error;
}

static void look_up(struct slot *slot)
{
    char host[32];
    happy_lookup *lookup = NULL;
    happy_lookup_new(random_host(host, sizeof host), "80", NULL, chance(8) == 0 ? (int)chance(3) : -1, &lookup);
    if (lookup == NULL) {
        COMPLAIN("happy_lookup_new: %s", happy_error_message());
        return;
    }
    if (chance(2))
        happy_lookup_get_fd(lookup);
    pthread_mutex_lock(&slot->lock);
    slot->lookup = lookup;
    pthread_mutex_unlock(&slot->lock);
    slot->for_handler = lookup;
    int status = happy_lookup_start(lookup);
    if (status != HAPPY_OK)
        COMPLAIN("happy_lookup_start answers %d", status);
    /* Some are abandoned as they are. */
    bool taken = chance(4) != 0;
    if (taken) {
        struct addrinfo *list = NULL;
        happy_lookup_wait(lookup);
        int answer = happy_lookup_take_result(lookup, &list), error = errno;
        if (answer == 0) {
            answered++;
            freeaddrinfo(list);
        } else if (answer == EAI_SYSTEM && (error == ECANCELED || error == ETIMEDOUT)) {
            cancelled++;
        } else {
            COMPLAIN("a lookup answers %d, errno %d", answer, error);
        }
        if (happy_lookup_take_result(lookup, &list) != HAPPY_ESTATE)
            COMPLAIN("a lookup answers twice");
    } else {
        abandoned++;
    }
    slot->for_handler = NULL;
    pthread_mutex_lock(&slot->lock);
    slot->lookup = NULL;
    pthread_mutex_unlock(&slot->lock);
    happy_lookup_unref(lookup);
    lookups++;
}

static int configure(int fd, const struct sockaddr *address, socklen_t length, void *userdata)
{
    (void)fd, (void)address, (void)length;
    ++*(atomic_int *)userdata;
    return 0;
}

static void count_free(void *userdata)
{
    (void)userdata;
}

static void random_options(happy_options *options)
{
    options->connection_attempt_delay_ms = 10;
    options->resolution_delay_ms = (int)chance(3);
    if (chance(4) == 0)
        options->open_timeout_ms = (int)chance(5);
}

static const char *random_port(void)
{
    const char *ports[] = {world.live, world.v6_refused, world.refused, world.v6_silent, world.silent};
    return ports[chance(5)];
}

static void judge_result(const happy_result *result)
{
    switch (result->status) {
    case HAPPY_OK: {
        /* Reset, so that the storm leaves no TIME_WAIT. */
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        if (setsockopt(result->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == -1 || close(result->fd) == -1)
            COMPLAIN("the winner's descriptor %d: %s", result->fd, strerror(errno));
        answered++;
        break;
    }
    case HAPPY_ECANCELLED:
    case HAPPY_ETIMEOUT:
        cancelled++;
        break;
    case HAPPY_ESYSCALL:
        if (result->sys_errno == ECONNREFUSED) {
            answered++;
            break;
        }
        /* fall through */
    default:
        COMPLAIN("status %d, gai_error %d, errno %d (%s)", result->status, result->gai_error, result->sys_errno,
                 result->syscall == NULL ? "" : result->syscall);
    }
}

static void connect_once(struct slot *slot)
{
    char host[32];
    happy_options options = HAPPY_OPTIONS_INIT;
    atomic_int sockets = 0;
    random_options(&options);
    options.configure_socket = configure;
    options.userdata = &sockets;
    options.userdata_free = count_free;
    happy_connect *connect = NULL;
    if (happy_connect_new(random_host(host, sizeof host), random_port(), &options, &connect, NULL) != HAPPY_OK) {
        COMPLAIN("happy_connect_new: %s", happy_error_message());
        return;
    }
    pthread_mutex_lock(&slot->lock);
    slot->connect = connect;
    pthread_mutex_unlock(&slot->lock);
    unsigned way = chance(8);
    if (way < 4) {
        /* An interrupt ends a wait, not the race. A race that nobody cancels has to end some time. */
        happy_result result = {.size = sizeof result};
        for (int rounds = 0;; rounds++) {
            happy_connect_wait(connect);
            happy_connect_take_result(connect, &result);
            if (result.status != HAPPY_EAGAIN)
                break;
            if (rounds > 3 || over)
                happy_connect_cancel(connect);
        }
        judge_result(&result);
    } else if (way < 7) {
        int set = happy_connect_get_fd(connect);
        while (happy_connect_dispatch(connect) == HAPPY_EAGAIN) {
            struct pollfd wait = {.fd = set, .events = POLLIN};
            int limit = happy_connect_get_timeout_ms(connect);
            if (poll(&wait, 1, limit < 0 || limit > 20 ? 20 : limit) == 0 && over)
                happy_connect_cancel(connect);
        }
        happy_result result = HAPPY_RESULT_INIT;
        happy_connect_take_result(connect, &result);
        judge_result(&result);
    } else {
        happy_connect_dispatch(connect);
        pause_at_random(500);
        abandoned++;
    }
    pthread_mutex_lock(&slot->lock);
    slot->connect = NULL;
    pthread_mutex_unlock(&slot->lock);
    happy_connect_free(connect);
    connects++;
}

#define MULTI_CONNECTS 16
struct many {
    uint64_t ids[MULTI_CONNECTS];
    int done[MULTI_CONNECTS];
    bool cancel_in_callback;
};

struct one {
    struct many *many;
    int place;
};

static void multi_done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct one *one = userdata;
    struct many *many = one->many;
    if (id != many->ids[one->place])
        COMPLAIN("done for connect %llu, not %llu", (unsigned long long)id, (unsigned long long)many->ids[one->place]);
    if (++many->done[one->place] != 1)
        COMPLAIN("a done callback was called twice");
    judge_result(result);
    if (chance(4) == 0) {
        cancels += happy_multi_cancel(multi, many->ids[chance(MULTI_CONNECTS)]) == HAPPY_OK;
    }
}

static void multi_once(struct slot *slot)
{
    char host[32];
    struct many many = {0};
    struct one one[MULTI_CONNECTS];
    happy_multi *multi = NULL;
    if (happy_multi_new(&multi) != HAPPY_OK) {
        COMPLAIN("happy_multi_new: %s", happy_error_message());
        return;
    }
    pthread_mutex_lock(&slot->lock);
    slot->multi = multi;
    pthread_mutex_unlock(&slot->lock);
    if (chance(2))
        happy_multi_get_fd(multi);
    if (chance(4) == 0)
        happy_multi_set_max_attempts(multi, 1 + chance(4));
    for (int i = 0; i < MULTI_CONNECTS; i++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        random_options(&options);
        one[i] = (struct one){&many, i};
        if (happy_multi_add(multi, random_host(host, sizeof host), random_port(), &options, multi_done, &many.ids[i], NULL, &one[i]) != HAPPY_OK)
            COMPLAIN("happy_multi_add: %s", happy_error_message());
        if (chance(8) == 0)
            happy_multi_wait(multi, 0, NULL);
        if (chance(4) == 0)
            cancels += happy_multi_cancel(multi, many.ids[chance((unsigned)i + 1)]) == HAPPY_OK;
    }
    int left = 1;
    for (unsigned i = chance(40); i > 0 && left > 0; i--) {
        if (happy_multi_wait(multi, 1, &left) != HAPPY_OK)
            COMPLAIN("happy_multi_wait: %s", happy_error_message());
        if (chance(2))
            cancels += happy_multi_cancel(multi, many.ids[chance(MULTI_CONNECTS)]) == HAPPY_OK;
    }
    pthread_mutex_lock(&slot->lock);
    slot->multi = NULL;
    pthread_mutex_unlock(&slot->lock);
    /* Each connect that is left is cancelled by this. */
    cancels += left;
    happy_multi_free(multi);
    for (int i = 0; i < MULTI_CONNECTS; i++)
        if (many.done[i] != 1)
            COMPLAIN("a connect of a multi handle had %d completions", many.done[i]);
    multis++;
}

struct start {
    size_t place;
    uint64_t seed;
};

static void *work(void *argument)
{
    struct start *start = argument;
    struct slot *slot = &slots[start->place];
    random_state = start->seed;
    own = slot;
    while (!over) {
        /* A third of the threads each. */
        switch (start->place % 3) {
        case 0:
            look_up(slot);
            break;
        case 1:
            connect_once(slot);
            break;
        default:
            multi_once(slot);
        }
    }
    return NULL;
}

/* ---- Who cancels ---------------------------------------------------------------------------------------------------- */

static void *cancel(void *argument)
{
    struct start *start = argument;
    random_state = start->seed;
    /* To the end: a connect that nobody answers ends by a cancel alone. */
    while (!workers_gone) {
        struct slot *slot = &slots[chance(SLOTS)];
        happy_lookup *lookup = NULL;
        pthread_mutex_lock(&slot->lock);
        if (slot->connect != NULL) {
            if (chance(4) == 0) {
                happy_connect_interrupt(slot->connect);
            } else {
                happy_connect_cancel(slot->connect);
                cancels++;
            }
        }
        if (slot->multi != NULL)
            happy_multi_wakeup(slot->multi);
        if (slot->lookup != NULL) {
            if (chance(4) == 0)
                pthread_kill(slot->thread, SIGUSR1);
            else
                lookup = happy_lookup_ref(slot->lookup);
        }
        pthread_mutex_unlock(&slot->lock);
        if (lookup != NULL) {
            /* A reference of its own: nothing else keeps the lookup alive now. */
            pause_at_random(100);
#ifdef OWN_CLIENT
            /* Beside the thread whose lookup it is: that one is told of the answer once, whoever drives it there. */
            happy_lookup_get_fd(lookup);
            happy_lookup_dispatch(lookup);
            happy_lookup_get_timeout_ms(lookup);
            pause_at_random(1000);
            happy_lookup_get_source(lookup);
#endif
            happy_lookup_cancel(lookup);
            cancels++;
#ifdef OWN_CLIENT
            happy_lookup_wait(lookup);
#endif
            happy_lookup_unref(lookup);
        }
        pause_at_random(400);
        if (cancels >= cancels_wanted)
            over = true;
    }
    return NULL;
}

/* ---- Who would be hit ----------------------------------------------------------------------------------------------- */

/* Takes the descriptors that were just closed, and looks for what was not written by it. */
static void *reuse_descriptors(void *argument)
{
    random_state = ((struct start *)argument)->seed;
    enum { EACH = 4 };
    while (!over) {
        int events[EACH], pipes[EACH][2];
        for (int i = 0; i < EACH; i++) {
            events[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
            if (events[i] == -1 || pipe2(pipes[i], O_NONBLOCK | O_CLOEXEC) == -1) {
                COMPLAIN("the test has no descriptors: %s", strerror(errno));
                return NULL;
            }
        }
        opened += 3 * EACH;
        pause_at_random(300);
        for (int i = 0; i < EACH; i++) {
            uint64_t value;
            if (read(events[i], &value, sizeof value) != -1 || errno != EAGAIN)
                COMPLAIN("somebody wrote %llu into eventfd %d", (unsigned long long)value, events[i]);
            if (read(pipes[i][0], &value, sizeof value) != -1 || errno != EAGAIN)
                COMPLAIN("somebody wrote into pipe %d", pipes[i][1]);
            if (close(events[i]) == -1 || close(pipes[i][0]) == -1 || close(pipes[i][1]) == -1)
                COMPLAIN("somebody closed a descriptor that was not theirs");
        }
    }
    return NULL;
}

static void *nothing(void *unused)
{
    return unused;
}

#ifdef OWN_CLIENT
/* What a sanitizer has put before libc's functions only watches them, and the library is told so: else it would leave every name
 * to them. */
static void begin_own_lookups(void)
{
    happy_lookup *lookup = NULL;
    if (setenv("HAPPYSOCK_TEST_WATCHED_LOOKUPS", "1", 1) != 0)
        COMPLAIN("setenv: %s", strerror(errno));
    name_server_start_process();
    if (happy_lookup_new("both0.test", "80", NULL, -1, &lookup) != HAPPY_OK || happy_lookup_start(lookup) != HAPPY_OK)
        COMPLAIN("%s", happy_error_message());
    happy_lookup_wait(lookup);
    const char *source = happy_lookup_get_source(lookup);
    if (source == NULL || strcmp(source, "dns") != 0)
        COMPLAIN("%s has answered, not the library: the test tests nothing", source == NULL ? "nobody" : source);
    happy_lookup_unref(lookup);
}
#endif

int main(int count, char **arguments)
{
    uint64_t seed = 1;
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--cancels") == 0 && i + 1 < count) {
            cancels_wanted = atol(arguments[++i]);
        } else if (strcmp(arguments[i], "--seed") == 0 && i + 1 < count) {
            seed = strtoull(arguments[++i], NULL, 10);
        } else {
            fprintf(stderr, "usage: %s [--cancels N] [--seed N]\n", arguments[0]);
            return 2;
        }
    }
    world_begin(&world);
#ifdef OWN_CLIENT
    begin_own_lookups();
#endif
    struct sigaction action = {.sa_handler = cancel_from_handler, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    /* A sanitizer may start a thread of its own with the first. */
    pthread_t first;
    if (pthread_create(&first, NULL, nothing, NULL) != 0 || pthread_join(first, NULL) != 0)
        COMPLAIN("the test has no thread");
    struct census before = census();
    enum { CANCELLERS = 3, REUSERS = 2 };
    pthread_t others[CANCELLERS + REUSERS];
    static struct start starts[SLOTS + CANCELLERS + REUSERS];
    for (size_t i = 0; i < SLOTS + CANCELLERS + REUSERS; i++)
        starts[i] = (struct start){i, seed * 1000003 + i};
    for (size_t i = 0; i < SLOTS; i++)
        pthread_mutex_init(&slots[i].lock, NULL);
    for (size_t i = 0; i < SLOTS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, &starts[i]) != 0)
            COMPLAIN("the test has no thread");
        pthread_mutex_lock(&slots[i].lock);
        slots[i].thread = thread;
        pthread_mutex_unlock(&slots[i].lock);
    }
    for (size_t i = 0; i < CANCELLERS + REUSERS; i++)
        if (pthread_create(&others[i], NULL, i < CANCELLERS ? cancel : reuse_descriptors, &starts[SLOTS + i]) != 0)
            COMPLAIN("the test has no thread");
    long last = -1;
    for (double stuck_since = seconds_now(); !over;) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        progress("cancels: %ld of %ld; %ld lookups, %ld connects, %ld multi handles", cancels, cancels_wanted, lookups, connects, multis);
        if (cancels != last) {
            last = cancels;
            stuck_since = seconds_now();
        } else if (seconds_now() - stuck_since > 60) {
            fprintf(stderr, "nothing has moved for 60 s after %ld cancels\n", last);
            abort();
        }
    }
    alarm(120); /* No thread may be stuck. */
    for (size_t i = 0; i < SLOTS; i++)
        pthread_join(slots[i].thread, NULL);
    workers_gone = true;
    for (size_t i = 0; i < CANCELLERS + REUSERS; i++)
        pthread_join(others[i], NULL);
    if (!settles(before.descriptors, -1))
        COMPLAIN("%d descriptors are left", census().descriptors - before.descriptors);
    if (lookups == 0 || connects == 0 || multis == 0 || answered == 0 || cancelled == 0)
        COMPLAIN("nothing of one kind: the test tests nothing");
    /* The workers leave, so that a sanitizer that looks for leaks at exit finds what they held. */
    if (!settles(-1, before.threads) && !settles(-1, before.threads))
        COMPLAIN("%d threads are left", census().threads - before.threads);
    printf("%ld cancels over %ld lookups, %ld connects, %ld multi handles of %d connects; %ld ended by themselves, %ld by the cancel or a "
           "limit, %ld were abandoned; %ld descriptors of others' were not touched\n",
           cancels, lookups, connects, multis, MULTI_CONNECTS, answered, cancelled, abandoned, opened);
    judge(&report, "cancel storm (seed %llu)", (unsigned long long)seed);
    return summary("cancel storm");
}
