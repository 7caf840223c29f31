/* Soak: connects, lookups, many-connect handles, cancels, forks and failing system calls, mixed and for a long time; what the process holds
 * is sampled each second, written down, drawn and judged: it must be flat.
 *
 *   soak [--minutes N] [--directory PATH] [--seed N] */
#define _GNU_SOURCE
#include "plot.h"
#include "scenarios.h"
#include "shim.h"

#include <happysock.h>

#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 4

static struct world world;
static atomic_bool over, pause_asked;
static atomic_int paused;
static atomic_ulong runs, forks, cancels;
static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;
static struct report report;

static void note(const struct report *other)
{
    pthread_mutex_lock(&report_lock);
    if (other->message[0] != '\0')
        complain(&report, "%s", other->message);
    pthread_mutex_unlock(&report_lock);
}

/* ---- The work ------------------------------------------------------------------------------------------------------- */

static void *cancel_soon(void *argument)
{
    happy_connect *connect = argument;
    nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
    happy_connect_cancel(connect);
    return NULL;
}

/* A connect that another thread cancels after a moment: either may be first. */
static void race_with_cancel(struct report *mine)
{
    happy_connect *connect = NULL;
    pthread_t thread;
    if (happy_connect_new("slow.test", world.live, NULL, &connect, NULL) != HAPPY_OK) {
        complain(mine, "happy_connect_new: %s", happy_error_message());
        return;
    }
    bool made = pthread_create(&thread, NULL, cancel_soon, connect) == 0;
    happy_connect_wait(connect);
    if (made)
        pthread_join(thread, NULL);
    happy_result result = HAPPY_RESULT_INIT;
    int fd = happy_connect_take_result(connect, &result);
    happy_connect_free(connect);
    if (fd != -1 && !server_answers(fd))
        complain(mine, "the server does not answer");
    if (result.status == HAPPY_EAGAIN || result.status == HAPPY_EINTERNAL)
        complain(mine, "status %d", result.status);
    cancels++;
}

static void *work(void *argument)
{
    uint64_t random = (uint64_t)(size_t)argument;
    while (!over) {
        if (pause_asked) {
            paused++;
            while (pause_asked && !over)
                nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            paused--;
        }
        struct report mine = {0};
        uint64_t choice = random_next(&random) % (scenarios_count() + 4);
        if (choice < scenarios_count())
            /* A call of any of them may fail at any time. */
            scenario_at(choice)->run(&world, FAULTY, &mine);
        else
            race_with_cancel(&mine);
        note(&mine);
        runs++;
    }
    return NULL;
}

/* A child at a random moment: it connects on its own, without faults. */
static void fork_one(uint64_t *random)
{
    pid_t pid = fork();
    if (pid == -1) {
        struct report mine = {0};
        complain(&mine, "fork: %s", strerror(errno));
        note(&mine);
        return;
    }
    if (pid == 0) {
        alarm(30);
        fault_disarm();
        if (random_next(random) % 2)
            _exit(0);
        happy_options options = HAPPY_OPTIONS_INIT;
        options.open_timeout_ms = 10000;
        int fd = init_inetsock_happy("dual.test", world.live, &options, NULL);
        _exit(fd != -1 && server_answers(fd) ? 0 : 3);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    forks++;
    struct report mine = {0};
    if (status != 0)
        complain(&mine, "a child ended with status %#x", status);
    note(&mine);
}

/* ---- What it held --------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const struct sample *samples, size_t count, size_t offset)
{
    double *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = *(const double *)((const char *)&samples[i] + offset);
    qsort(values, count, sizeof *values, compare);
    double middle = values[count / 2];
    free(values);
    return middle;
}

struct judged {
    const char *name;
    size_t offset;
    /* It may differ between the first and the last third by so much. */
    double slack;
    double first, last;
};

static struct judged judgements[] = {
    {"resident_mib", offsetof(struct sample, resident_mib), 4, 0, 0},
    {"allocated_kib", offsetof(struct sample, allocated_kib), 8, 0, 0},
    {"descriptors", offsetof(struct sample, descriptors), 2, 0, 0},
    {"threads", offsetof(struct sample, threads), 4, 0, 0},
};
enum { JUDGEMENTS = sizeof judgements / sizeof *judgements };

static FILE *create(const char *directory, const char *name)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    return file;
}

