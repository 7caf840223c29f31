/* What one connect costs, next to what the same system calls cost without a library.
 *
 *   A        socket + connect + close to a numeric address
 *   B        getaddrinfo(AF_UNSPEC) + a loop of socket + connect, on one thread: what a program does that knows no
 *            race; for a name that stands in /etc/hosts as ::1 and as 127.0.0.1, and for one that DNS knows so
 *   C        two threads made for each lookup, one a family, that report through an eventfd: the plain way to a race
 *   floor    DNS over two kept sockets, one a family, + socket + connect: what asking costs at the least
 *   numeric  init_inetsock_happy to a numeric address
 *   name     init_inetsock_happy by name, and by "localhost"
 *   libcurl  CURLOPT_CONNECT_ONLY, handle reused, its cache of names off
 *   c-ares   ares_getaddrinfo, channel reused, + socket + connect
 *
 * The variants take turns in one run, in blocks; a variant's figure is the median of its blocks, a ratio the median of
 * the ratios within each turn. Then the system calls of each are counted, those of its threads included. All connects
 * go to a server in another process, multi_server, and end with RST, so that no port is left in TIME_WAIT. Runs inside
 * scripts/in-test-network. */
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
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_CURL
#include <curl/curl.h>
#endif
#ifdef WITH_CARES
#include <ares.h>
#endif

enum { CONNECTS = 100, TURNS = 41, MOST_VARIANTS = 16 };

static const char *port;

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

#ifdef WITH_CARES
struct found {
    bool ended;
    int fd;
};

static void found(void *argument, int status, int timeouts, struct ares_addrinfo *result)
{
    struct found *found = argument;
    (void)timeouts;
    found->ended = true;
    for (struct ares_addrinfo_node *node = status == ARES_SUCCESS ? result->nodes : NULL; node; node = node->ai_next) {
        found->fd = socket(node->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(found->fd, node->ai_addr, node->ai_addrlen) == 0)
            break;
        close(found->fd);
        found->fd = -1;
    }
    if (result != NULL)
        ares_freeaddrinfo(result);
}

static void with_cares(const char *name)
{
    static ares_channel channel;
    struct ares_addrinfo_hints hints = {.ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NUMERICSERV};
    struct found state = {false, -1};
    if (channel == NULL &&
        (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS || ares_init(&channel) != ARES_SUCCESS))
        fail("c-ares");
    ares_getaddrinfo(channel, name, port, &hints, found, &state);
    while (!state.ended) {
        ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
        struct pollfd ready[ARES_GETSOCK_MAXNUM];
        struct timeval most = {5, 0}, left, *wait = ares_timeout(channel, &most, &left);
        int wanted = ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM), count = 0;
        for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++)
            if (ARES_GETSOCK_READABLE(wanted, i) || ARES_GETSOCK_WRITABLE(wanted, i))
                ready[count++] =
                    (struct pollfd){sockets[i], ARES_GETSOCK_WRITABLE(wanted, i) ? POLLIN | POLLOUT : POLLIN, 0};
        poll(ready, (nfds_t)count, (int)(wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1));
        for (int i = 0; i < count; i++)
            if (ready[i].revents)
                ares_process_fd(channel, ready[i].revents & ~POLLOUT ? ready[i].fd : ARES_SOCKET_BAD,
                                ready[i].revents & POLLOUT ? ready[i].fd : ARES_SOCKET_BAD);
        if (count == 0)
            ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
    if (state.fd < 0)
        fail(name);
    close_with_reset(state.fd);
}
#endif

/* A question for one family (RFC 1035, section 4.1), over a socket that was made once. */
static void send_question(int fd, const char *name, unsigned short id, int type)
{
    unsigned char packet[300] = {(unsigned char)(id >> 8), (unsigned char)id, 1, 0, 0, 1};
    size_t length = 12;
    for (const char *label = name; *label != '\0'; label += strcspn(label, ".") + (label[strcspn(label, ".")] == '.')) {
        packet[length] = (unsigned char)strcspn(label, ".");
        memcpy(packet + length + 1, label, packet[length]);
        length += packet[length] + 1u;
    }
    packet[length + 2] = (unsigned char)type;
    packet[length + 4] = 1;
    if (send(fd, packet, length + 5, 0) < 0)
        fail("send");
}

