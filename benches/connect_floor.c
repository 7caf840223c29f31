/* What one connect costs, next to what the same system calls cost without a library.
 *
 *   A          socket + connect + close to a numeric address
 *   B          getaddrinfo(AF_UNSPEC) + a loop of socket + connect, on one thread, for a name that stands in /etc/hosts
 * as ::1 and as 127.0.0.1: what a program does that knows no race C          two threads made for each lookup, one a
 * family, that report through an eventfd: the plain way to a race numeric    init_inetsock_happy to a numeric address
 *   name       init_inetsock_happy by that name, and by "localhost"
 *   libcurl    CURLOPT_CONNECT_ONLY, handle reused, its cache of names off
 *
 * The variants take turns in one run, in blocks; a variant's figure is the median of its blocks, a ratio the median of
 * the ratios within each turn. All connects go to a server in another process and end with RST, so that no port is left
 * in TIME_WAIT. Runs inside scripts/in-test-network. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <happysock.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_CURL
#include <curl/curl.h>
#endif

enum { CONNECTS = 100, TURNS = 41, MOST_VARIANTS = 12 };

static char port[8];

static void fail(const char *what)
{
    fprintf(stderr, "connect_floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void close_with_reset(int fd)
{
    struct linger linger = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

/* ---- The variants: one connect each -------------------------------------------------------------------------------
 */

static void plain(const char *name)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
    inet_pton(AF_INET6, name, &address.sin6_addr);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    close_with_reset(fd);
}

static int connect_to_one_of(const struct addrinfo *list)
{
    for (const struct addrinfo *entry = list; entry; entry = entry->ai_next) {
        int fd = socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC, entry->ai_protocol);
        if (fd >= 0 && connect(fd, entry->ai_addr, entry->ai_addrlen) == 0)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

static void resolve_and_loop(const char *name)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    if (getaddrinfo(name, port, &hints, &list) != 0)
        fail(name);
    int fd = connect_to_one_of(list);
    if (fd < 0)
        fail("connect");
    freeaddrinfo(list);
    close_with_reset(fd);
}

struct question {
    const char *name;
    int family, wake_up;
    struct addrinfo *list;
    pthread_t thread;
};

static void *ask(void *argument)
{
    struct question *question = argument;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = question->family}, *list;
    uint64_t one = question->family == AF_INET6 ? 1 : 1ull << 32;
    if (getaddrinfo(question->name, port, &hints, &list) == 0)
        __atomic_store_n(&question->list, list, __ATOMIC_RELEASE);
    if (write(question->wake_up, &one, sizeof one) != sizeof one)
        fail("write");
    return NULL;
}

static void two_threads(const char *name)
{
    int wake_up = eventfd(0, EFD_CLOEXEC), fd = -1;
    struct question questions[2] = {{name, AF_INET6, wake_up, NULL, 0}, {name, AF_INET, wake_up, NULL, 0}};
    for (int i = 0; i < 2; i++)
        if (pthread_create(&questions[i].thread, NULL, ask, &questions[i]) != 0)
            fail("pthread_create");
    /* IPv6 starts when it has come, IPv4 when it has come and IPv6 has not within the Resolution Delay. */
    for (int answers = 0; fd < 0 && answers < 2; answers++) {
        struct pollfd ready = {wake_up, POLLIN, 0};
        uint64_t which;
        poll(&ready, 1, questions[1].list ? 50 : -1);
        if (ready.revents && read(wake_up, &which, sizeof which) != sizeof which)
            fail("read");
        for (int i = 0; i < 2 && fd < 0; i++)
            if (__atomic_load_n(&questions[i].list, __ATOMIC_ACQUIRE) && (i == 0 || answers == 1))
                fd = connect_to_one_of(questions[i].list);
    }
    if (fd < 0)
        fail("connect");
    for (int i = 0; i < 2; i++) {
        pthread_join(questions[i].thread, NULL);
        if (questions[i].list)
            freeaddrinfo(questions[i].list);
    }
    close(wake_up);
    close_with_reset(fd);
}

