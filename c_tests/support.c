#define _GNU_SOURCE
#include "support.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Without it the tests would find other names and addresses, or reach the machine's own. */
__attribute__((constructor)) static void require_the_test_network(void)
{
    const char *network = getenv("HAPPYSOCK_TEST_NETWORK");
    if (network == NULL || strcmp(network, "ready") != 0) {
        fprintf(stderr, "run this test through scripts/in-test-network\n");
        exit(2);
    }
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "test support: %s: %s\n", what, strerror(errno));
    abort();
}

/* A name server that is silent is given up after SILENCE_MS, not sooner: what a test does meanwhile may take long on a
 * machine that is busy. The file is this network's own, and nothing has read it yet. */
__attribute__((constructor(101))) static void wait_long_for_silent_name_servers(void)
{
    const char *network = getenv("HAPPYSOCK_TEST_NETWORK");
    if (network == NULL || strcmp(network, "ready") != 0)
        return;
    FILE *file = fopen("/etc/resolv.conf", "we");
    if (file == NULL || fprintf(file, "nameserver 127.0.0.53\noptions timeout:%d attempts:1\n", SILENCE_MS / 1000) < 0 ||
        fclose(file) != 0)
        give_up("/etc/resolv.conf");
}

double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    if (directory == NULL)
        give_up("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(directory));) {
        char target[64];
        /* Pipes are the surroundings': the thread sanitizer starts a program that reads symbols for it. The library has
         * none. */
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof target);
        count += length > 0 && strncmp(target, "pipe:", 5) != 0;
    }
    closedir(directory);
    /* The one that read the directory is not counted. */
    return count - 1;
}

void look_up_by_libc(bool on)
{
    if ((on ? setenv("HAPPYSOCK_DNS", "libc", 1) : unsetenv("HAPPYSOCK_DNS")) != 0)
        give_up("HAPPYSOCK_DNS");
}

int workers(void)
{
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    if (directory == NULL)
        give_up("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(directory));) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        /* A thread may have ended meanwhile. */
        if (file && fgets(name, sizeof name, file))
            count += strncmp(name, "happysock", 9) == 0;
        if (file)
            fclose(file);
    }
    closedir(directory);
    return count;
}

/* How many workers are about something: a worker without work sleeps on a futex. */
static int workers_at_work(void)
{
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    if (directory == NULL)
        give_up("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(directory));) {
        char path[300], name[32] = "", call[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file && !fgets(name, sizeof name, file))
            name[0] = 0;
        if (file)
            fclose(file);
        if (strncmp(name, "happysock", 9) != 0)
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/syscall", entry->d_name);
        file = fopen(path, "re");
        if (file && fgets(call, sizeof call, file))
            count += atoi(call) != SYS_futex;
        if (file)
            fclose(file);
    }
    closedir(directory);
    return count;
}

int settled_descriptors(void)
{
    double until = now_ms() + PATIENCE_MS;
    while (workers_at_work() > 0 && now_ms() < until)
        usleep(1000);
    return open_descriptors();
}

void check_descriptors(int expected)
{
    double until = now_ms() + PATIENCE_MS;
    while (open_descriptors() != expected && now_ms() < until)
        usleep(1000);
    assert_int_equal(open_descriptors(), expected);
}

void wait_for_workers_to_leave(void)
{
    double until = now_ms() + PATIENCE_MS;
    while (workers() > 0 && now_ms() < until)
        usleep(20000);
    assert_int_equal(workers(), 0);
}

bool wait_readable(int fd, int limit_ms)
{
    struct pollfd descriptor = {fd, POLLIN, 0};
    double until = now_ms() + limit_ms;
    for (;;) {
        double left = until - now_ms();
        int ready = poll(&descriptor, 1, left > 0 ? (int)left + 1 : 0);
        if (ready >= 0 || errno != EINTR)
            return ready > 0;
    }
}

bool is_readable(int fd)
{
    return wait_readable(fd, 0);
}

/* ---- Servers ----------------------------------------------------------------------------------------------------- */

