/* Every system call fails: in each scenario the nth call of each function fails with each errno of its manual page, for
 * n = 1, 2, ... until the scenario makes no nth call. After each: exactly one completion, a documented status, no descriptor,
 * no thread beyond the pool's idle ones, no byte left.
 *
 *   every_call [--short] [--part K/N] [--scenario NAME] [--function NAME]
 *
 * Of N parts, which can run at the same time since most of it is waiting, the Kth (from 0) takes every Nth scenario. */
#define _GNU_SOURCE
#include "scenarios.h"
#include "shim.h"

#include <happysock.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Far more calls of one function than any scenario makes; reaching it is a failure. */
#define MOST_CALLS 200
/* Idle workers that the pool may have after a scenario: one a lookup. */
#define POOL 4
/* Seconds for all the repetitions of one case; each takes milliseconds. */
#define HANGS_AFTER 10
/* How often a case is repeated in one process before growing memory is called a leak. */
#define REPETITIONS 8

static struct world world;

struct test_case {
    const struct scenario *scenario;
    enum function function;
    int error;
    unsigned nth;
};

static bool is_of_files(enum function function)
{
    return function == FN_OPEN || function == FN_READ || function == FN_STATX;
}

/* An interrupted call is no failure, and what has a second way must take it. */
static enum weather weather_of(const struct test_case *test)
{
    if (test->nth == 0)
        return FINE;
    /* The buffer was too small: a larger one is tried. */
    if (test->function == FN_GETHOSTBYNAME && test->error == ERANGE)
        return SURVIVES;
    if (test->error == EINTR && test->function != FN_GETADDRINFO && test->function != FN_ALLOCATE)
        return SURVIVES;
    if (test->scenario->configuration == DECISIVE && is_of_files(test->function))
        return FAULTY;
    switch (test->function) {
    case FN_SETSOCKOPT: /* SO_REUSEADDR: bind(2) itself says whether it was needed. */
    case FN_CLOSE:      /* The descriptor is gone all the same. */
    case FN_OPEN:       /* Without gai.conf the standard's policy holds. */
    case FN_FUTEX_WAIT: /* Whoever sleeps looks again. */
    case FN_READ:       /* Of gai.conf, or of a wake-up, which is drained the next time. */
    case FN_WRITE:      /* EAGAIN: the wake-up is readable already. */
    case FN_MMAP:       /* Another way to know a fork is taken. */
    case FN_MADVISE:
    case FN_STACK_SIZE: /* The default size does. */
    case FN_TIMERFD_SETTIME: /* The descriptor is readable until the timer can be set. */
    case FN_GETSOCKNAME:/* The order of the candidates may differ, the answer not. */
        return SURVIVES;
    case FN_SOCKET:
    case FN_CONNECT:
    case FN_GETSOCKOPT:
    case FN_IOCTL:
        return test->scenario->second_way ? SURVIVES : FAULTY;
    default:
        return FAULTY;
    }
}

