/* Signals and limits: every scenario in a storm of signals, without descriptors, threads or address space, with the standard
 * descriptors closed, and with descriptors above 1023.
 *
 *   limits [--short]
 *   limits_dns [--short]    the same with names that the library looks up by itself, which needs no thread */
#define _GNU_SOURCE
#include "scenarios.h"
#include "shim.h"

#include <happysock.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct world world;
static int repetitions;

/* One scenario, and that nothing is left of it. */
static void run(const struct scenario *scenario, enum weather weather, struct report *report)
{
    lookups_hold();
    scenario->run(&world, weather, report);
    lookups_release();
}

struct test_case {
    const struct scenario *scenario;
    int argument;
};

/* ---- Signals -------------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static void storm(struct report *report, void *argument)
{
    const struct test_case *test = argument;
    struct census before = census();
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = test->argument};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval each_millisecond = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &each_millisecond, NULL);
    /* At least so many times, and until some signals have come. */
    for (int i = 0; (i < repetitions || signals < 5) && report->message[0] == '\0'; i++)
        run(test->scenario, SURVIVES, report);
    setitimer(ITIMER_REAL, &never, NULL);
    if (!settles(before.descriptors, -1))
        complain(report, "descriptors are left");
}

/* Every signal that can be blocked is, in every thread but the main one: the last 62 bits without KILL and STOP, and without the
 * two that glibc keeps for itself. */
static void workers_block_signals(struct report *report, void *argument)
{
    (void)argument;
    happy_lookup *lookup = NULL;
    happy_lookup_new(stuck_name(), "80", NULL, -1, &lookup);
    happy_lookup_start(lookup);
    double end = seconds_now() + 20;
    while (lookups_running() == 0 && seconds_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    DIR *tasks = opendir("/proc/self/task");
    int workers = 0;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        char path[300], line[200];
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *status = fopen(path, "re");
        unsigned long long blocked = 0;
        while (status != NULL && fgets(line, sizeof line, status) != NULL)
            sscanf(line, "SigBlk: %llx", &blocked);
        if (status != NULL)
            fclose(status);
        const unsigned long long never = 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1) | 1ull << 31 | 1ull << 32;
        if ((blocked | never) != ~0ull)
            complain(report, "a worker blocks only the signals %llx", blocked);
        workers++;
    }
    closedir(tasks);
    if (workers != 1)
        complain(report, "%d workers for one lookup", workers);
    happy_lookup_unref(lookup);
    lookups_release();
}

/* ---- Descriptors ---------------------------------------------------------------------------------------------------- */

static void few_descriptors(struct report *report, void *argument)
{
    const struct test_case *test = argument;
    struct census before = census();
    struct rlimit limit, low;
    getrlimit(RLIMIT_NOFILE, &limit);
    int first_free = dup(0);
    close(first_free);
    low = limit;
    low.rlim_cur = (rlim_t)(first_free + test->argument);
    setrlimit(RLIMIT_NOFILE, &low);
    run(test->scenario, FAULTY, report);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (!settles(before.descriptors, -1))
        complain(report, "descriptors are left");
    /* The shortage is over: so is its effect, but for a worker that has asked libc meanwhile and is not gone yet. */
    run(test->scenario, world.own_client ? SURVIVES : FINE, report);
}

static void no_standard_descriptors(struct report *report, void *argument)
{
    const struct test_case *test = argument;
    close(0);
    close(1);
    close(2);
    run(test->scenario, FINE, report);
    if (test->scenario != scenario_at(0))
        return;
    int fd = init_inetsock_happy("127.0.0.1", world.live, NULL, NULL);
    if (fd != 0 || !server_answers(fd))
        complain(report, "the socket is descriptor %d, not 0", fd);
}

static void many_descriptors(struct report *report, void *argument)
{
    const struct test_case *test = argument;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2200)
        limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    if (limit.rlim_cur < 2200 || setrlimit(RLIMIT_NOFILE, &limit) == -1) {
        report->skipped = true;
        return;
    }
    int last = 0;
    for (int i = 0; i < 2000; i++)
        last = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (last < 2000)
        complain(report, "the test has no 2,000 descriptors");
    run(test->scenario, FINE, report);
}

/* ---- Threads and address space -------------------------------------------------------------------------------------- */

/* Scenarios that need a thread of their own, or none of the library's. */
static bool needs_own_thread(const struct scenario *scenario)
{
    return strcmp(scenario->name, "cancelled_by_a_thread") == 0;
}

static bool needs_no_worker(const struct scenario *scenario)
{
    return world.own_client || strcmp(scenario->name, "literal") == 0 || strcmp(scenario->name, "getaddrinfo_without_limit") == 0 ||
           strcmp(scenario->name, "descriptor_of_a_running_race") == 0;
}

static void *nothing(void *unused)
{
    return unused;
}

static void without_threads(const struct scenario *scenario, struct report *report, int resource, const struct rlimit *low,
                            const struct rlimit *before)
{
    if (needs_own_thread(scenario)) {
        report->skipped = true;
        return;
    }
    if (setrlimit(resource, low) == -1) {
        complain(report, "setrlimit: %s", strerror(errno));
        return;
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) == 0)
        complain(report, "threads can still be made: the test tests nothing");
    run(scenario, needs_no_worker(scenario) ? FINE : FAULTY, report);
    if (setrlimit(resource, before) == -1)
        complain(report, "setrlimit: %s", strerror(errno));
    run(scenario, FINE, report);
}