static void dns_floor(const char *name)
{
    static int sockets[2] = {-1, -1};
    static unsigned short id;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(53)};
    for (int i = 0; i < 2 && sockets[1] < 0; i++) {
        inet_pton(AF_INET, "127.0.0.53", &server.sin_addr);
        sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (sockets[i] < 0 || connect(sockets[i], (struct sockaddr *)&server, sizeof server) != 0)
            fail("socket");
    }
    unsigned char answer[512];
    id++;
    send_question(sockets[0], name, id, 28);
    send_question(sockets[1], name, id, 1);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
    ssize_t length = recv(sockets[0], answer, sizeof answer, 0);
    /* Its one record is the last thing in it. */
    if (length < 28 || answer[7] != 1)
        fail("recv");
    memcpy(&address.sin6_addr, answer + length - 16, 16);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    /* The other answer, so that it is not in the way of the next. */
    if (recv(sockets[1], answer, sizeof answer, 0) < 12)
        fail("recv");
    close_with_reset(fd);
}

/* ---- The run --------------------------------------------------------------------------------------------------------
 */

struct variant {
    const char *key, *text;
    void (*once)(const char *name);
    const char *name;
    /* The key of what it is compared with, the greatest ratio and the most system calls that are allowed (0: not
     * judged). */
    const char *floor;
    double most;
    int most_calls;
};

static const struct variant variants[] = {
    {"A", "A: socket + connect + close to ::1", plain, "::1", "A", 0, 0},
    {"numeric", "init_inetsock_happy to ::1", happy, "::1", "A", 1.15, 0},
    {"B", "B: getaddrinfo + connect, dual.test", resolve_and_loop, "dual.test", "B", 0, 0},
    {"name", "init_inetsock_happy to dual.test", happy, "dual.test", "B", 0.6, 0},
    {"C", "C: two threads a lookup, dual.test", two_threads, "dual.test", "B", 0, 0},
#ifdef WITH_CURL
    {"libcurl", "libcurl to dual.test", with_curl, "dual.test", "B", 0, 0},
#endif
#ifdef WITH_CARES
    {"c_ares", "c-ares to dual.test", with_cares, "dual.test", "B", 0, 0},
#endif
    {"B_localhost", "B: getaddrinfo + connect, localhost", resolve_and_loop, "localhost", "B_localhost", 0, 0},
    {"localhost", "init_inetsock_happy to localhost", happy, "localhost", "B_localhost", 0.6, 0},
    {"B_dns", "B: getaddrinfo + connect, by DNS", resolve_and_loop, "1-now.test", "B_dns", 0, 0},
    {"dns", "init_inetsock_happy, by DNS", happy, "1-now.test", "B_dns", 0.8, 20},
    {"dns_floor", "floor: two kept sockets, by DNS", dns_floor, "1-now.test", "B_dns", 0, 0},
#ifdef WITH_CARES
    {"dns_c_ares", "c-ares, by DNS", with_cares, "1-now.test", "B_dns", 0, 0},
#endif
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static int floor_of(int variant)
{
    int place = 0;
    while (strcmp(variants[place].key, variants[variant].floor) != 0)
        place++;
    return place;
}

static double wall_us[MOST_VARIANTS][TURNS], cpu_us[MOST_VARIANTS][TURNS], calls[MOST_VARIANTS];

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

/* ---- System calls --------------------------------------------------------------------------------------------------
 */

enum { COUNTED = 10 };

/* What is counted lies between two calls that nothing else makes. */
static _Noreturn void be_counted(const struct variant *variant)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        fail("ptrace");
    raise(SIGSTOP);
    for (int warm_up = 0; warm_up < 5; warm_up++)
        variant->once(variant->name);
    getppid();
    for (int i = 0; i < COUNTED; i++)
        variant->once(variant->name);
    getppid();
    _exit(0);
}

