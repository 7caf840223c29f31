#define _GNU_SOURCE
#include "world.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- Servers -------------------------------------------------------------------------------------------------------- */

struct any_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t length;
};

static struct any_address loopback_address(int family, int port)
{
    struct any_address address;
    memset(&address, 0, sizeof address);
    if (family == AF_INET6) {
        address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
        address.length = sizeof address.v6;
    } else {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
        address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.length = sizeof address.v4;
    }
    return address;
}

/* The clients that keep the queues of the silent servers full. */
static int fillers[9];
static size_t fillers_count;

enum manner { REFUSES, ACCEPTS, SILENT };

/* A socket on the port (0: any) that treats connects in this manner; -1 if the port is in use. */
static int serve(int family, int port, enum manner manner)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1)
        die("socket");
    int on = 1;
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    struct any_address address = loopback_address(family, port);
    if (bind(fd, &address.any, address.length) == -1) {
        close(fd);
        return -1;
    }
    if (manner == ACCEPTS && listen(fd, 4096) == -1)
        die("listen");
    if (manner == SILENT) {
        if (listen(fd, 0) == -1 || getsockname(fd, &address.any, &address.length) == -1)
            die("listen");
        /* A full queue of connections that nobody accepts: the kernel drops every further SYN. These sockets stay open. */
        for (int i = 0; i < 3; i++) {
            int filler = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            if (filler == -1 || (connect(filler, &address.any, address.length) == -1 && errno != EINPROGRESS))
                die("filling the queue of a silent server");
            fillers[fillers_count++] = filler;
        }
    }
    return fd;
}

struct pair {
    int v6, v4;
};

/* The same port in both families. */
static struct pair serve_both(char *ret_port, enum manner v6, enum manner v4)
{
    for (int tries = 0; tries < 100; tries++) {
        struct pair pair = {serve(AF_INET6, 0, v6), -1};
        if (pair.v6 == -1)
            die("bind to ::1");
        struct any_address address = {.length = sizeof address.v6};
        if (getsockname(pair.v6, &address.any, &address.length) == -1)
            die("getsockname");
        int port = ntohs(address.v6.sin6_port);
        pair.v4 = serve(AF_INET, port, v4);
        if (pair.v4 != -1) {
            snprintf(ret_port, 8, "%d", port);
            return pair;
        }
        close(pair.v6);
    }
    errno = EADDRINUSE;
    die("a port that is free in both families");
}

/* Sends each client one byte, and closes when the client has closed. */
static _Noreturn void run_server(const int *listeners, size_t count)
{
    int set = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)listeners[i] | 1ull << 32};
        if (epoll_ctl(set, EPOLL_CTL_ADD, listeners[i], &event) == -1)
            _exit(2);
    }
    for (;;) {
        struct epoll_event ready[64];
        int n = epoll_wait(set, ready, 64, -1);
        for (int i = 0; i < n; i++) {
            int fd = (int)(ready[i].data.u64 & 0xffffffff);
            if (!(ready[i].data.u64 >> 32)) {
                close(fd);
                continue;
            }
            int client;
            while ((client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) != -1) {
                struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = (uint64_t)client};
                send(client, "x", 1, MSG_NOSIGNAL);
                epoll_ctl(set, EPOLL_CTL_ADD, client, &event);
            }
        }
    }
}

static void loopback_up(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo"};
    if (fd == -1 || ioctl(fd, SIOCGIFFLAGS, &request) == -1)
        die("the loopback interface");
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) == -1)
        die("the loopback interface");
    close(fd);
}

const char *stuck_name(void)
{
    static char name[32];
    static int number;
    snprintf(name, sizeof name, "%d.stuck.test", number++);
    return name;
}

void world_begin(struct world *ret_world)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    ret_world->dual = "dual.test";
    ret_world->slow = "slow.test";
    ret_world->own_client = false;
    ret_world->stuck = NULL;
    /* Its own ports and its own TIME_WAITs; without the right to a namespace the loopback of the system does. */
    if (unshare(CLONE_NEWNET) == 0)
        loopback_up();
    struct pair live = serve_both(ret_world->live, ACCEPTS, ACCEPTS);
    struct pair half = serve_both(ret_world->v6_refused, REFUSES, ACCEPTS);
    struct pair none = serve_both(ret_world->refused, REFUSES, REFUSES);
    struct pair v6_silent = serve_both(ret_world->v6_silent, SILENT, ACCEPTS);
    struct pair silent = serve_both(ret_world->silent, SILENT, SILENT);
    int listeners[] = {live.v6, live.v4, half.v4, v6_silent.v4};
    pid_t parent = getpid(), server = fork();
    if (server == -1)
        die("fork");
    if (server == 0) {
        prctl(PR_SET_NAME, "server");
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent)
            _exit(2);
        run_server(listeners, sizeof listeners / sizeof *listeners);
    }
    /* The ports stay reserved by the server's copies. */
    const struct pair all[] = {live, half, none, v6_silent, silent};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        close(all[i].v6);
        close(all[i].v4);
    }
    for (size_t i = 0; i < fillers_count; i++)
        close(fillers[i]);
}