/* All work stands still for the sample: what is held then is held by nobody in particular. */
static struct sample take_sample(double began)
{
    pause_asked = true;
    double end = seconds_now() + 20;
    while (paused < WORKERS && seconds_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    while (lookups_running() > 0 && seconds_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    struct report mine = {0};
    if (paused < WORKERS)
        complain(&mine, "a worker has been stuck for 20 s");
    note(&mine);
    /* What the last lookups held is freed a moment after they ended. */
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    struct census now = census();
    struct sample sample = {seconds_now() - began, (double)now.bytes / (1 << 20), (double)library_bytes() / 1024, now.descriptors,
                            now.threads};
    pause_asked = false;
    return sample;
}

int main(int count, char **arguments)
{
    double minutes = 60;
    const char *directory = ".";
    uint64_t seed = 1;
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--minutes") == 0 && i + 1 < count) {
            minutes = atof(arguments[++i]);
        } else if (strcmp(arguments[i], "--directory") == 0 && i + 1 < count) {
            directory = arguments[++i];
        } else if (strcmp(arguments[i], "--seed") == 0 && i + 1 < count) {
            seed = strtoull(arguments[++i], NULL, 10);
        } else {
            fprintf(stderr, "usage: %s [--minutes N] [--directory PATH] [--seed N]\n", arguments[0]);
            return 2;
        }
    }
    if (minutes < 0.2 || !shim_sees_library()) {
        fprintf(stderr, "%s: %s\n", arguments[0], minutes < 0.2 ? "--minutes: at least 0.2" : "libhappysock.so is not loaded");
        return 2;
    }
    FILE *csv = create(directory, "soak.csv");
    fprintf(csv, "seconds,resident_mib,allocated_kib,descriptors,threads,runs,cancels,forks,faults\n");
    world_begin(&world);
    lookups_release();
    size_t room = (size_t)(minutes * 60) + 10, taken = 0;
    struct sample *samples = calloc(room, sizeof *samples);
    pthread_t workers[WORKERS];
    for (size_t i = 0; i < WORKERS; i++)
        if (pthread_create(&workers[i], NULL, work, (void *)(seed * 1000 + i)) != 0)
            return 2;
    uint64_t random = seed;
    double began = seconds_now(), end = began + minutes * 60, next = began + 1;
    fault_arm_at_random(50);
    while (seconds_now() < end && report.message[0] == '\0') {
        nanosleep(&(struct timespec){.tv_nsec = (long)(random_next(&random) % 40000000)}, NULL);
        fork_one(&random);
        if (seconds_now() < next || taken == room)
            continue;
        next += 1;
        struct sample sample = take_sample(began);
        samples[taken++] = sample;
        fprintf(csv, "%.1f,%.2f,%.1f,%.0f,%.0f,%lu,%lu,%lu,%lu\n", sample.seconds, sample.resident_mib, sample.allocated_kib,
                sample.descriptors, sample.threads, runs, cancels, forks, fault_total());
        progress("soak: %.1f of %.1f min; %lu runs, %lu cancels, %lu forks, %lu faults; %.1f MiB, %.0f descriptors, %.0f threads",
                 sample.seconds / 60, minutes, runs, cancels, forks, fault_total(), sample.resident_mib, sample.descriptors,
                 sample.threads);
    }
    over = true;
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    fault_disarm();
    fclose(csv);
    judge(&report, "the work");
    /* The first tenth is for caches to fill. */
    size_t skip = taken / 10, third = (taken - skip) / 3;
    FILE *json = create(directory, "soak.json");
    fprintf(json, "{\"minutes\": %.2f, \"seed\": %llu, \"runs\": %lu, \"cancels\": %lu, \"forks\": %lu, \"faults\": %lu", minutes,
            (unsigned long long)seed, runs, cancels, forks, fault_total());
    for (int i = 0; i < JUDGEMENTS; i++) {
        struct judged *judged = &judgements[i];
        struct report flat = {0};
        if (third == 0) {
            complain(&flat, "only %zu samples", taken);
        } else {
            judged->first = median(&samples[skip], third, judged->offset);
            judged->last = median(&samples[taken - third], third, judged->offset);
            if (judged->last > judged->first + judged->slack)
                complain(&flat, "%.1f in the first third, %.1f in the last", judged->first, judged->last);
        }
        printf("%-14s %10.1f in the first third, %10.1f in the last: %s\n", judged->name, judged->first, judged->last,
               flat.message[0] == '\0' ? "flat" : "NOT FLAT");
        fprintf(json, ", \"%s\": {\"first_third\": %.2f, \"last_third\": %.2f, \"flat\": %s}", judged->name, judged->first, judged->last,
                flat.message[0] == '\0' ? "true" : "false");
        judge(&flat, "%s", judged->name);
    }
    fprintf(json, "}\n");
    if (fclose(json) != 0)
        return 2;
    char path[500], title[200];
    snprintf(path, sizeof path, "%s/soak.svg", directory);
    snprintf(title, sizeof title, "%.0f minutes: %lu runs, %lu cancels, %lu forks, %lu failed calls", minutes, runs, cancels, forks,
             fault_total());
    if (!plot(path, samples, taken, title))
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    printf("%lu runs, %lu cancels, %lu forks, %lu failed calls; %s/soak.csv, .json, .svg\n", runs, cancels, forks, fault_total(), directory);
    free(samples);
    return summary("soak");
}