static void run_once(const struct test_case *test, const struct census *before, struct report *report)
{
    lookups_hold();
    if (test->nth > 0)
        fault_arm(test->function, test->nth, test->error, 0);
    test->scenario->run(&world, weather_of(test), report);
    lookups_release();
    double end = seconds_now() + 20;
    while (lookups_running() > 0 && seconds_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    if (lookups_running() > 0)
        complain(report, "%d lookups are still running", lookups_running());
    /* Without getrandom(2) the standard library opens /dev/urandom, once, and keeps it. */
    int kept = test->function == FN_GETRANDOM;
    if (!settles(before->descriptors + kept, before->threads + POOL)) {
        struct census after = census();
        complain(report, "left behind: %d descriptors, %d threads", after.descriptors - before->descriptors,
                 after.threads - before->threads);
    }
    report->calls = fault_calls();
    report->fired |= fault_disarm();
}

/* The same case again and again in one process: what it leaves behind may be a cache, but it must not grow. */
static void run_case(struct report *report, void *argument)
{
    const struct test_case *test = argument;
    struct census before = census();
    run_once(test, &before, report);
    size_t first = library_bytes(), most = first;
    for (int i = 1; i < REPETITIONS && report->message[0] == '\0'; i++) {
        run_once(test, &before, report);
        /* One more idle worker, a longer queue: those come to an end, a leak does not. */
        size_t now = library_bytes();
        if (now <= most)
            return;
        most = now;
    }
    complain(report, "memory grows with each run: %zu bytes after the first, %zu after %d", first, most, REPETITIONS);
}

/* 0 calls, or the first failure, or clean. */
static unsigned long cases;

static bool try(const struct test_case *test)
{
    struct report report;
    in_child(&report, HANGS_AFTER, run_case, (void *)test);
    cases++;
    const char *name = function_name(test->function);
    if (test->nth == 0)
        judge(&report, "%s", test->scenario->name);
    else if (test->function == FN_GETADDRINFO || test->error >= PENDING)
        judge(&report, "%s, %s call %u, %d", test->scenario->name, name, test->nth, test->error);
    else
        judge(&report, "%s, %s call %u, %s", test->scenario->name, name, test->nth, strerrorname_np(test->error));
    progress("%s: %s, call %u; %lu cases", test->scenario->name, name, test->nth, cases);
    return report.fired || report.message[0] != '\0';
}

int main(int count, char **arguments)
{
    bool in_short = false;
    size_t part = 0, parts = 1;
    const char *only_scenario = NULL, *only_function = NULL;
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--short") == 0)
            in_short = true;
        else if (strcmp(arguments[i], "--part") == 0 && i + 1 < count && sscanf(arguments[i + 1], "%zu/%zu", &part, &parts) == 2 &&
                 part < parts)
            i++;
        else if (strcmp(arguments[i], "--scenario") == 0 && i + 1 < count)
            only_scenario = arguments[++i];
        else if (strcmp(arguments[i], "--function") == 0 && i + 1 < count)
            only_function = arguments[++i];
        else {
            fprintf(stderr, "usage: %s [--short] [--part K/N] [--scenario NAME] [--function NAME]\n", arguments[0]);
            return 2;
        }
    }
    if (!shim_sees_library()) {
        fprintf(stderr, "%s: libhappysock.so is not loaded\n", arguments[0]);
        return 2;
    }
    world_begin(&world);
    scenarios_begin(&world);
    unsigned reached[FN_COUNT] = {0};
    for (size_t s = 0; s < scenarios_count(); s++) {
        const struct scenario *scenario = scenario_at(s);
        if (s % parts != part)
            continue;
        if (only_scenario != NULL && strcmp(only_scenario, scenario->name) != 0)
            continue;
        struct test_case sound = {scenario, FN_SOCKET, 0, 0};
        if (try(&sound))
            continue;
        for (enum function function = 0; function < FN_ALLOCATE; function++) {
            if (only_function != NULL && strcmp(only_function, function_name(function)) != 0)
                continue;
            if (scenario->configuration == SPARED && is_of_files(function))
                continue;
            size_t errors_count;
            const int *errors = function_errors(function, &errors_count);
            /* In short: one errno a call, the next for the next scenario, and always EINTR. */
            for (size_t e = 0; e < errors_count; e++) {
                if (in_short && errors[e] != EINTR && e != (s + function) % errors_count)
                    continue;
                unsigned nth = 1;
                struct test_case test = {scenario, function, errors[e], nth};
                while (test.nth <= MOST_CALLS && try(&test))
                    test.nth++;
                if (test.nth > MOST_CALLS) {
                    struct report report = {.message = "the library never comes to an end of its calls"};
                    judge(&report, "%s, %s", scenario->name, function_name(function));
                }
                if (test.nth - 1 > reached[function])
                    reached[function] = test.nth - 1;
                if (test.nth == 1)
                    break; /* It is never called here, whatever the errno. */
            }
        }
    }
    printf("calls failed, at most in one scenario:");
    for (enum function function = 0; function < FN_ALLOCATE; function++)
        if (reached[function] > 0)
            printf(" %s %u", function_name(function), reached[function]);
    printf("\n");
    return summary("every system call fails");
}