bool server_answers(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char byte = 0;
    double end = seconds_now() + 20;
    int ready;
    do
        ready = poll(&wait, 1, 1000);
    while (ready <= 0 && (ready == 0 || errno == EINTR) && seconds_now() < end);
    bool answers = ready == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) == 1 && byte == 'x';
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    return answers;
}

/* ---- What a process holds -------------------------------------------------------------------------------------------- */

static int entries(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL)
        return -1;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

struct census census(void)
{
    struct census now = {entries("/proc/self/fd") - 1, entries("/proc/self/task"), 0};
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;
    if (file != NULL) {
        if (fscanf(file, "%*u %lu", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    now.bytes = pages * (size_t)sysconf(_SC_PAGESIZE);
    return now;
}

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

bool settles(int descriptors, int threads)
{
    double end = seconds_now() + 20;
    for (;;) {
        /* A worker that was abandoned lets go of what it holds a moment after; there is no event to wait for. */
        if ((descriptors < 0 || entries("/proc/self/fd") - 1 <= descriptors) &&
            (threads < 0 || entries("/proc/self/task") <= threads))
            return true;
        if (seconds_now() > end)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
}

/* ---- Children ------------------------------------------------------------------------------------------------------- */

void complain(struct report *report, const char *format, ...)
{
    if (report->message[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->message, sizeof report->message, format, arguments);
    va_end(arguments);
}

static struct report *shared_report(void)
{
    static struct report *shared;
    if (shared == NULL) {
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
            die("mmap");
    }
    memset(shared, 0, sizeof *shared);
    return shared;
}

void in_child(struct report *report, double limit, void (*body)(struct report *, void *), void *argument)
{
    struct report *shared = shared_report();
    fflush(stdout);
    sigset_t child, before;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    pid_t pid = fork();
    if (pid == -1)
        die("fork");
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        body(shared, argument);
        _exit(0);
    }
    int status = 0;
    double end = seconds_now() + limit;
    for (;;) {
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid)
            break;
        double left = end - seconds_now();
        if (left <= 0) {
            complain(shared, "hangs: not over after %.0f s", limit);
            kill(pid, SIGABRT);
            waitpid(pid, &status, 0);
            status = 0;
            break;
        }
        if (left > 1)
            left = 1;
        sigtimedwait(&child, NULL, &(struct timespec){.tv_sec = (time_t)left, .tv_nsec = (long)((left - (time_t)left) * 1e9)});
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (WIFSIGNALED(status))
        shared->killed_by = WTERMSIG(status);
    if (WIFSIGNALED(status))
        complain(shared, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        complain(shared, "exit status %d", WEXITSTATUS(status));
    *report = *shared;
}

/* ---- What is said --------------------------------------------------------------------------------------------------- */

static unsigned long passed, failed, skipped;
static double began, said;

void judge(const struct report *report, const char *format, ...)
{
    if (report->message[0] == '\0') {
        if (report->skipped)
            skipped++;
        else
            passed++;
        return;
    }
    failed++;
    va_list arguments;
    va_start(arguments, format);
    /* The first hundred say enough. */
    if (failed <= 100) {
        printf("FAILED: ");
        vprintf(format, arguments);
        printf(": %s\n", report->message);
    }
    va_end(arguments);
}

void progress(const char *format, ...)
{
    double now = seconds_now();
    bool terminal = isatty(2);
    if (began == 0)
        began = now;
    if (now - said < (terminal ? 0.1 : 5))
        return;
    said = now;
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, terminal ? "\r\033[K%4.0f s  " : "%4.0f s  ", now - began);
    vfprintf(stderr, format, arguments);
    if (!terminal)
        fputc('\n', stderr);
    fflush(stderr);
    va_end(arguments);
}

int summary(const char *what)
{
    if (isatty(2))
        fprintf(stderr, "\r\033[K");
    printf("%s:\n%lu passed, %lu failed", what, passed, failed);
    if (skipped > 0)
        printf(", %lu skipped", skipped);
    printf("\n");
    return failed == 0 && passed > 0 ? 0 : 1;
}

uint64_t random_next(uint64_t *state)
{
    /* splitmix64. */
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
