/*
 * What the library for LD_PRELOAD does with sockets of every kind, seen from inside a program. Run with it, in the network
 * of scripts/in-test-network: half.test has a silent IPv6 address and a live IPv4 one.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Longer than the Connection Attempt Delay: a connect that is raced has won by then on a machine that is not stalled. */
#define OWN_LIMIT_MS 600

/* ---- What the tests are made of -------------------------------------------------------------------------------------- */

/* A listener of both families on a port of its own, so that no answer of another test has its addresses. */
static int
listen_at(char port[8])
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    snprintf(port, 8, "%u", ntohs(address.sin6_port));
    return fd;
}

static struct addrinfo *
look_up(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;

    assert_int_equal(getaddrinfo(host, port, &hints, &list), 0);
    assert_non_null(list);
    return list;
}

/* A socket for the first address of a list. */
static int
socket_for(const struct addrinfo *node, int type)
{
    int fd = socket(node->ai_family, node->ai_socktype | type, node->ai_protocol);

    assert_true(fd >= 0);
    return fd;
}

static ino_t
identity_of(int fd)
{
    struct stat status;

    assert_int_equal(fstat(fd, &status), 0);
    return status.st_ino;
}

static int
peer_family(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;

    return getpeername(fd, (struct sockaddr *)&peer, &length) == 0 ? peer.ss_family : -errno;
}

static void
set_int(int fd, int level, int name, int value)
{
    assert_int_equal(setsockopt(fd, level, name, &value, sizeof value), 0);
}

static int
get_int(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;

    assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

static void
set_limit(int fd, int ms)
{
    struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
}

static void
set_timer(int ms)
{
    struct itimerval timer = {{0, ms * 1000}, {0, ms * 1000}};

    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void
set_handler(void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
}

static int
count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* The connect must be the kernel's alone: it does not end before the caller's own limit. */
static void
assert_left_alone(int fd, const struct addrinfo *node)
{
    ino_t before = identity_of(fd);

    set_limit(fd, OWN_LIMIT_MS);
    assert_int_equal(connect(fd, node->ai_addr, node->ai_addrlen), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(identity_of(fd), before);
}

/* ---- Connects -------------------------------------------------------------------------------------------------------- */

static void
a_half_dead_name_is_raced(void **unused)
{
    char port[8];
    int listener = listen_at(port);
    struct addrinfo *list = look_up("half.test", port);

    (void)unused;
    for (int type = 0; type <= SOCK_CLOEXEC; type += SOCK_CLOEXEC) {
        int fd = socket_for(list, type);

        assert_int_equal(list->ai_family, AF_INET6);
        assert_int_equal(connect(fd, list->ai_addr, list->ai_addrlen), 0);
        assert_int_equal(peer_family(fd), AF_INET);
        assert_int_equal(fcntl(fd, F_GETFD), type ? FD_CLOEXEC : 0);
        assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        close(fd);
    }
    freeaddrinfo(list);
    close(listener);
}

static void
a_port_that_the_program_puts_there_itself_is_raced(void **unused)
{
    char port[8];
    int listener = listen_at(port);
    struct addrinfo *list = look_up("half.test", NULL);
    int fd = socket_for(list, 0);

    (void)unused;
    ((struct sockaddr_in6 *)list->ai_addr)->sin6_port = htons(atoi(port));
    assert_int_equal(connect(fd, list->ai_addr, list->ai_addrlen), 0);
    assert_int_equal(peer_family(fd), AF_INET);
    close(fd);
    freeaddrinfo(list);
    close(listener);
}

static void
a_socket_that_connects_stays_the_same(void **unused)
{
    char port[8];
    int listener = listen_at(port);
    struct addrinfo *list = look_up("live.test", port);
    int fd = socket_for(list, 0);
    ino_t before = identity_of(fd);

    (void)unused;
    assert_int_equal(connect(fd, list->ai_addr, list->ai_addrlen), 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    /* On a machine that was stalled for long another address may have won. */
    if (peer_family(fd) == list->ai_family) assert_int_equal(identity_of(fd), before);
    close(fd);
    freeaddrinfo(list);
    close(listener);
}

static void
options_are_carried_over(void **unused)
{
    char port[8];
    int listener = listen_at(port);
    struct addrinfo *list = look_up("half.test", port);
    struct linger linger = {.l_onoff = 1, .l_linger = 7};
    int fd = socket_for(list, 0), buffer;
    socklen_t length = sizeof linger;

    (void)unused;
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, SOL_SOCKET, SO_RCVBUF, 10000);
    set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, 0x28);
    set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    buffer = get_int(fd, SOL_SOCKET, SO_RCVBUF);
    assert_int_equal(connect(fd, list->ai_addr, list->ai_addrlen), 0);
    assert_int_equal(peer_family(fd), AF_INET);
    assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(get_int(fd, SOL_SOCKET, SO_RCVBUF), buffer);
    assert_int_equal(get_int(fd, IPPROTO_IP, IP_TOS), 0x28);
    assert_int_equal(get_int(fd, IPPROTO_IP, IP_TTL), 33);
    memset(&linger, 0, sizeof linger);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length), 0);
    assert_int_equal(linger.l_linger, 7);
    close(fd);
    freeaddrinfo(list);
    close(listener);
}