static void happy(const char *name)
{
    int fd = init_inetsock_happy(name, port, NULL, NULL);
    if (fd < 0)
        fail(name);
    close_with_reset(fd);
}

#ifdef WITH_CURL
static int close_for_curl(void *unused, curl_socket_t fd)
{
    (void)unused;
    close_with_reset(fd);
    return 0;
}

static void with_curl(const char *name)
{
    static CURL *curl;
    char url[128];
    if (!curl)
        curl = curl_easy_init();
    snprintf(url, sizeof url, "http://%s:%s/", name, port);
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, close_for_curl);
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        fprintf(stderr, "connect_floor: libcurl: %s\n", curl_easy_strerror(code));
        exit(1);
    }
}
#endif

/* ---- The run --------------------------------------------------------------------------------------------------------
 */

struct variant {
    const char *key, *text;
    void (*once)(const char *name);
    const char *name;
    /* What it is compared with, by its place in the list, and the greatest ratio that is allowed (0: not judged). */
    int floor;
    double most;
};

static const struct variant variants[] = {
    {"A", "A: socket + connect + close to ::1", plain, "::1", 0, 0},
    {"numeric", "init_inetsock_happy to ::1", happy, "::1", 0, 1.15},
    {"B", "B: getaddrinfo + connect, dual.test", resolve_and_loop, "dual.test", 2, 0},
    {"name", "init_inetsock_happy to dual.test", happy, "dual.test", 2, 1.5},
    {"C", "C: two threads a lookup, dual.test", two_threads, "dual.test", 2, 0},
#ifdef WITH_CURL
    {"libcurl", "libcurl to dual.test", with_curl, "dual.test", 2, 0},
#endif
    {"B_localhost", "B: getaddrinfo + connect, localhost", resolve_and_loop, "localhost", -1, 0},
    {"localhost", "init_inetsock_happy to localhost", happy, "localhost", -1, 1.5},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static int floor_of(int variant)
{
    /* The last two are a pair of their own. */
    return variants[variant].floor >= 0 ? variants[variant].floor : VARIANTS - 2;
}

static double wall_us[MOST_VARIANTS][TURNS], cpu_us[MOST_VARIANTS][TURNS];

static double clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *left, const void *right)
{
    double difference = *(const double *)left - *(const double *)right;
    return difference < 0 ? -1 : difference > 0;
}

static double median(const double *values)
{
    double sorted[TURNS];
    memcpy(sorted, values, sizeof sorted);
    qsort(sorted, TURNS, sizeof sorted[0], compare);
    return sorted[TURNS / 2];
}

static double ratio(double values[MOST_VARIANTS][TURNS], int variant)
{
    double ratios[TURNS];
    for (int turn = 0; turn < TURNS; turn++)
        ratios[turn] = values[variant][turn] / values[floor_of(variant)][turn];
    return median(ratios);
}

static void measure(const char *mode)
{
    bool progress = isatty(STDERR_FILENO);
    for (int i = 0; i < VARIANTS; i++)
        for (int warm_up = 0; warm_up < 20; warm_up++)
            variants[i].once(variants[i].name);
    for (int turn = 0; turn < TURNS; turn++) {
        if (progress)
            fprintf(stderr, "\r%s: turn %d of %d ", mode, turn + 1, TURNS);
        for (int i = 0; i < VARIANTS; i++) {
            int variant = (i + turn) % VARIANTS;
            double wall = clock_us(CLOCK_MONOTONIC), cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);
            for (int connects = 0; connects < CONNECTS; connects++)
                variants[variant].once(variants[variant].name);
            wall_us[variant][turn] = (clock_us(CLOCK_MONOTONIC) - wall) / CONNECTS;
            cpu_us[variant][turn] = (clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu) / CONNECTS;
        }
    }
    if (progress)
        fprintf(stderr, "\r%40s\r", "");
}