static socklen_t numeric(const char *address, int port, struct sockaddr_storage *storage)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    char text[12];
    snprintf(text, sizeof text, "%d", port);
    if (getaddrinfo(address, text, &hints, &list) != 0)
        give_up(address);
    memcpy(storage, list->ai_addr, list->ai_addrlen);
    socklen_t length = list->ai_addrlen;
    freeaddrinfo(list);
    return length;
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        give_up("getsockname");
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static int bind_to(const char *address, int port)
{
    struct sockaddr_storage storage;
    socklen_t length = numeric(address, port, &storage);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        give_up("socket");
    if (storage.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&storage, length) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int listen_on(const char *address, int *port)
{
    int fd = bind_to(address, *port);
    if (fd < 0)
        return -1;
    if (listen(fd, 4096) != 0)
        give_up("listen");
    *port = port_of(fd);
    return fd;
}

void listen_on_both(const char *first, const char *second, int fds[2], int *port)
{
    for (int tries = 0; tries < 100; tries++) {
        *port = 0;
        fds[0] = listen_on(first, port);
        fds[1] = listen_on(second, port);
        if (fds[1] >= 0)
            return;
        close(fds[0]);
    }
    give_up("no port is free on both addresses");
}

int closed_port(void)
{
    int fds[2], port;
    listen_on_both("127.0.0.1", "::1", fds, &port);
    close(fds[0]);
    close(fds[1]);
    return port;
}

const char *service(int port)
{
    static _Thread_local char texts[4][12];
    static _Thread_local unsigned next;
    char *text = texts[next++ % COUNT_OF(texts)];
    snprintf(text, sizeof texts[0], "%d", port);
    return text;
}

int silent_dns_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
    inet_pton(AF_INET, "127.0.0.53", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;
    /* A test that failed may have left its own behind. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        give_up("a DNS server at 127.0.0.53");
    return fd;
}

happy_lookup *started_lookup(const char *node, int timeout_ms)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    happy_lookup *lookup = NULL;
    assert_int_equal(happy_lookup_new(node, "80", &hints, timeout_ms, &lookup), HAPPY_OK);
    assert_non_null(lookup);
    assert_int_equal(happy_lookup_start(lookup), HAPPY_OK);
    return lookup;
}

/* ---- Scripts ----------------------------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool released;
static int running_lookups;

static void pause_ms(int milliseconds)
{
    struct timespec pause = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        ;
}

static void change_running(int by)
{
    pthread_mutex_lock(&lock);
    __atomic_add_fetch(&running_lookups, by, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void wait_for_running_lookups(int count)
{
    struct timespec until;
    int error = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&lock);
    while (running_lookups != count && error == 0)
        error = pthread_cond_timedwait(&changed, &lock, &until);
    int running = running_lookups;
    pthread_mutex_unlock(&lock);
    assert_int_equal(running, count);
}

static void set_released(bool value)
{
    pthread_mutex_lock(&lock);
    released = value;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void script_release(void)
{
    set_released(true);
}

void script_hold(void)
{
    set_released(false);
}

static struct addrinfo *new_entry(const char *address, const char *service_name)
{
    /* One block, so that the free function has one thing to free; not what freeaddrinfo(3) could free. */
    struct block {
        struct addrinfo entry;
        struct sockaddr_storage address;
    } *block = calloc(1, sizeof *block);
    if (block == NULL)
        give_up("calloc");
    block->entry.ai_addr = (struct sockaddr *)&block->address;
    block->entry.ai_addrlen = numeric(address, service_name ? atoi(service_name) : 0, &block->address);
    block->entry.ai_family = block->address.ss_family;
    block->entry.ai_socktype = SOCK_STREAM;
    block->entry.ai_protocol = IPPROTO_TCP;
    return &block->entry;
}

int script_lookup(const char *node, const char *service_name, const struct addrinfo *hints, struct addrinfo **ret_res,
                  void *userdata)
{
    struct script *script = userdata;
    (void)node;
    __atomic_add_fetch(&script->lookups, 1, __ATOMIC_SEQ_CST);
    /* Without a race both families are asked at once; the script then answers IPv6 first. */
    const struct script_answer *answers[2] = {&script->six, &script->four};
    int first = hints->ai_family == AF_INET, end = hints->ai_family == AF_INET6 ? 1 : 2;
    struct addrinfo *list = NULL, **tail = &list;
    int gai_error = 0, sys_errno = 0;
    change_running(1);
    for (int i = first; i < end; i++) {
        if (answers[i]->delay_ms < 0) {
            pthread_mutex_lock(&lock);
            while (!released)
                pthread_cond_wait(&changed, &lock);
            pthread_mutex_unlock(&lock);
        } else if (answers[i]->delay_ms > 0) {
            pause_ms(answers[i]->delay_ms);
        }
        if (answers[i]->gai_error != 0) {
            gai_error = answers[i]->gai_error;
            sys_errno = answers[i]->sys_errno;
        }
        for (size_t a = 0; answers[i]->gai_error == 0 && answers[i]->addresses[a]; a++) {
            *tail = new_entry(answers[i]->addresses[a], service_name);
            tail = &(*tail)->ai_next;
        }
    }
    change_running(-1);
    if (list != NULL) {
        *ret_res = list;
        return 0;
    }
    errno = sys_errno;
    return gai_error != 0 ? gai_error : EAI_NONAME;
}

void script_lookup_free(struct addrinfo *list, void *userdata)
{
    struct script *script = userdata;
    __atomic_add_fetch(&script->frees, 1, __ATOMIC_SEQ_CST);
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

int script_configure_socket(int fd, const struct sockaddr *address, socklen_t length, void *userdata)
{
    struct script *script = userdata;
    struct sockaddr_storage name;
    socklen_t name_length = sizeof name;
    script->sockets_configured++;
    /* Neither bound nor connected yet. */
    if (fd < 0 || length == 0 || getpeername(fd, (struct sockaddr *)&name, &name_length) == 0)
        return EPROTO;
    return address->sa_family == script->refuse_family ? script->refuse_errno : 0;
}

void script_trace(const happy_trace_event *event, void *userdata)
{
    struct script *script = userdata;
    if ((size_t)script->events < COUNT_OF(script->kinds))
        script->kinds[script->events] = event->kind;
    script->events++;
    if (script->on_event)
        script->on_event(event, script);
}

void script_userdata_free(void *userdata)
{
    struct script *script = userdata;
    __atomic_add_fetch(&script->userdata_frees, 1, __ATOMIC_SEQ_CST);
}

void wait_for_userdata_free(const struct script *script)
{
    double until = now_ms() + PATIENCE_MS;
    while (__atomic_load_n(&script->userdata_frees, __ATOMIC_SEQ_CST) == 0 && now_ms() < until)
        pause_ms(1);
    assert_int_equal(__atomic_load_n(&script->userdata_frees, __ATOMIC_SEQ_CST), 1);
}

happy_options script_options(struct script *script)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.lookup = script_lookup;
    options.lookup_free = script_lookup_free;
    options.configure_socket = script_configure_socket;
    options.trace = script_trace;
    options.userdata = script;
    options.userdata_free = script_userdata_free;
    return options;
}

bool script_saw(const struct script *script, int kind)
{
    for (int i = 0; i < script->events && i < (int)COUNT_OF(script->kinds); i++)
        if (script->kinds[i] == kind)
            return true;
    return false;
}

/* ---- Checks ------------------------------------------------------------------------------------------------------ */

const char *result_address(const happy_result *result)
{
    static char text[NI_MAXHOST];
    if (result->address_length == 0)
        return "";
    if (getnameinfo((const struct sockaddr *)&result->address, result->address_length, text, sizeof text, NULL, 0,
                    NI_NUMERICHOST) != 0)
        give_up("getnameinfo");
    return text;
}

void clear_result(struct roomy_result *roomy)
{
    happy_result empty = HAPPY_RESULT_INIT;
    memset(roomy->attempts, 0, sizeof roomy->attempts);
    roomy->result = empty;
    roomy->result.attempts = roomy->attempts;
    roomy->result.attempts_capacity = COUNT_OF(roomy->attempts);
}

void check_socket(int fd, bool nonblocking)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    assert_true(fd >= 0);
    assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &length), 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, nonblocking);
}
