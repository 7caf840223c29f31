/* The scenarios of a lookup. */
#define _GNU_SOURCE
#include "answers.h"
#include "shim.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

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
    int answer = rb_getaddrinfo_happy(stuck_name(), "80", &stream, &list, 10);
    judge_lookup(answer, errno, list, EAI_SYSTEM, ETIMEDOUT, weather, report);
    lookups_release();
}

/* Until a worker is inside the lookup, so that its answer comes too late; a fault may have kept it from
 * getting there. */
static void wait_until_running(enum weather weather, struct report *report)
{
    double end = seconds_now() + (weather == FAULTY ? 0.02 : 5);
    while (lookups_running() == 0 && seconds_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    if (weather != FAULTY && lookups_running() == 0)
        complain(report, "the lookup is not taken up");
}

static void take_lookup(happy_lookup *lookup, int expected, int expected_errno, enum weather weather,
                        struct report *report)
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
    happy_lookup *lookup = start_lookup(stuck_name(), weather, report);
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
    happy_lookup *lookup = start_lookup(stuck_name(), weather, report);
    happy_lookup_get_fd(lookup);
    if (lookup != NULL)
        wait_until_running(weather, report);
    happy_lookup_unref(lookup);
    lookups_release();
}

static const struct scenario scenarios[] = {
    ENTRY(getaddrinfo_without_limit, false),
    ENTRY(getaddrinfo_in_time, false),
    ENTRY(getaddrinfo_too_late, false),
    ENTRY(lookup_waited_for, false),
    ENTRY(lookup_polled, false),
    ENTRY(lookup_cancelled, false),
    ENTRY(lookup_abandoned, false),
};
const struct scenario_group lookup_scenarios = {scenarios, sizeof scenarios / sizeof *scenarios};
