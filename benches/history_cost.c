/* What a history costs a connect: the same connects without one and with one, by turns in one run.
 *
 *   literal  init_inetsock_happy to 203.0.113.1, with nothing to choose between
 *   name     init_inetsock_happy to live.test, an address of each family from hosts(5)
 *
 * Every turn measures both in short blocks, one right after the other, and a figure is the median of the differences
 * within the turns: what else the machine does strikes both. Inside scripts/in-test-network, whose live addresses are
 * none of the loopback's, which no history keeps. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <happysock.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTS = 50, TURNS = 401 };
/* Microseconds that a history may cost a connect. */
static const double MOST_US = 1.0;

static char port[8];

static void fail(const char *what)
{
    fprintf(stderr, "history_cost: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Listens at both live addresses and lets a child accept, for as long as this process lives. */
static void serve(void)
{
    int one = 1, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    socklen_t length = sizeof any;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, length) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&any, &length) != 0)
        fail("listen");
    snprintf(port, sizeof port, "%u", ntohs(any.sin6_port));
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        fail("fork");
    if (child > 0) {
        close(fd);
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    while (getppid() == parent) {
        int accepted = accept(fd, NULL, NULL);
        if (accepted >= 0)
            close(accepted);
    }
    _exit(0);
}

static void connect_once(const char *host, const happy_options *options)
{
    struct linger reset = {1, 0};
    int fd = init_inetsock_happy(host, port, options, NULL);
    if (fd < 0)
        fail(host);
    /* No port is left in TIME_WAIT. */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
}

static double clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

struct cost {
    double wall_us, cpu_us;
};

static struct cost block(const char *host, const happy_options *options)
{
    double wall = clock_us(CLOCK_MONOTONIC), cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < CONNECTS; i++)
        connect_once(host, options);
    return (struct cost){(clock_us(CLOCK_MONOTONIC) - wall) / CONNECTS,
                         (clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu) / CONNECTS};
}

static int compare(const void *left, const void *right)
{
    double difference = *(const double *)left - *(const double *)right;
    return difference < 0 ? -1 : difference > 0;
}

static double median(double values[TURNS])
{
    qsort(values, TURNS, sizeof values[0], compare);
    return values[TURNS / 2];
}

/* Prints one line; true if the history costs more than it may. */
static bool measure(const char *key, const char *host, const happy_options *without, const happy_options *with, bool json)
{
    static double off_us[TURNS], wall_us[TURNS], cpu_us[TURNS];
    for (int i = 0; i < 2 * CONNECTS; i++) {
        connect_once(host, without);
        connect_once(host, with);
    }
    for (int turn = 0; turn < TURNS; turn++) {
        /* Each goes first in every other turn. */
        bool with_first = turn % 2 != 0;
        struct cost first = block(host, with_first ? with : without), second = block(host, with_first ? without : with);
        struct cost on = with_first ? first : second, off = with_first ? second : first;
        off_us[turn] = off.wall_us;
        wall_us[turn] = on.wall_us - off.wall_us;
        cpu_us[turn] = on.cpu_us - off.cpu_us;
    }
    double off = median(off_us), wall = median(wall_us), cpu = median(cpu_us);
    bool bad = cpu > MOST_US;
    if (json)
        printf("{\"case\":\"%s\",\"without_wall_us\":%.2f,\"more_wall_us\":%.2f,\"more_cpu_us\":%.2f,\"within_limit\":%s}\n",
               key, off, wall, cpu, bad ? "false" : "true");
    else
        printf("%-8s to %-12s %8.2f us without, %+6.2f us with a history (%+.2f us of CPU)%s\n", key, host, off, wall, cpu,
               bad ? "   too much" : "");
    fflush(stdout);
    return bad;
}

int main(int argc, char **argv)
{
    bool json = false, check = false;
    for (int i = 1; i < argc; i++) {
        json |= strcmp(argv[i], "--json") == 0;
        check |= strcmp(argv[i], "--check") == 0;
    }
    if (getenv("HAPPYSOCK_TEST_NETWORK") == NULL) {
        fprintf(stderr, "usage: scripts/in-test-network history_cost [--json] [--check]\n");
        return 2;
    }
    serve();
    happy_history *history;
    if (happy_history_new(&history) != HAPPY_OK)
        fail("happy_history_new");
    happy_options without = HAPPY_OPTIONS_INIT, with = HAPPY_OPTIONS_INIT;
    with.history = history;
    int too_much = measure("literal", "203.0.113.1", &without, &with, json) +
                   measure("name", "live.test", &without, &with, json);
    happy_history_unref(history);
    return check && too_much > 0;
}