static void
other_sockets_are_left_alone(void **unused)
{
    char port[8];
    int listener = listen_at(port);
    struct addrinfo *list = look_up("half.test", port);
    struct sockaddr_in6 local = {.sin6_family = AF_INET6};
    int fd = socket_for(list, 0);
    ino_t before;

    (void)unused;
    /* Bound. */
    assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof local), 0);
    assert_left_alone(fd, list);
    close(fd);
    /* Non-blocking: it answers at once. */
    fd = socket_for(list, SOCK_NONBLOCK);
    before = identity_of(fd);
    assert_int_equal(connect(fd, list->ai_addr, list->ai_addrlen), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(identity_of(fd), before);
    close(fd);
    /* Not TCP. */
    fd = socket(AF_INET6, SOCK_DGRAM, 0);
    before = identity_of(fd);
    assert_int_equal(connect(fd, list->ai_addr, list->ai_addrlen), 0);
    assert_int_equal(identity_of(fd), before);
    assert_int_equal(peer_family(fd), AF_INET6);
    close(fd);
    freeaddrinfo(list);
    close(listener);
}

static void
an_address_that_was_not_looked_up_is_left_alone(void **unused)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    struct addrinfo node = {.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM,
                            .ai_addr = (struct sockaddr *)&address, .ai_addrlen = sizeof address};
    int fd = socket_for(&node, 0);

    (void)unused;
    inet_pton(AF_INET6, "2001:db8::1234", &address.sin6_addr);
    assert_left_alone(fd, &node);
    close(fd);
}

/* half.test and silent.test share their IPv6 address: which of the two the program means is not known. */
static void
an_address_of_two_names_is_not_raced_with_what_one_of_them_has_not(void **unused)
{
    char port[8];
    int listener = listen_at(port);
    struct addrinfo *silent = look_up("silent.test", port), *half = look_up("half.test", port);
    int fd = socket_for(half, 0);

    (void)unused;
    assert_left_alone(fd, half);
    close(fd);
    freeaddrinfo(half);
    freeaddrinfo(silent);
    close(listener);
}

static void
the_callers_limit_holds(void **unused)
{
    struct addrinfo *list = look_up("silent.test", "7");
    int fd = socket_for(list, 0);

    (void)unused;
    assert_left_alone(fd, list);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    close(fd);
    freeaddrinfo(list);
}