/* The system calls of one connect, those of all threads. */
static double count_calls(const struct variant *variant)
{
    pid_t child = fork(), traced;
    int status, marks = 0;
    long entered = 0;
    if (child == 0)
        be_counted(variant);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        fail("fork");
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)options) != 0)
        fail("ptrace");
    ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    while ((traced = waitpid(-1, &status, __WALL)) > 0) {
        if (!WIFSTOPPED(status)) {
            if (traced == child)
                break;
            continue;
        }
        int signal = WSTOPSIG(status);
        if (signal == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            ptrace(PTRACE_GET_SYSCALL_INFO, traced, (void *)sizeof info, &info);
            bool enters = info.op == PTRACE_SYSCALL_INFO_ENTRY;
            if (enters && info.entry.nr == SYS_getppid)
                marks++;
            else if (enters && marks == 1)
                entered++;
        }
        bool ours = signal == (SIGTRAP | 0x80) || signal == SIGTRAP || signal == SIGSTOP;
        ptrace(PTRACE_SYSCALL, traced, NULL, (void *)(long)(ours ? 0 : signal));
    }
    return (double)entered / COUNTED;
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
        printf("%s\n%-40s %9s %9s %8s %8s %8s\n", mode, "", "wall us", "CPU us", "x wall", "x CPU", "calls");
    for (int i = 0; i < VARIANTS; i++) {
        double wall = ratio(wall_us, i), cpu = ratio(cpu_us, i), most = judge ? variants[i].most : 0;
        bool bad =
            (most > 0 && wall > most) || (judge && variants[i].most_calls > 0 && calls[i] > variants[i].most_calls);
        too_great += bad;
        if (json)
            printf("%s\"%s\":{\"wall_us\":%.2f,\"cpu_us\":%.2f,\"floor\":\"%s\",\"wall_ratio\":%.3f,\"cpu_ratio\":%.3f,"
                   "\"calls\":%.1f%s}",
                   i ? "," : "", variants[i].key, median(wall_us[i]), median(cpu_us[i]), variants[floor_of(i)].key,
                   wall, cpu, calls[i], most > 0 ? (bad ? ",\"within_limit\":false" : ",\"within_limit\":true") : "");
        else
            printf("%-40s %9.1f %9.1f %8.2f %8.2f %8.1f%s\n", variants[i].text, median(wall_us[i]), median(cpu_us[i]),
                   wall, cpu, calls[i], bad ? "   too much" : "");
    }
    if (json)
        printf("}%s", strcmp(mode, "pinned") == 0 ? "}\n" : "");
    else
        putchar('\n');
    fflush(stdout);
    return too_great;
}

int main(int argc, char **argv)
{
    bool json = false, check = false;
    port = argc > 1 ? argv[1] : "";
    for (int i = 2; i < argc; i++) {
        json |= strcmp(argv[i], "--json") == 0;
        check |= strcmp(argv[i], "--check") == 0;
        if (strcmp(argv[i], "--json") != 0 && strcmp(argv[i], "--check") != 0)
            port = "";
    }
    if (atoi(port) == 0 || getenv("HAPPYSOCK_TEST_NETWORK") == NULL) {
        fprintf(stderr, "usage: scripts/in-test-network multi_server PORT 0 connect_floor PORT [--json] [--check]\n");
        return 2;
    }
    int too_great = 0;
    if (!json)
        printf("%d turns of %d connects each; a ratio is to A for numeric addresses, else to B for the same name; "
               "calls are\n"
               "system calls, with setsockopt and close of the socket at its end\n\n",
               TURNS, CONNECTS);
    fflush(stdout);
    for (int i = 0; i < VARIANTS; i++)
        calls[i] = count_calls(&variants[i]);
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
    return check && too_great > 0;
}