/* Prints the figures; the number of judged ratios that are too great. */
static int report(const char *mode, bool json, bool judge)
{
    int too_great = 0;
    if (json)
        printf("%s\"%s\":{", strcmp(mode, "free") == 0 ? "{" : ",", mode);
    else
        printf("%s\n%-40s %9s %9s %8s %8s\n", mode, "", "wall us", "CPU us", "x wall", "x CPU");
    for (int i = 0; i < VARIANTS; i++) {
        double wall = ratio(wall_us, i), cpu = ratio(cpu_us, i), most = judge ? variants[i].most : 0;
        bool bad = most > 0 && wall > most;
        too_great += bad;
        if (json)
            printf(
                "%s\"%s\":{\"wall_us\":%.2f,\"cpu_us\":%.2f,\"floor\":\"%s\",\"wall_ratio\":%.3f,\"cpu_ratio\":%.3f%s}",
                i ? "," : "", variants[i].key, median(wall_us[i]), median(cpu_us[i]), variants[floor_of(i)].key, wall,
                cpu, most > 0 ? (bad ? ",\"within_limit\":false" : ",\"within_limit\":true") : "");
        else
            printf("%-40s %9.1f %9.1f %8.2f %8.2f%s\n", variants[i].text, median(wall_us[i]), median(cpu_us[i]), wall,
                   cpu, bad ? "   too much" : "");
    }
    if (json)
        printf("}%s", strcmp(mode, "pinned") == 0 ? "}\n" : "");
    else
        putchar('\n');
    fflush(stdout);
    return too_great;
}

/* ---- The server
 * ------------------------------------------------------------------------------------------------------ */

static int listen_on(const struct sockaddr *address, socklen_t length)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, address, length) != 0 || listen(fd, 4096) != 0)
        fail("listen");
    return fd;
}

static _Noreturn void serve(int fds[2])
{
    struct pollfd ready[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}};
    for (;;) {
        if (poll(ready, 2, -1) < 0)
            exit(1);
        for (int i = 0; i < 2; i++) {
            int client = ready[i].revents ? accept4(fds[i], NULL, NULL, SOCK_CLOEXEC) : -1;
            if (client >= 0)
                close(client);
        }
    }
}

static pid_t start_server(void)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t length = sizeof four;
    int fds[2] = {listen_on((struct sockaddr *)&four, sizeof four), -1};
    getsockname(fds[0], (struct sockaddr *)&four, &length);
    six.sin6_port = four.sin_port;
    fds[1] = listen_on((struct sockaddr *)&six, sizeof six);
    snprintf(port, sizeof port, "%d", ntohs(four.sin_port));
    pid_t server = fork();
    if (server < 0)
        fail("fork");
    if (server == 0)
        serve(fds);
    close(fds[0]);
    close(fds[1]);
    return server;
}

int main(int argc, char **argv)
{
    bool json = false, check = false;
    for (int i = 1; i < argc; i++) {
        json |= strcmp(argv[i], "--json") == 0;
        check |= strcmp(argv[i], "--check") == 0;
        if (strcmp(argv[i], "--json") != 0 && strcmp(argv[i], "--check") != 0) {
            fprintf(stderr, "usage: connect_floor [--json] [--check]\n");
            return 2;
        }
    }
    if (getenv("HAPPYSOCK_TEST_NETWORK") == NULL) {
        fprintf(stderr, "run this through scripts/in-test-network\n");
        return 2;
    }
    pid_t server = start_server();
    int too_great = 0;
    if (!json)
        printf("%d turns of %d connects each; a ratio is to A for numeric addresses, else to B of the same name\n\n",
               TURNS, CONNECTS);
    fflush(stdout);
    /* Each mode in a process of its own: threads stay where they were made. */
    for (int pinned = 0; pinned < 2; pinned++) {
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            const char *mode = pinned ? "pinned" : "free";
            cpu_set_t first;
            CPU_ZERO(&first);
            CPU_SET(0, &first);
            if (pinned && sched_setaffinity(0, sizeof first, &first) != 0)
                fail("sched_setaffinity");
            measure(mode);
            exit(report(mode, json, !pinned));
        }
        int status;
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
            fail("a measurement ended early");
        too_great += pinned ? 0 : WEXITSTATUS(status);
    }
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    return check && too_great > 0;
}