static void
a_failure_is_that_of_the_callers_own_address(void **unused)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    socklen_t length = sizeof address;
    int holder = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
    struct addrinfo *list;
    char port[8];
    ino_t before;

    (void)unused;
    /* Bound and not listening: the port refuses, and nobody else gets it. */
    assert_int_equal(bind(holder, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(holder, (struct sockaddr *)&address, &length), 0);
    snprintf(port, sizeof port, "%u", ntohs(address.sin6_port));
    list = look_up("live.test", port);
    fd = socket_for(list, 0);
    before = identity_of(fd);
    assert_int_equal(connect(fd, list->ai_addr, list->ai_addrlen), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(identity_of(fd), before);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    close(fd);
    freeaddrinfo(list);
    close(holder);
}

static void *
connect_half(void *port)
{
    struct addrinfo *list = look_up("half.test", port);
    int fd = socket_for(list, 0);
    intptr_t family = connect(fd, list->ai_addr, list->ai_addrlen) == 0 ? peer_family(fd) : -errno;

    freeaddrinfo(list);
    close(fd);
    return (void *)family;
}

static void
many_threads_connect(void **unused)
{
    enum { THREADS = 8 };
    char port[8];
    int listener = listen_at(port);
    pthread_t threads[THREADS];

    (void)unused;
    for (int index = 0; index < THREADS; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, connect_half, port), 0);
    }
    for (int index = 0; index < THREADS; index++) {
        void *family;

        pthread_join(threads[index], &family);
        assert_int_equal((intptr_t)family, AF_INET);
    }
    close(listener);
}