static void no_threads_for_the_user(struct report *report, void *argument)
{
    const struct test_case *test = argument;
    /* The limit does not hold for root. */
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) == -1) {
        report->skipped = true;
        return;
    }
    struct rlimit limit, low;
    getrlimit(RLIMIT_NPROC, &limit);
    low = limit;
    low.rlim_cur = 1;
    without_threads(test->scenario, report, RLIMIT_NPROC, &low, &limit);
}

/* A start that fails for want of a thread leaves no trace: the lookup is not started, and its limit counts
 * from the start that succeeds. */
static void failed_start(struct report *report, void *argument)
{
    (void)argument;
    struct rlimit limit, low;
    happy_lookup *lookup = NULL;
    const int timeout_ms = 60000;
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) == -1) {
        report->skipped = true;
        return;
    }
    getrlimit(RLIMIT_NPROC, &limit);
    low = limit;
    low.rlim_cur = 1;
    if (happy_lookup_new(stuck_name(), "80", NULL, timeout_ms, &lookup) != HAPPY_OK || setrlimit(RLIMIT_NPROC, &low) == -1) {
        complain(report, "the lookup or the limit cannot be had");
        return;
    }
    errno = 0;
    int status = happy_lookup_start(lookup);
    if (status != HAPPY_ESYSCALL || errno != EAGAIN)
        complain(report, "without threads a start answers %d, errno %d", status, errno);
    if (happy_lookup_wait(lookup) != HAPPY_ESTATE || happy_lookup_dispatch(lookup) != HAPPY_ESTATE ||
        happy_lookup_get_timeout_ms(lookup) != -1)
        complain(report, "a lookup that did not start is taken for one that did");
    /* Long enough to tell a deadline of the first start from one of the second, however slow the machine. */
    nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
    setrlimit(RLIMIT_NPROC, &limit);
    double began = seconds_now();
    status = happy_lookup_start(lookup);
    int left_ms = happy_lookup_get_timeout_ms(lookup);
    if (status != HAPPY_OK || left_ms < timeout_ms - 1 - (int)((seconds_now() - began) * 1000))
        complain(report, "the second start answers %d, and %d ms are left of %d", status, left_ms, timeout_ms);
    happy_lookup_unref(lookup);
    lookups_release();
}

static void no_address_space(struct report *report, void *argument)
{
    const struct test_case *test = argument;
    /* A megabyte that malloc has and keeps: the library's own small needs are met, a stack is not. */
    enum { PIECES = 1024 };
    static void *pieces[PIECES];
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    for (int i = 0; i < PIECES; i++)
        pieces[i] = malloc(1000);
    for (int i = 0; i < PIECES; i++)
        free(pieces[i]);
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;
    if (file == NULL || fscanf(file, "%lu", &pages) != 1)
        complain(report, "/proc/self/statm cannot be read");
    fclose(file);
    struct rlimit limit, low;
    getrlimit(RLIMIT_AS, &limit);
    low = limit;
    low.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + 64 * 1024;
    without_threads(test->scenario, report, RLIMIT_AS, &low, &limit);
}

/* Idle workers leave: after a while the process has the threads that it had before. */
static void idle_workers_leave(struct report *report, void *argument)
{
    (void)argument;
    struct census before = census();
    for (size_t i = 0; i < scenarios_count(); i++)
        run(scenario_at(i), FINE, report);
    if (census().threads == before.threads)
        complain(report, "no worker was made: the test tests nothing");
    /* A worker stays for five seconds; settles() waits for longer. */
    if (!settles(before.descriptors, before.threads))
        complain(report, "%d threads stay", census().threads - before.threads);
}

/* ---- All of them ---------------------------------------------------------------------------------------------------- */

static void each_scenario(const char *name, void (*body)(struct report *, void *), int argument)
{
    for (size_t i = 0; i < scenarios_count(); i++) {
        struct test_case test = {scenario_at(i), argument};
        struct report report;
        in_child(&report, 60, body, &test);
        judge(&report, "%s (%d): %s", name, argument, scenario_at(i)->name);
        progress("%s: %s", name, scenario_at(i)->name);
    }
}

static void once(const char *name, void (*body)(struct report *, void *))
{
    struct report report;
    in_child(&report, 60, body, NULL);
    judge(&report, "%s", name);
}

int main(int count, char **arguments)
{
    bool in_short = count == 2 && strcmp(arguments[1], "--short") == 0;
    if (count > 1 && !in_short) {
        fprintf(stderr, "usage: %s [--short]\n", arguments[0]);
        return 2;
    }
    repetitions = in_short ? 3 : 100;
    world_begin(&world);
    scenarios_begin(&world);
    each_scenario("signals without SA_RESTART", storm, 0);
    each_scenario("signals with SA_RESTART", storm, SA_RESTART);
    if (!world.own_client)
        once("workers block signals", workers_block_signals);
    for (int free_descriptors = 0; free_descriptors <= 12; free_descriptors++)
        each_scenario("free descriptors", few_descriptors, free_descriptors);
    each_scenario("descriptors 0, 1 and 2 closed", no_standard_descriptors, 0);
    each_scenario("2000 descriptors open", many_descriptors, 0);
    each_scenario("RLIMIT_NPROC", no_threads_for_the_user, 0);
    if (!world.own_client)
        once("a start that fails for want of a thread", failed_start);
    each_scenario("RLIMIT_AS", no_address_space, 0);
    if (!world.own_client)
        once("idle workers leave", idle_workers_leave);
    return summary("signals and limits");
}
