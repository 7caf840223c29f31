/* What the programs of the multi benchmark share: arguments, clocks, memory, and the one line of JSON that each prints.
 *
 *     PROGRAM MODE COUNT THREADS SERVICE HOST
 *
 * MODE live: COUNT connects to the numeric HOST, which accepts them. hole: COUNT connects to a numeric HOST that never
 * answers, until all have begun; then all are cancelled. name: COUNT connects to <number>-HOST, names that nobody has
 * asked for before. unanswered: the same, while no name server answers, until all have begun; then all are cancelled.
 * Each connection is closed with a reset, so that no port is left in TIME_WAIT.
 */
#ifndef MULTI_COMMON_H
#define MULTI_COMMON_H

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct {
    const char *mode, *service, *host;
    int count, threads;
    int ok, failed;
    double began, begun, cancelled, freed, cpu_began, cpu_ended;
    size_t heap_before, heap_in_flight;
    long resident_before, resident_in_flight;
    int most_threads;
    /* Of the mode unanswered: the first good name after all were cancelled, and what was left of them before it. */
    double next_us;
    int threads_left, descriptors_left;
} bench;

static inline _Noreturn void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static inline double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Bytes that were asked of malloc(3) and not given back. */
static inline size_t heap(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static inline long resident(void)
{
    long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &size, &pages) != 2)
        fail("/proc/self/statm");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static inline int threads_now(void)
{
    char line[128];
    int count = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        sscanf(line, "Threads: %d", &count);
    if (file != NULL)
        fclose(file);
    return count;
}

static inline int descriptors_now(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        fail("/proc/self/fd");
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    /* The two of every directory, and this one's own. */
    return count - 3;
}

static inline bool mode_is(const char *mode)
{
    return strcmp(bench.mode, mode) == 0;
}

static inline void bench_arguments(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s live|hole|name|unanswered COUNT THREADS SERVICE HOST\n", argv[0]);
        exit(2);
    }
    bench.mode = argv[1];
    bench.count = atoi(argv[2]);
    bench.threads = atoi(argv[3]);
    bench.service = argv[4];
    bench.host = argv[5];
    /* As far as it goes; what does not fit is said by the connect that fails. */
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail("setrlimit");
}

static inline bool bench_is_unanswered(void)
{
    return mode_is("unanswered");
}

/* The host of the index-th connect. */
static inline const char *bench_host(int index, char name[256])
{
    if (!mode_is("name") && !bench_is_unanswered())
        return bench.host;
    snprintf(name, 256, "%d-%d-%s", (int)getpid(), index, bench.host);
    return name;
}

static inline void bench_begin(void)
{
    bench.heap_before = heap();
    bench.resident_before = resident();
    bench.cpu_began = cpu_us();
    bench.began = now_us();
}

/* All connects are in flight. */
static inline void bench_all_begun(void)
{
    bench.begun = now_us();
    bench.cpu_ended = cpu_us();
    bench.heap_in_flight = heap();
    bench.resident_in_flight = resident();
}

static inline void bench_all_ended(void)
{
    bench.begun = now_us();
    bench.cpu_ended = cpu_us();
}

static inline void close_with_reset(int fd)
{
    struct linger linger = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

static inline void bench_print(const char *who)
{
    printf("{\"who\":\"%s\",\"mode\":\"%s\",\"count\":%d,\"threads\":%d,\"ok\":%d,\"failed\":%d,\"wall_us\":%.0f,\"cpu_"
           "us\":%.0f",
           who, bench.mode, bench.count, bench.most_threads, bench.ok, bench.failed, bench.begun - bench.began,
           bench.cpu_ended - bench.cpu_began);
    if (mode_is("hole") || bench_is_unanswered()) {
        double count = bench.count;
        printf(",\"heap_each\":%.0f,\"resident_each\":%.0f",
               ((double)bench.heap_in_flight - (double)bench.heap_before) / count,
               (double)(bench.resident_in_flight - bench.resident_before) / count);
        printf(",\"cancel_us\":%.0f", bench.cancelled - bench.begun);
        if (bench.freed > 0)
            printf(",\"free_us\":%.0f", bench.freed);
        if (bench.next_us > 0)
            printf(",\"next_us\":%.0f,\"threads_left\":%d,\"descriptors_left\":%d", bench.next_us, bench.threads_left,
                   bench.descriptors_left);
    }
    printf("}\n");
}

#endif