static void
a_child_connects_with_its_parents_answer(void **unused)
{
    char port[8];
    int listener = listen_at(port), status;
    struct addrinfo *list = look_up("half.test", port);
    pid_t child = fork();

    (void)unused;
    if (child == 0) {
        int fd = socket(list->ai_family, SOCK_STREAM, 0);

        _exit(connect(fd, list->ai_addr, list->ai_addrlen) == 0 && peer_family(fd) == AF_INET ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    freeaddrinfo(list);
    close(listener);
}

/* ---- Signals and cancelled threads ----------------------------------------------------------------------------------- */

static volatile sig_atomic_t signals;

static void
count_signal(int signal)
{
    (void)signal;
    signals++;
}

static void
a_signal_interrupts_as_its_handler_says(void **unused)
{
    char port[8];
    int listener = listen_at(port);
    struct addrinfo *silent = look_up("silent.test", "11"), *half = look_up("half.test", port);
    int fd = socket_for(silent, 0);

    (void)unused;
    signals = 0;
    set_handler(count_signal, 0);
    set_timer(20);
    assert_int_equal(connect(fd, silent->ai_addr, silent->ai_addrlen), -1);
    set_timer(0);
    assert_int_equal(errno, EINTR);
    assert_true(signals > 0);
    /* As after a connect(2) of the kernel's: it goes on. */
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(peer_family(fd), -ENOTCONN);
    close(fd);

    signals = 0;
    set_handler(count_signal, SA_RESTART);
    set_timer(20);
    fd = socket_for(half, 0);
    assert_int_equal(connect(fd, half->ai_addr, half->ai_addrlen), 0);
    set_timer(0);
    assert_true(signals > 0);
    assert_int_equal(peer_family(fd), AF_INET);
    close(fd);
    set_handler(SIG_DFL, 0);
    freeaddrinfo(half);
    freeaddrinfo(silent);
    close(listener);
}

static sigjmp_buf jump;

static void
jump_out(int signal)
{
    set_timer(0);
    siglongjmp(jump, signal);
}

/* As wget does at a limit. In a function of its own: what it has in registers is lost with the jump. */
static void __attribute__((noinline))
connect_until_signal(const struct addrinfo *node)
{
    int fd = socket_for(node, 0);
    static volatile int open_fd;

    open_fd = fd;
    if (sigsetjmp(jump, 1) == 0) {
        set_timer(300);
        connect(fd, node->ai_addr, node->ai_addrlen);
        fail_msg("connect(2) returned");
    }
    close(open_fd);
}

static void
a_connect_that_is_left_by_a_jump_leaks_nothing(void **unused)
{
    char port[8];
    int listener = listen_at(port), before, fd;
    struct addrinfo *silent = look_up("silent.test", "13"), *half = look_up("half.test", port);

    (void)unused;
    before = count_descriptors();
    set_handler(jump_out, 0);
    for (int round = 0; round < 3; round++) connect_until_signal(silent);
    set_handler(SIG_DFL, 0);
    fd = socket_for(half, 0);
    assert_int_equal(connect(fd, half->ai_addr, half->ai_addrlen), 0);
    assert_int_equal(peer_family(fd), AF_INET);
    close(fd);
    assert_int_equal(count_descriptors(), before);
    freeaddrinfo(half);
    freeaddrinfo(silent);
    close(listener);
}

static const struct addrinfo *inner;
static volatile sig_atomic_t inner_family;

static void
connect_inside(int signal)
{
    int fd = socket(inner->ai_family, SOCK_STREAM, 0), error = errno;

    (void)signal;
    set_timer(0);
    if (connect(fd, inner->ai_addr, inner->ai_addrlen) == 0) inner_family = peer_family(fd);
    close(fd);
    errno = error;
}

static void
a_handler_connects_while_a_connect_waits(void **unused)
{
    char port[8];
    int listener = listen_at(port);
    struct addrinfo *live = look_up("live.test", port), *half = look_up("half.test", port);
    int fd = socket_for(half, 0);

    (void)unused;
    inner = live;
    inner_family = 0;
    set_handler(connect_inside, SA_RESTART);
    set_timer(50);
    assert_int_equal(connect(fd, half->ai_addr, half->ai_addrlen), 0);
    assert_int_equal(peer_family(fd), AF_INET);
    assert_int_equal(inner_family, live->ai_family);
    set_handler(SIG_DFL, 0);
    close(fd);
    freeaddrinfo(half);
    freeaddrinfo(live);
    close(listener);
}

static void
close_it(void *fd)
{
    close((intptr_t)fd);
}

static void *
connect_and_be_cancelled(void *list)
{
    const struct addrinfo *node = list;
    int fd = socket_for(node, 0);

    pthread_cleanup_push(close_it, (void *)(intptr_t)fd);
    connect(fd, node->ai_addr, node->ai_addrlen);
    pthread_cleanup_pop(1);
    return NULL;
}

static void
a_thread_is_cancelled_in_a_connect(void **unused)
{
    struct addrinfo *list = look_up("silent.test", "19");
    int before = count_descriptors();
    pthread_t thread;
    void *result;

    (void)unused;
    assert_int_equal(pthread_create(&thread, NULL, connect_and_be_cancelled, list), 0);
    /* Until the others are raced: the caller's socket, that of an attempt, and what the race waits with. */
    for (int tries = 0; tries < 30000 && count_descriptors() < before + 4; tries++) usleep(1000);
    assert_true(count_descriptors() >= before + 4);
    assert_int_equal(pthread_cancel(thread), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    assert_int_equal(count_descriptors(), before);
    freeaddrinfo(list);
}

/* ---- Lookups --------------------------------------------------------------------------------------------------------- */

typedef int (*getaddrinfo_function)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static void
assert_same_lists(const struct addrinfo *ours, const struct addrinfo *theirs)
{
    for (; ours && theirs; ours = ours->ai_next, theirs = theirs->ai_next) {
        assert_int_equal(ours->ai_flags, theirs->ai_flags);
        assert_int_equal(ours->ai_family, theirs->ai_family);
        assert_int_equal(ours->ai_socktype, theirs->ai_socktype);
        assert_int_equal(ours->ai_protocol, theirs->ai_protocol);
        assert_int_equal(ours->ai_addrlen, theirs->ai_addrlen);
        assert_memory_equal(ours->ai_addr, theirs->ai_addr, ours->ai_addrlen);
        if (theirs->ai_canonname) assert_string_equal(ours->ai_canonname, theirs->ai_canonname);
        else assert_null(ours->ai_canonname);
    }
    assert_null(ours);
    assert_null(theirs);
}

static void
answers_are_those_of_libc(void **unused)
{
    getaddrinfo_function of_libc = (getaddrinfo_function)dlsym(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), "getaddrinfo");
    const char *nodes[] = {"live.test", "half.test", "localhost", "127.0.0.1", "2001:db8::77", "nosuch.test", NULL};
    struct addrinfo hints[] = {
        {.ai_socktype = SOCK_STREAM}, {.ai_family = AF_INET}, {.ai_family = AF_INET6, .ai_flags = AI_CANONNAME},
        {.ai_flags = AI_PASSIVE}, {.ai_flags = AI_NUMERICHOST}, {.ai_flags = 1 << 30},
    };

    (void)unused;
    assert_non_null(of_libc);
    assert_ptr_not_equal(of_libc, getaddrinfo);
    for (size_t node = 0; node < sizeof nodes / sizeof *nodes; node++) {
        for (size_t index = 0; index < sizeof hints / sizeof *hints; index++) {
            struct addrinfo *ours = NULL, *theirs = NULL;

            assert_int_equal(getaddrinfo(nodes[node], "80", &hints[index], &ours),
                             of_libc(nodes[node], "80", &hints[index], &theirs));
            assert_same_lists(ours, theirs);
            if (ours) freeaddrinfo(ours);
            if (theirs) freeaddrinfo(theirs);
        }
    }
}

static volatile sig_atomic_t epolls, fewest_threads;

/*
 * Only while the lookup waits are handlers let in. A directory has a link for each directory in it, and two more. A thread
 * of an earlier test may be on its way out for a moment; one that looks the name up would be there the whole time.
 */
static void
look_around(int signal)
{
    char path[32], target[64];
    struct stat tasks;
    int threads = stat("/proc/self/task", &tasks) == 0 ? (int)tasks.st_nlink - 2 : 0;

    (void)signal;
    for (int fd = 0; fd < 64; fd++) {
        ssize_t length;

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        length = readlink(path, target, sizeof target - 1);
        if (length <= 0 || !memmem(target, length, "[eventpoll]", 11)) continue;
        if (epolls++ == 0 || threads < fewest_threads) fewest_threads = threads;
    }
}

/* The name server keeps silent, so that there is time to look. */
static void
a_name_is_looked_up_by_happysock_without_a_thread(void **unused)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
    int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), before = count_descriptors();
    struct addrinfo *list = NULL;

    (void)unused;
    inet_pton(AF_INET, "127.0.0.53", &address.sin_addr);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof address), 0);
    epolls = fewest_threads = 0;
    set_handler(look_around, SA_RESTART);
    set_timer(20);
    assert_int_equal(getaddrinfo("slow.test", "80", NULL, &list), EAI_AGAIN);
    set_timer(0);
    set_handler(SIG_DFL, 0);
    assert_true(epolls > 0);
    assert_int_equal(fewest_threads, 1);
    assert_int_equal(count_descriptors(), before);
    close(server);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_half_dead_name_is_raced),
        cmocka_unit_test(a_socket_that_connects_stays_the_same),
        cmocka_unit_test(options_are_carried_over),
        cmocka_unit_test(other_sockets_are_left_alone),
        cmocka_unit_test(an_address_that_was_not_looked_up_is_left_alone),
        cmocka_unit_test(an_address_of_two_names_is_not_raced_with_what_one_of_them_has_not),
        cmocka_unit_test(the_callers_limit_holds),
        cmocka_unit_test(a_failure_is_that_of_the_callers_own_address),
        cmocka_unit_test(many_threads_connect),
        cmocka_unit_test(a_child_connects_with_its_parents_answer),
        cmocka_unit_test(a_signal_interrupts_as_its_handler_says),
        cmocka_unit_test(a_connect_that_is_left_by_a_jump_leaks_nothing),
        cmocka_unit_test(a_handler_connects_while_a_connect_waits),
        cmocka_unit_test(a_thread_is_cancelled_in_a_connect),
        /* Before the one that has libc asked, on threads. */
        cmocka_unit_test(a_name_is_looked_up_by_happysock_without_a_thread),
        cmocka_unit_test(answers_are_those_of_libc),
        /* The last: its answer goes with every port, and so has a say in whatever half.test shares with silent.test. */
        cmocka_unit_test(a_port_that_the_program_puts_there_itself_is_raced),
    };

    return cmocka_run_group_tests_name("the preload library", tests, NULL, NULL);
}
